"""The statements that go through all units for comparing and counting; nothing here writes."""

from collections.abc import Sequence
from datetime import datetime

from rewards.infra.db import Record, Tx

BOUNDS = "SELECT min(id) AS first_id, max(id) AS last_id FROM units"


async def bounds(tx: Tx) -> tuple[int, int] | None:
    row = await tx.fetchrow(BOUNDS)
    return None if row is None or row["first_id"] is None else (row["first_id"], row["last_id"])


COUNTED = """
SELECT id, product_id, batch_id, denomination_minor, currency, cost_minor, cost_currency, state,
    created_at
FROM units WHERE id > $1 AND id <= $2 ORDER BY id
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


WRITTEN_OFF = """
SELECT unit_id, written_off_at FROM units_written_off WHERE unit_id = ANY($1::bigint[])
"""


async def written_off(tx: Tx, unit_ids: Sequence[int]) -> dict[int, datetime]:
    rows = await tx.fetch(WRITTEN_OFF, unit_ids)
    return {row["unit_id"]: row["written_off_at"] for row in rows}
