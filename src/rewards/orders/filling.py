"""Looks into the pool again for orders that wait: retry by staff, by the worker, after a pump."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from rewards.audit import service as audit
from rewards.core.actor import Actor
from rewards.core.errors import Refusal
from rewards.infra import jobs
from rewards.infra.db import Tx
from rewards.inventory import service as inventory
from rewards.inventory.hints import PoolHints
from rewards.inventory.model import Need, ShelfKey, Taken
from rewards.orders import facts, model, refunds, sql, sql_read
from rewards.orders.closing import CloseAsk
from rewards.orders.links import links_wanted
from rewards.orders.model import (
    DeliverByPassed,
    Item,
    ItemStatus,
    OnPartial,
    Order,
    OrderNotFound,
    OrderNotRetryable,
    State,
    Status,
)
from rewards.orders.model_links import LinkStatus
from rewards.orders.placing import outcome_path
from rewards.orders.sql import Move
from rewards.vendors import purchases
from rewards.vendors.model import FOR_ORDERS, PurchaseUnderWay
from rewards.wallets import service as wallets
from rewards.webhooks import service as webhooks
from rewards.webhooks.model import Event, EventType


@dataclass(frozen=True, slots=True)
class RetryAsk:
    """Look into the pool for this order; no vendor is ever called by it."""

    order_id: int
    actor: Actor
    reason: str | None = None


async def retry(
    tx: Tx,
    asks: Sequence[RetryAsk],
    bulk_units_max: int,
    at: datetime,
    hints: PoolHints | None = None,
) -> list[Order | Refusal]:
    """Fill each order from the pool as far as it goes; answers the order as it stands now.

    Refused: unknown order, one that nobody waits for (delivered, closed, with a vendor), one that a
    vendor was asked to deliver for, and one
    whose `deliver_by` has passed: the worker is about to cancel and refund it. One that got nothing
    stays where it is, and only the audit trail knows that somebody looked. A bulk order gets its
    items here, or is cancelled when its client's open bulk units exceed the cap.
    """
    assert len({ask.order_id for ask in asks}) == len(asks), "one act an order"
    locked = await sql.lock_orders(tx, [ask.order_id for ask in asks])
    asked = await purchases.under_way(tx, FOR_ORDERS, locked)
    refused = {
        ask.order_id: refusal
        for ask in asks
        if (refusal := refusal_to_retry(locked.get(ask.order_id), asked, at))
    }
    going = [ask for ask in asks if ask.order_id not in refused]
    orders = {ask.order_id: locked[ask.order_id] for ask in going}
    at = model.moment_of_act(at, orders.values())
    closing = await _close_over_limit(tx, orders, asks, bulk_units_max, at)
    over = {move.after.id for move in closing}
    filled = await _fill(tx, [orders[n] for n in orders if n not in over], at, hints)
    looks = [_move(orders[n], filled[n], asks) for n in filled]
    # One statement for all: the tallies it locks come in one order.
    moved = [look for look in looks if len(look.path) > 1] + closing
    await sql.move_orders(tx, moved)
    await webhooks.emit(tx, [event for move in moved for event in _events(move)], at)
    told = [("order.retried" if len(look.path) > 1 else facts.LOOKED, look) for look in looks]
    told += [("order.bulk_limit_exceeded", move) for move in closing]
    await audit.record(
        tx,
        [facts.audit_fact(action, m.after, m.path, m.actor, m.reason) for action, m in told],
        at,
    )
    linked = [move.after.id for move in looks if len(move.path) > 1 and move.after.link_type]
    await jobs.enqueue(tx, [links_wanted(order_id) for order_id in linked])
    done = {move.after.id: move.after for _, move in told}
    return [refused.get(ask.order_id) or done[ask.order_id] for ask in asks]


def refusal_to_retry(order: Order | None, asked: Container[int], at: datetime) -> Refusal | None:
    """Why nobody may look into the pool for it now; `asked`: orders that a vendor is asked for."""
    if order is None:
        return OrderNotFound()
    if order.state not in model.FILLABLE:
        return OrderNotRetryable(order.state)
    if order.id in asked:
        return PurchaseUnderWay()
    return DeliverByPassed() if order.late(at) else None


def _ask(asks: Sequence[RetryAsk], order_id: int) -> RetryAsk:
    return next(ask for ask in asks if ask.order_id == order_id)


async def _close_over_limit(
    tx: Tx,
    orders: Mapping[int, Order],
    asks: Sequence[RetryAsk],
    bulk_units_max: int,
    at: datetime,
) -> list[Move]:
    """Refund the bulk orders that no longer fit under their client's cap, to be moved as told."""
    bulk = [order for order in orders.values() if order.state == model.BULK]
    if not bulk:
        return []
    # One client's bulk orders stand in line, and wallets are locked before the pool as in placing.
    purses = await wallets.lock(tx, sorted({order.client_id for order in bulk}))
    over = await over_bulk_limit(tx, bulk, bulk_units_max)
    closing = [
        CloseAsk(order, _ask(asks, order.id).actor, _ask(asks, order.id).reason) for order in over
    ]
    return await refunds.refund_over_limit(tx, closing, purses, at)


