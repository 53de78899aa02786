"""Every statement on the sessions of the portal. Rows in, rows out."""

from dataclasses import dataclass, field
from datetime import datetime

from rewards.infra.db import Tx, rows_affected

NEXT_ID = "SELECT nextval(pg_get_serial_sequence('portal_sessions', 'id'))"
INSERT = """
INSERT INTO portal_sessions (
    id, digest, client_id, tokens_sealed, access_expires_at, expires_at, created_at
)
OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
READ = """
SELECT id, tokens_sealed, turn, access_expires_at, expires_at
FROM portal_sessions WHERE digest = $1
"""
# By the database's clock: who asks may be on another machine.
TAKE = """
UPDATE portal_sessions SET refreshing_until = clock_timestamp() + make_interval(secs => $3)
WHERE id = $1 AND turn = $2 AND (refreshing_until IS NULL OR refreshing_until < clock_timestamp())
"""
RENEW = """
UPDATE portal_sessions SET tokens_sealed = $3, access_expires_at = $4, expires_at = $5,
    turn = turn + 1, refreshing_until = NULL
WHERE id = $1 AND turn = $2
"""
DELETE = "DELETE FROM portal_sessions WHERE digest = $1"
FORGET = "DELETE FROM portal_sessions WHERE expires_at < $1"


@dataclass(frozen=True, slots=True)
class KeptRow:
    id: int
    tokens_sealed: bytes = field(repr=False)
    # How often the tokens were renewed.
    turn: int
    access_expires_at: datetime
    expires_at: datetime


async def next_id(tx: Tx) -> int:
    number: int = await tx.fetchval(NEXT_ID)
    return number


async def insert(tx: Tx, row: KeptRow, digest: bytes, client_id: int, at: datetime) -> None:
    await tx.execute(
        INSERT,
        *(row.id, digest, client_id, row.tokens_sealed),
        *(row.access_expires_at, row.expires_at, at),
    )


async def read(tx: Tx, digest: bytes) -> KeptRow | None:
    row = await tx.fetchrow(READ, digest)
    return KeptRow(**dict(row)) if row else None


async def take(tx: Tx, row: KeptRow, lease_s: float) -> bool:
    """Whether the renewal of this turn is the caller's."""
    return rows_affected(await tx.execute(TAKE, row.id, row.turn, lease_s)) == 1


async def renew(tx: Tx, row: KeptRow) -> None:
    """The tokens of the turn after `row.turn`; nothing where somebody else has renewed them."""
    await tx.execute(
        RENEW, row.id, row.turn, row.tokens_sealed, row.access_expires_at, row.expires_at
    )


async def delete(tx: Tx, digest: bytes) -> None:
    await tx.execute(DELETE, digest)


async def forget(tx: Tx, before: datetime) -> int:
    return rows_affected(await tx.execute(FORGET, before))
