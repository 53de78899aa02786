"""The statements by which orders are compared with other books; nothing here writes."""

from collections.abc import Sequence
from datetime import datetime

from rewards.infra.db import Record, Tx

DELIVERED_BOUNDS = """
SELECT min(id) AS first_id, max(id) AS last_id FROM orders
WHERE delivered_at >= $1 AND delivered_at < $2
"""


async def delivered_bounds(tx: Tx, since: datetime, until: datetime) -> tuple[int, int] | None:
    row = await tx.fetchrow(DELIVERED_BOUNDS, since, until)
    return None if row is None or row["first_id"] is None else (row["first_id"], row["last_id"])


# By the primary key: the caller goes from bound to bound.
DELIVERED = """
SELECT id, quantity FROM orders
WHERE id > $1 AND id <= $2 AND delivered_at >= $3 AND delivered_at < $4
ORDER BY id LIMIT $5
"""


async def delivered(
    tx: Tx, after_id: int, upto_id: int, since: datetime, until: datetime, limit: int
) -> list[tuple[int, int]]:
    rows = await tx.fetch(DELIVERED, after_id, upto_id, since, until, limit)
    return [(row["id"], row["quantity"]) for row in rows]


# A unit went out with its item, or when it took the place of another; also one that was replaced.
GONE_OUT = """
SELECT ask.unit_id, o.client_id, coalesce(came.at, i.delivered_at) AS out_at
FROM unnest($1::bigint[]) AS ask (unit_id)
LEFT JOIN order_items AS held ON held.unit_id = ask.unit_id
LEFT JOIN order_replacements AS gone ON gone.unit_id = ask.unit_id
LEFT JOIN order_replacements AS came ON came.replaced_by = ask.unit_id
JOIN order_items AS i ON i.order_id = coalesce(held.order_id, gone.order_id)
    AND i.position = coalesce(held.position, gone.position)
JOIN orders AS o ON o.id = i.order_id
"""


async def gone_out(tx: Tx, unit_ids: Sequence[int]) -> list[Record]:
    return list(await tx.fetch(GONE_OUT, list(unit_ids)))
