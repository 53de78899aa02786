"""Recalls what came from one batch: who holds it, and taking it back order by order."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from rewards.core.errors import Refusal
from rewards.infra.db import Tx
from rewards.inventory import service as inventory
from rewards.inventory.model import Need, ShelfKey
from rewards.orders import model, refunds, sql, sql_read, sql_recalls
from rewards.orders.closing import TakeBackAsk, plan_take_back, settle
from rewards.orders.model import Holder, Item, ItemStatus, Order, OrderNotFound
from rewards.pricing.model import returned_share


async def holders(tx: Tx, unit_ids: Sequence[int]) -> list[Holder]:
    """Which item of whose order has, or had, each of these units; none for those of no order."""
    return await sql_recalls.holders(tx, unit_ids)


def at_stake(held: Iterable[Holder]) -> dict[str, int]:
    """What taking all of these back would refund, by currency, exact to the minor unit."""
    orders: dict[int, Holder] = {}
    units: Counter[int] = Counter()
    for one in held:
        if one.item_status is ItemStatus.DELIVERED:
            orders[one.order_id] = one
            units[one.order_id] += 1
    due: Counter[str] = Counter()
    for order_id, one in orders.items():
        due[one.currency] += returned_share(
            one.amount_minor, one.quantity, one.returned, units[order_id]
        )
    return dict(due)


async def take_back(tx: Tx, asks: Sequence[TakeBackAsk], at: datetime) -> list[Order | Refusal]:
    """Take from each order what it got from its ask's batch; the orders as they stand now.

    Units are REVOKED. With `replace` the pool gives others of the same shelf as far as it goes:
    such an item stays delivered, with its new unit, and no money moves. All other items are REVOKED
    and refunded, with a late `order.cancelled`; an order that still waits for other items goes on
    waiting. What is reconciled is not replaced: its books are closed. An order that holds nothing
    of the batch (any more) is left as it is. Refused: an unknown order.
    """
    assert len({ask.order_id for ask in asks}) == len(asks), "one act an order"
    locked = await sql.lock_orders(tx, [ask.order_id for ask in asks])
    at = model.moment_of_act(at, locked.values())
    purses = await refunds.lock_purses(tx, locked.values())
    going = [ask for ask in asks if ask.order_id in locked]
    mine = await _items_of_batch(tx, going, list(locked))
    going = [ask for ask in going if mine[ask.order_id]]
    fresh = await _replacements(tx, going, locked, mine, at)
    plans = []
    for ask in going:
        order_id = ask.order_id
        taken, given = mine[order_id], fresh.get(order_id, ())
        plan = plan_take_back(locked[order_id], taken, given, ask, at)
        plans.append(settle(plan, purses) if plan.gives_back else plan)
    await refunds.carry_out(tx, plans, purses, "order.recalled", at)
    await sql_recalls.add_replacements(tx, [swap for plan in plans for swap in plan.replaced], at)
    now = {plan.after.id: plan.after for plan in plans}
    return [now.get(ask.order_id) or locked.get(ask.order_id) or OrderNotFound() for ask in asks]


async def _items_of_batch(
    tx: Tx, asks: Sequence[TakeBackAsk], order_ids: Sequence[int]
) -> dict[int, list[Item]]:
    """The delivered items of each order whose units came with its ask's batch."""
    items = await sql_read.read_items(tx, order_ids, ItemStatus.DELIVERED)
    units = [item.unit_id for held in items.values() for item in held if item.unit_id is not None]
    sold = {
        batch_id: await inventory.sold_from(tx, batch_id, units)
        for batch_id in sorted({ask.batch_id for ask in asks})
    }
    return {
        ask.order_id: [item for item in items[ask.order_id] if item.unit_id in sold[ask.batch_id]]
        for ask in asks
    }


async def _replacements(
    tx: Tx,
    asks: Sequence[TakeBackAsk],
    locked: Mapping[int, Order],
    items: Mapping[int, Sequence[Item]],
    at: datetime,
) -> dict[int, list[int]]:
    """New units for the orders that want them, as many as the pool has."""
    orders = [locked[ask.order_id] for ask in asks if ask.replace]
    orders = [order for order in orders if order.state != model.RECONCILED]
    needs = [
        Need(
            ShelfKey(order.product_id, order.denomination_minor, order.product_currency),
            len(items[order.id]),
        )
        for order in orders
    ]
    taken = await inventory.allocate(tx, needs, at)
    return {
        order.id: [unit.unit_id for unit in units]
        for order, units in zip(orders, taken, strict=True)
    }
