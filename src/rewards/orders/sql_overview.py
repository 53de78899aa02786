"""The statements by which staff look over the orders of all clients."""

from datetime import datetime

from rewards.infra.db import Tx
from rewards.orders.model import Order, Status, SubStatus
from rewards.orders.sql_read import ORDER_COLUMNS, as_order

# By id, which the primary key has in order: over all clients there is no index by time.
LIST_ALL = f"""
SELECT {ORDER_COLUMNS} FROM orders AS o
WHERE ($1::bigint IS NULL OR o.id < $1)
    AND ($2::text IS NULL OR o.status = $2) AND ($3::text IS NULL OR o.sub_status = $3)
ORDER BY o.id DESC LIMIT $4
"""

LIST_OF_CLIENT = f"""
SELECT {ORDER_COLUMNS} FROM orders AS o
WHERE o.client_id = $1 AND ($2::timestamptz IS NULL OR (o.placed_at, o.id) < ($2, $3::bigint))
    AND ($4::text IS NULL OR o.status = $4) AND ($5::text IS NULL OR o.sub_status = $5)
ORDER BY o.placed_at DESC, o.id DESC LIMIT $6
"""


async def list_orders(
    tx: Tx,
    client_id: int | None,
    status: Status | None,
    sub_status: SubStatus | None,
    *,
    before: tuple[datetime, int] | None,
    limit: int,
) -> list[Order]:
    """Newest first; `before` is the (placed_at, id) of the last order already seen."""
    placed_at, order_id = before or (None, None)
    if client_id is None:
        rows = await tx.fetch(LIST_ALL, order_id, status, sub_status, limit)
    else:
        rows = await tx.fetch(
            LIST_OF_CLIENT, client_id, placed_at, order_id, status, sub_status, limit
        )
    return [as_order(row) for row in rows]
