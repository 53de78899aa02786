"""The statements that go through all units for comparing and counting; nothing here writes."""

from collections.abc import Sequence

from rewards.infra.db import Record, Tx

BOUNDS = "SELECT min(id) AS first_id, max(id) AS last_id FROM units"


async def bounds(tx: Tx) -> tuple[int, int] | None:
    row = await tx.fetchrow(BOUNDS)
    return None if row is None or row["first_id"] is None else (row["first_id"], row["last_id"])


COUNTED = """
SELECT u.id, u.product_id, u.batch_id, u.denomination_minor, u.currency, u.cost_minor,
    u.cost_currency, u.state, u.created_at, off.written_off_at
FROM units AS u LEFT JOIN units_written_off AS off ON off.unit_id = u.id
WHERE u.id > $1 AND u.id <= $2 ORDER BY u.id
"""


async def counted(tx: Tx, after_id: int, upto_id: int) -> list[Record]:
    return list(await tx.fetch(COUNTED, after_id, upto_id))


SOLD = """
SELECT id FROM units
WHERE id > $1 AND id <= $2 AND state IN ('DELIVERED', 'COMPLETED') ORDER BY id
"""


async def sold(tx: Tx, after_id: int, upto_id: int) -> list[int]:
    return [row["id"] for row in await tx.fetch(SOLD, after_id, upto_id)]


SOURCES = "SELECT id, source FROM batches WHERE id = ANY($1::bigint[])"


async def sources(tx: Tx, batch_ids: Sequence[int]) -> dict[int, str]:
    return {row["id"]: row["source"] for row in await tx.fetch(SOURCES, list(batch_ids))}
