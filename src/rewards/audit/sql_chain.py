"""The statements of the chain: what is sealed, what stands there now, and how far it came."""

from collections.abc import Sequence
from dataclasses import astuple
from datetime import datetime, timedelta

import asyncpg

from rewards.audit.model_chain import ENTRY_PREFIX, Head, Seal
from rewards.infra.db import Record, Tx
from rewards.infra.sql_sealing import Look, Rows

Connection = Tx | asyncpg.Connection


def _measured(column: str) -> str:
    return f"coalesce(char_length({column}) || ':' || {column}, '-')"


# As `model_chain.entry_digest`, of a row `s`.
DIGEST = f"""
sha256(convert_to(concat_ws(E'\\n', '{ENTRY_PREFIX}', s.id,
    (extract(epoch FROM s.at) * 1000000)::bigint, s.actor_kind, coalesce(s.actor_id::text, '-'),
    coalesce(s.client_id::text, '-'), s.subject_id, {_measured("s.action")},
    {_measured("s.subject_kind")}, {_measured("s.facts::text")}, {_measured("s.reason")},
    {_measured("s.request_id")}, {_measured("s.address")}), 'UTF8'))
"""

ENTRIES = Rows(
    table="audit_entries",
    state="audit_sealing",
    place="audit_chain",
    place_id="entry_id",
    reads="*",
    told={"digests": DIGEST},
    written="at",
)

HEAD = "SELECT sequence, position, sealed_at, digest FROM audit_sealing"

PLACE = """
INSERT INTO audit_chain (position, entry_id, digest)
SELECT $1 + n - 1, entry_id, digest
FROM unnest($2::bigint[], $3::bytea[]) WITH ORDINALITY AS e (entry_id, digest, n)
"""

ADD_SEAL = """
WITH head AS (
    UPDATE audit_sealing SET sequence = $1, position = $3, sealed_at = $4, digest = $5
)
INSERT INTO audit_seals (sequence, first_position, last_position, sealed_at, digest, signature)
VALUES ($1, $2, $3, $4, $5, $6)
"""

# One row for each seal: itself, the digests that its entries had, and how many of them are what
# they were. Few at a time, so that no long chain is ever in memory.
WALK = f"""
SELECT l.sequence, l.first_position, l.last_position, l.sealed_at, l.digest, l.signature,
    c.entries, coalesce(c.digests, '') AS digests, c.unlike
FROM (SELECT * FROM audit_seals WHERE sequence > $1 ORDER BY sequence LIMIT $2) AS l
CROSS JOIN LATERAL (
    SELECT count(*) AS entries, string_agg(a.digest, ''::bytea ORDER BY a.position) AS digests,
        count(*) FILTER (WHERE s.id IS NULL OR a.digest <> {DIGEST}) AS unlike
    FROM audit_chain AS a LEFT JOIN audit_entries AS s ON s.id = a.entry_id
    WHERE a.position BETWEEN l.first_position AND l.last_position
) AS c
ORDER BY l.sequence
"""

UNLIKE = f"""
SELECT a.position, a.entry_id, s.id IS NULL AS gone, s.action
FROM audit_chain AS a LEFT JOIN audit_entries AS s ON s.id = a.entry_id
WHERE a.position BETWEEN $1 AND $2 AND (s.id IS NULL OR a.digest <> {DIGEST})
ORDER BY a.position LIMIT $3
"""

# Entries of one seal stand in the order of their ids, so one that does not was moved.
MOVED = """
SELECT position, entry_id FROM (
    SELECT position, entry_id, lag(entry_id) OVER (ORDER BY position) AS before
    FROM audit_chain WHERE position BETWEEN $1 AND $2
) AS a
WHERE entry_id < before ORDER BY position LIMIT 1
"""

BEYOND = """
SELECT position, entry_id FROM audit_chain WHERE position > $1 ORDER BY position LIMIT $2
"""

# What waits to be sealed, and was there so many seconds ago; by the database's clock.
OVERDUE = """
SELECT count(*) AS entries, min(s.id) AS entry_id, min(s.at) AS since
FROM audit_entries AS s
WHERE NOT EXISTS (SELECT FROM audit_chain AS a WHERE a.entry_id = s.id)
    AND s.at < now() - make_interval(secs => $1)
"""

LATEST = "SELECT now() + $1::interval"

DIGEST_AT = "SELECT digest FROM audit_seals WHERE sequence = $1"


async def head(connection: Connection) -> Head:
    """Where sealing has come to."""
    [row] = await connection.fetch(HEAD)
    return Head(**dict(row))


async def latest(tx: Tx, ahead: timedelta) -> datetime:
    """So much later than now, by the database's clock."""
    at: datetime = await tx.fetchval(LATEST, ahead)
    return at


async def place(tx: Tx, look: Look, seal: Seal) -> None:
    """Write the seal of these entries, and the place of each."""
    await tx.execute(PLACE, seal.first_position, look.ids, look.told["digests"])
    await tx.execute(ADD_SEAL, *astuple(seal))


async def walk(connection: Connection, after: int, limit: int) -> Sequence[Record]:
    """The next seals, with what stands in their places now."""
    return await connection.fetch(WALK, after, limit)


async def unlike(connection: Connection, seal: Seal, limit: int) -> Sequence[Record]:
    """Entries of the seal that are gone, or say something else than they did."""
    return await connection.fetch(UNLIKE, seal.first_position, seal.last_position, limit)


async def moved(connection: Connection, seal: Seal) -> Record | None:
    """The first entry of the seal that stands behind a younger one."""
    return await connection.fetchrow(MOVED, seal.first_position, seal.last_position)


async def beyond(connection: Connection, position: int, limit: int) -> Sequence[Record]:
    """Entries with a place that no seal takes in."""
    return await connection.fetch(BEYOND, position, limit)


async def overdue(connection: Connection, seconds: float) -> Record:
    """Entries that nobody sealed for so long: how many, the first one, and since when."""
    [row] = await connection.fetch(OVERDUE, seconds)
    return row


async def digest_at(connection: Connection, sequence: int) -> bytes | None:
    found: bytes | None = await connection.fetchval(DIGEST_AT, sequence)
    return found
