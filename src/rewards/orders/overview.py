"""Orders of all clients, as staff look at them; nothing here opens a code."""

from collections.abc import Sequence
from datetime import datetime

from rewards.infra.db import Tx
from rewards.orders import sql, sql_open, sql_read
from rewards.orders.model import Item, Order, OrderNotFound, SubStatus
from rewards.orders.sql_read import Step

__all__ = ["Step", "find", "lock", "open_orders", "read", "read_items"]


async def find(tx: Tx, order_ids: Sequence[int]) -> list[Order | None]:
    """Each order by its id, in order, whosever it is; None for one that does not exist."""
    found = await sql_read.read_orders(tx, order_ids)
    return [found.get(order_id) for order_id in order_ids]


async def lock(tx: Tx, order_ids: Sequence[int]) -> list[Order | None]:
    """As `find`, and nobody else moves them until the transaction ends."""
    found = await sql.lock_orders(tx, order_ids)
    return [found.get(order_id) for order_id in order_ids]


async def read_items(tx: Tx, orders: Sequence[Order]) -> list[list[Item]]:
    """The items of each order, in order of position."""
    found = await sql_read.read_items(tx, [order.id for order in orders])
    return [found[order.id] for order in orders]


async def read(tx: Tx, order_id: int) -> tuple[Order, list[Item], list[Step]]:
    """An order whosever it is, its items, and every act upon it. Raises OrderNotFound."""
    [order] = await find(tx, [order_id])
    if order is None:
        raise OrderNotFound
    [items] = await read_items(tx, [order])
    return order, items, await sql_read.read_history(tx, order_id)


async def open_orders(tx: Tx) -> dict[SubStatus, tuple[int, datetime]]:
    """How many orders wait in each sub-status, and when the oldest of them was placed."""
    return await sql_open.open_orders(tx)
