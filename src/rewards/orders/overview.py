"""Orders of all clients, as staff look at them; nothing here opens a code."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rewards.core.errors import Refusal
from rewards.infra.db import Tx
from rewards.orders import sql, sql_open, sql_overview, sql_read
from rewards.orders.model import Item, Order, OrderNotFound, Status, SubStatus
from rewards.orders.sql_read import Step as Step
from rewards.wallets import service as wallets
from rewards.wallets.model import refusal_to_credit


async def find(tx: Tx, order_ids: Sequence[int]) -> list[Order | None]:
    """Each order by its id, in order, whosever it is; None for one that does not exist."""
    found = await sql_read.read_orders(tx, order_ids)
    return [found.get(order_id) for order_id in order_ids]


async def check_there(tx: Tx, order_id: int) -> None:
    """Raises OrderNotFound for an id that no order has."""
    if await find(tx, [order_id]) == [None]:
        raise OrderNotFound


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
    found = await sql_read.read_with_history(tx, order_id)
    if found is None:
        raise OrderNotFound
    order, steps = found
    [items] = await read_items(tx, [order])
    return order, items, steps


async def open_orders(tx: Tx) -> dict[SubStatus, tuple[int, datetime]]:
    """How many orders wait in each sub-status, and when the oldest of them was placed."""
    return await sql_open.open_orders(tx)


@dataclass(frozen=True, slots=True)
class OwedRefund:
    """What an order owes its client; `blocked_by`: why its wallet does not take it now, if so."""

    order: Order
    blocked_by: Refusal | None


async def refunds_owed(tx: Tx, *, after_id: int = 0, limit: int) -> list[OwedRefund]:
    """Refunds that could not be booked, the oldest order first; the next page is after its last."""
    ids = await sql_read.refunds_owed(tx, after_id, limit)
    orders = await sql_read.read_orders(tx, ids)
    # One that was paid a moment ago is gone.
    owing = [orders[number] for number in ids if orders[number].refund_owed_minor]
    held = await wallets.get(tx, [order.wallet_id for order in owing])
    return [
        OwedRefund(
            order,
            wallet
            if isinstance(wallet, Refusal)
            else refusal_to_credit(wallet, order.refund_owed_minor),
        )
        for order, wallet in zip(owing, held, strict=True)
    ]


async def placed_bounds(tx: Tx, since: datetime, until: datetime) -> tuple[int, int] | None:
    """The first and last id of the orders that were placed in that time; None for none."""
    return await sql_overview.placed_bounds(tx, since, until)


async def placed(
    tx: Tx,
    after_id: int,
    upto_id: int,
    since: datetime,
    until: datetime,
    *,
    client_id: int | None = None,
    status: Status | None = None,
) -> list[Order]:
    """Orders placed in that time, with an id above the first and up to the last, in order."""
    return await sql_overview.placed(tx, after_id, upto_id, since, until, client_id, status)
