"""Orders of all clients, as staff look at them; nothing here opens a code."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rewards.infra import cursor
from rewards.infra.db import Tx
from rewards.orders import sql_overview, sql_read
from rewards.orders.model import Item, Order, OrderNotFound, Status, SubStatus


@dataclass(frozen=True, slots=True)
class OrderPage:
    """Orders, newest first, and the cursor of the next page, None on the last one."""

    orders: list[Order]
    following: str | None


async def find(
    tx: Tx,
    *,
    client_id: int | None = None,
    status: Status | None = None,
    sub_status: SubStatus | None = None,
    after: str | None = None,
    limit: int,
) -> OrderPage:
    """A page of orders; None leaves a filter open. Refuses a cursor that is none of ours."""
    before: tuple[datetime, int] | None = cursor.read(after) if after else None
    found = await sql_overview.list_orders(
        tx, client_id, status, sub_status, before=before, limit=limit + 1
    )
    shown = found[:limit]
    more = len(found) > limit
    return OrderPage(shown, cursor.write(shown[-1].placed_at, shown[-1].id) if more else None)


async def read_items(tx: Tx, orders: Sequence[Order]) -> list[list[Item]]:
    """The items of each order, in order of position."""
    found = await sql_read.read_items(tx, [order.id for order in orders])
    return [found[order.id] for order in orders]


async def read(tx: Tx, order_id: int) -> tuple[Order, list[Item], list[sql_read.Step]]:
    """An order whosever it is, its items, and every act upon it. Raises OrderNotFound."""
    order = (await sql_read.read_orders(tx, [order_id])).get(order_id)
    if order is None:
        raise OrderNotFound
    [items] = await read_items(tx, [order])
    return order, items, await sql_read.read_history(tx, order_id)
