"""The statements that an export of the trail reads with."""

from datetime import UTC, datetime

import msgspec

from rewards.audit.model_chain import EPOCH, START, Head, Seal
from rewards.audit.model_export import NOTHING, EntryLine, GoneLine, Span
from rewards.infra.db import Record, Tx

EVER = datetime(9999, 1, 1, tzinfo=UTC)
_SEAL = "sequence, first_position, last_position, sealed_at, digest, signature"
_WITHIN = (
    "($1::timestamptz IS NULL OR sealed_at >= $1) AND ($2::timestamptz IS NULL OR sealed_at < $2)"
)
FIRST = f"SELECT {_SEAL} FROM audit_seals WHERE {_WITHIN} ORDER BY sealed_at, sequence LIMIT 1"
LAST = f"""
SELECT {_SEAL} FROM audit_seals WHERE {_WITHIN} ORDER BY sealed_at DESC, sequence DESC LIMIT 1
"""
ONE = f"SELECT {_SEAL} FROM audit_seals WHERE sequence = $1"
SEALS = f"""
SELECT {_SEAL} FROM audit_seals WHERE sequence > $1 AND sequence <= $2 ORDER BY sequence LIMIT $3
"""
ENTRIES = """
SELECT a.position, a.entry_id, encode(a.digest, 'hex') AS digest, s.id, s.at, s.actor_kind AS actor,
    s.actor_id, s.client_id, s.action, s.subject_kind, s.subject_id, s.facts::text AS facts,
    s.reason, s.request_id, s.address
FROM audit_chain AS a LEFT JOIN audit_entries AS s ON s.id = a.entry_id
WHERE a.position BETWEEN $1 AND $2 ORDER BY a.position
"""


async def span(tx: Tx, since: datetime | None, until: datetime | None) -> Span:
    """The first and the last seal of that time, and the one before."""
    within = (since or EPOCH, until or EVER)
    first, last = await tx.fetchrow(FIRST, *within), await tx.fetchrow(LAST, *within)
    if first is None or last is None:
        return NOTHING
    before = await tx.fetchrow(ONE, first["sequence"] - 1)
    head: Head = Seal(**dict(before)).head if before else START
    return Span(head, first["sequence"], last["sequence"], last["digest"])


async def seals(tx: Tx, after: int, upto: int, limit: int) -> list[Seal]:
    return [Seal(**dict(row)) for row in await tx.fetch(SEALS, after, upto, limit)]


async def entries(tx: Tx, first: int, last: int) -> list[EntryLine | GoneLine]:
    """Those at these positions, as they are now."""
    return [_line(row) for row in await tx.fetch(ENTRIES, first, last)]


def _line(row: Record) -> EntryLine | GoneLine:
    if row["id"] is None:
        return GoneLine(row["position"], row["entry_id"], row["digest"])
    values = {name: row[name] for name in EntryLine.__struct_fields__}
    facts = msgspec.Raw(row["facts"].encode())
    return EntryLine(**values | {"facts": facts, "at": row["at"].astimezone(UTC)})
