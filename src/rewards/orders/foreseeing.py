"""What a retry or a cancel would do, decided by the same functions, with nothing locked or written.

The real act, undone again, would hold units of the pool and clients' wallets meanwhile, and an
order placed at that moment would miss what nobody takes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rewards.core.errors import Refusal
from rewards.infra.db import Tx
from rewards.inventory import service as inventory
from rewards.orders import model, sql_read
from rewards.orders.closing import (
    CancelAsk,
    CloseAsk,
    Purses,
    plan_cancel,
    plan_close,
    settle,
)
from rewards.orders.filling import (
    RetryAsk,
    after_look,
    need_of,
    over_bulk_limit,
    refusal_to_retry,
)
from rewards.orders.model import Order, OrderNotFound
from rewards.vendors import purchases
from rewards.vendors.model import FOR_ORDERS, PurchaseState, PurchaseUnderWay, Purpose
from rewards.wallets import service as wallets
from rewards.wallets.model import Wallet


@dataclass(frozen=True, slots=True)
class Foresight:
    """An order as it stands, and as the act would leave it now.

    `taken_back_minor`: of what goes back, the part that the client had been delivered.
    """

    before: Order
    after: Order
    taken_back_minor: int = 0


async def retries(
    tx: Tx, asks: Sequence[RetryAsk], bulk_units_max: int, at: datetime
) -> list[Foresight | Refusal]:
    """What `retry` would answer for each ask now; refused as it refuses.

    Orders of one shelf are served in the order given, as there. What others take meanwhile nobody
    foresees.
    """
    found = await sql_read.read_orders(tx, [ask.order_id for ask in asks])
    asked = await purchases.under_way(tx, FOR_ORDERS, found)
    refused = {
        ask.order_id: refusal
        for ask in asks
        if (refusal := refusal_to_retry(found.get(ask.order_id), asked, at))
    }
    going = [found[ask.order_id] for ask in asks if ask.order_id not in refused]
    bulk = [order for order in going if order.state == model.BULK]
    over = {order.id for order in await over_bulk_limit(tx, bulk, bulk_units_max)} if bulk else ()
    purses = await _purses(tx, [order for order in bulk if order.id in over])
    after = await _served(tx, [order for order in going if order.id not in over], at)
    for ask in asks:
        if ask.order_id in over:
            close = CloseAsk(found[ask.order_id], ask.actor, ask.reason)
            after[ask.order_id] = settle(plan_close(close, model.OVER_BULK_LIMIT, at), purses).after
    return [
        refused.get(ask.order_id) or Foresight(found[ask.order_id], after[ask.order_id])
        for ask in asks
    ]


async def _served(tx: Tx, orders: Sequence[Order], at: datetime) -> dict[int, Order]:
    """Each order after its look into a pool that is as deep as now, one after the other."""
    needs = [need_of(order) for order in orders]
    shelves = sorted({need.shelf for need in needs})
    left = dict(zip(shelves, await inventory.depth(tx, shelves, at), strict=True))
    after = {}
    for order, need in zip(orders, needs, strict=True):
        got = min(need.quantity, left[need.shelf])
        if need.all_or_nothing and got < need.quantity:
            got = 0
        left[need.shelf] -= got
        after[order.id] = after_look(order, got, at)[0]
    return after


async def cancels(tx: Tx, asks: Sequence[CancelAsk], at: datetime) -> list[Foresight | Refusal]:
    """What `cancel` would answer for each ask now; refused as it refuses."""
    found = await sql_read.read_orders(tx, [ask.order_id for ask in asks])
    items = await sql_read.read_items(tx, list(found))
    recharges = [order.id for order in found.values() if order.recharge]
    bought = await purchases.open_of(tx, (Purpose.RECHARGE,), recharges)
    purses = await _purses(tx, list(found.values()))
    answers: list[Foresight | Refusal] = []
    for ask in asks:
        order = found.get(ask.order_id)
        if order is None:
            answers.append(OrderNotFound())
            continue
        sent = [each.state is not PurchaseState.READY for each in bought.get(order.id, ())]
        plan = plan_cancel(order, items[order.id], ask, at)
        if any(sent):
            answers.append(PurchaseUnderWay())
        elif isinstance(plan, Refusal):
            answers.append(plan)
        else:
            after = settle(plan, purses).after
            answers.append(Foresight(order, after, plan.taken_back_minor))
    return answers


async def _purses(tx: Tx, orders: Sequence[Order]) -> Purses:
    """The wallets of these orders as they are; nobody is kept from them."""
    wallet_ids = sorted({order.wallet_id for order in orders})
    held = await wallets.get(tx, wallet_ids) if wallet_ids else []
    return Purses({wallet.id: wallet for wallet in held if isinstance(wallet, Wallet)})