async def over_bulk_limit(tx: Tx, bulk: Sequence[Order], bulk_units_max: int) -> list[Order]:
    """Those that, asked one by one, no longer fit under their client's cap of open bulk units."""
    open_units = await sql_read.open_bulk_units(tx, sorted({order.client_id for order in bulk}))
    over = []
    for order in bulk:
        units = open_units.get(order.client_id, 0) + order.quantity
        if units > bulk_units_max:
            over.append(order)
        else:
            open_units[order.client_id] = units
    return over


async def _fill(
    tx: Tx, orders: Sequence[Order], at: datetime, hints: PoolHints | None
) -> dict[int, tuple[Order, tuple[State, ...]]]:
    """Take units, bind them to items; each order's new row and the path it walked."""
    await sql.create_items(tx, [order for order in orders if not order.items_created])
    taken = await inventory.allocate(tx, [need_of(order) for order in orders], at, hints)
    served = [order for order, units in zip(orders, taken, strict=True) if units]
    waiting = await sql_read.read_items(tx, [order.id for order in served], ItemStatus.PENDING)
    by_order = dict(zip((order.id for order in orders), taken, strict=True))
    await sql.move_items(tx, _deliveries(served, waiting, by_order, at))
    return {
        order.id: after_look(order, len(units), at)
        for order, units in zip(orders, taken, strict=True)
    }


def need_of(order: Order) -> Need:
    """What an order still lacks, as the pool is asked for it."""
    shelf = ShelfKey(order.product_id, order.denomination_minor, order.product_currency)
    return Need(shelf, order.missing, order.on_partial is OnPartial.ALL_OR_NOTHING)


def _deliveries(
    orders: Sequence[Order],
    waiting: Mapping[int, Sequence[Item]],
    taken: Mapping[int, Sequence[Taken]],
    at: datetime,
) -> list[tuple[Item, Item]]:
    return [
        (
            item,
            replace(
                item,
                status=ItemStatus.DELIVERED,
                unit_id=unit.unit_id,
                delivered_at=at,
                link_status=LinkStatus.PENDING if order.link_type else None,
            ),
        )
        for order in orders
        for item, unit in zip(waiting[order.id], taken[order.id], strict=False)
    ]


def after_look(order: Order, got: int, at: datetime) -> tuple[Order, tuple[State, ...]]:
    """The order after a look into the pool that found so many units, and the path it walked."""
    path = _path(order, got)
    state = path[-1]
    if len(path) == 1:
        return order, path
    after = replace(
        order,
        status=state.status,
        sub_status=state.sub_status,
        items_created=order.quantity,
        fulfilled=order.fulfilled + got,
        changed_at=at,
        delivered_at=at if state == model.COMPLETED else order.delivered_at,
    )
    return after, path


def _path(order: Order, got: int) -> tuple[State, ...]:
    here = order.state
    lead = (here, model.PROCESSING) if here == model.BULK else (here,)
    if got:
        linked = order.link_type is not None
        return model.walk(*lead, *outcome_path(got, order.missing, linked=linked))
    # Nothing there: a first look ends in waiting, any later one changes nothing.
    first_look = here in (model.BULK, model.PROCESSING)
    return model.walk(*lead, model.WAITING) if first_look else (here,)


def _move(order: Order, filled: tuple[Order, tuple[State, ...]], asks: Sequence[RetryAsk]) -> Move:
    after, path = filled
    ask = _ask(asks, order.id)
    return Move(order, after, path, ask.actor, ask.reason)


def _events(move: Move) -> list[Event]:
    if move.after.status is not Status.PENDING:
        return facts.filled_events(move.after)
    # It was said to be processing and now waits for a person or a pump. A bulk order said so.
    came_from_processing = (move.before.state, move.path[-1]) == (model.PROCESSING, model.WAITING)
    pending = facts.event(EventType.ORDER_PENDING, move.after)
    return [pending] if came_from_processing else []
