"""The statements that go through the orders of all clients by when they were placed."""

from datetime import datetime

from rewards.infra.db import Tx
from rewards.orders.model import Order, Status
from rewards.orders.sql_read import ORDER_COLUMNS, as_order

PLACED_BOUNDS = """
SELECT min(id) AS first_id, max(id) AS last_id FROM orders WHERE placed_at >= $1 AND placed_at < $2
"""

PLACED = f"""
SELECT {ORDER_COLUMNS} FROM orders AS o
WHERE o.id > $1 AND o.id <= $2 AND o.placed_at >= $3 AND o.placed_at < $4
    AND ($5::bigint IS NULL OR o.client_id = $5) AND ($6::text IS NULL OR o.status = $6)
ORDER BY o.id
"""


async def placed_bounds(tx: Tx, since: datetime, until: datetime) -> tuple[int, int] | None:
    row = await tx.fetchrow(PLACED_BOUNDS, since, until)
    return None if row is None or row["first_id"] is None else (row["first_id"], row["last_id"])


async def placed(
    tx: Tx,
    after_id: int,
    upto_id: int,
    since: datetime,
    until: datetime,
    client_id: int | None,
    status: Status | None,
) -> list[Order]:
    rows = await tx.fetch(PLACED, after_id, upto_id, since, until, client_id, status)
    return [as_order(row) for row in rows]
