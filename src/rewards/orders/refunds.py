"""Closes orders and gives the money back, exact to the minor unit (spec.md §3)."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from rewards.audit import service as audit
from rewards.core.actor import Actor
from rewards.core.errors import Refusal
from rewards.infra.db import Tx
from rewards.inventory import service as inventory
from rewards.orders import facts, model, sql, sql_read
from rewards.orders.closing import (
    CancelAsk,
    CloseAsk,
    FailAsk,
    Plan,
    Purses,
    plan_cancel,
    plan_close,
    plan_fail,
    plan_pay,
    settle,
)
from rewards.orders.model import Item, Order, OrderNotFound
from rewards.orders.sql import Move
from rewards.vendors import purchases
from rewards.vendors.model import FOR_ORDERS, PurchaseState, PurchaseUnderWay, Purpose
from rewards.vendors.purchases import Part
from rewards.wallets import service as wallets
from rewards.wallets.model import Posting, TransferKind, Wallet
from rewards.webhooks import service as webhooks


class OneOrder(Protocol):
    """An ask that names its order."""

    @property
    def order_id(self) -> int: ...


Ask = TypeVar("Ask", bound=OneOrder)
Decide = Callable[[Order, Sequence[Item], Ask, datetime], Plan | Refusal]
# What the caller has against any of these plans, by order; asked before anything is written.
Judge = Callable[[Tx, Sequence[Plan]], Awaitable[Mapping[int, Refusal]]]


async def cancel(
    tx: Tx, asks: Sequence[CancelAsk], at: datetime, judge: Judge | None = None
) -> list[Order | Refusal]:
    """Close each order as far as asked and refund exactly that; answers the order as it stands now.

    An open order: waiting items are cancelled, delivered ones stay delivered, the rest is refunded.
    A delivered one (recall, fraud): items and their units are REVOKED and refunded. One that FAILED
    is closed as CANCELLED. Refused with 404 or 409 and no effect: unknown order, one that is closed
    already, items that are not the order's or are not in a state to be given back, a recharge that
    was sent and is not settled; and whatever `judge` refuses, once orders and wallets are locked.
    """
    return await _close_unsent(tx, asks, plan_cancel, "order.cancelled", at, judge)


async def fail(tx: Tx, asks: Sequence[FailAsk], at: datetime) -> list[Order | Refusal]:
    """Give up for good what cannot be served: items FAILED, refunded, `order.failed` (D14).

    All that waits, or the named items of it; what was delivered stays delivered. Once nothing waits
    any more the order is FAILED, and FAILED·NOT_REFUNDED while its wallet takes no money. Refused
    with 404 or 409 and no effect: unknown order, one of which nothing waits, items that do not, a
    recharge that was sent and is not settled.
    """
    return await _close_unsent(tx, asks, plan_fail, "order.failed", at)


async def fail_recharge(tx: Tx, ask: FailAsk, at: datetime) -> Order | Refusal:
    """As `fail`, for the item whose own purchase the caller is settling: it did not come of it."""
    [answer] = await _close(tx, [ask], plan_fail, "order.failed", at)
    return answer


async def _close_unsent(
    tx: Tx,
    asks: Sequence[Ask],
    decide: Decide[Ask],
    action: str,
    at: datetime,
    judge: Judge | None = None,
) -> list[Order | Refusal]:
    locked = await sql.lock_orders(tx, [ask.order_id for ask in asks])
    busy = await _recharging(tx, locked.values())
    free = [ask for ask in asks if ask.order_id not in busy]
    closed = await _close(tx, free, decide, action, at, judge)
    answers = {ask.order_id: answer for ask, answer in zip(free, closed, strict=True)}
    return [answers.get(ask.order_id) or PurchaseUnderWay() for ask in asks]


async def _recharging(tx: Tx, orders: Iterable[Order]) -> set[int]:
    """Those whose recharge was sent: nobody can put it back, so it is not refunded until it fails.

    Codes that come too late go to stock instead, and need no such care.
    """
    recharges = [order.id for order in orders if order.recharge]
    found = await purchases.lock_open(tx, Purpose.RECHARGE, recharges)
    return {
        order_id
        for order_id, open_now in found.items()
        if any(purchase.state is not PurchaseState.READY for purchase in open_now)
    }


async def _close(
    tx: Tx,
    asks: Sequence[Ask],
    decide: Decide[Ask],
    action: str,
    at: datetime,
    judge: Judge | None = None,
) -> list[Order | Refusal]:
    assert len({ask.order_id for ask in asks}) == len(asks), "one act an order"
    locked = await sql.lock_orders(tx, [ask.order_id for ask in asks])
    at = model.moment_of_act(at, locked.values())
    items = await sql_read.read_items(tx, list(locked))
    purses = await lock_purses(tx, locked.values())
    answers: dict[int, Order | Refusal] = {}
    plans: list[Plan] = []
    for ask in asks:
        order = locked.get(ask.order_id)
        plan = decide(order, items[order.id], ask, at) if order else OrderNotFound()
        if isinstance(plan, Refusal):
            answers[ask.order_id] = plan
        else:
            plans.append(plan)
    answers |= await judge(tx, plans) if judge else {}
    plans = [settle(plan, purses) for plan in plans if plan.before.id not in answers]
    answers |= {plan.after.id: plan.after for plan in plans}
    await carry_out(tx, plans, purses, action, at)
    gone = [part for plan in plans for part in _no_longer_wanted(plan)]
    await purchases.withdraw(tx, FOR_ORDERS, gone, purchases.GIVEN_UP, at)
    await purchases.narrow(tx, Purpose.ORDER, _still_wanted(plans))
    return [answers[ask.order_id] for ask in asks]


def _no_longer_wanted(plan: Plan) -> list[Part]:
    """What no vendor needs to be asked for: all of a closed order, else each recharge that went."""
    order = plan.after
    if not order.awaited:
        return [Part(order.id)]
    return [Part(order.id, item.position) for _, item in plan.items if order.recharge]


def _still_wanted(plans: Sequence[Plan]) -> dict[int, int]:
    """How many units orders still want of which a part was given up; a recharge is withdrawn."""
    afters = [plan.after for plan in plans if not plan.after.recharge]
    return {order.id: order.awaited for order in afters if order.awaited}


async def refund_over_limit(
    tx: Tx, asks: Sequence[CloseAsk], locked: Sequence[Wallet], at: datetime
) -> list[Move]:
    """Book the full refunds of bulk orders over their client's cap (BULK_LIMIT_EXCEEDED).

    The wallets are locked; the moves that close the orders are the caller's to write.
    """
    purses = Purses({wallet.id: wallet for wallet in locked})
    plans = [settle(plan_close(ask, model.OVER_BULK_LIMIT, at), purses) for ask in asks]
    await _pay(tx, plans, purses, at)
    return [plan.move for plan in plans]


async def pay_owed(
    tx: Tx, order_ids: Sequence[int], actor: Actor, at: datetime
) -> list[Order | Refusal]:
    """Book refunds still owed, where the wallet takes money again.

    Refused with no effect: unknown order, REFUND_NOT_OWED, and whatever the wallet refuses the
    money with (WALLET_FROZEN, WALLET_CLOSED, WALLET_FULL); then it stays owed.
    """
    locked = await sql.lock_orders(tx, order_ids)
    at = model.moment_of_act(at, locked.values())
    purses = await lock_purses(tx, locked.values())
    answers: dict[int, Order | Refusal] = {}
    plans = []
    for order in locked.values():
        plan = plan_pay(order, actor, at, purses)
        if isinstance(plan, Refusal):
            answers[order.id] = plan
        else:
            plans.append(plan)
            answers[order.id] = plan.after
    await carry_out(tx, plans, purses, "order.refunded", at)
    return [answers.get(order_id) or OrderNotFound() for order_id in order_ids]


async def lock_purses(tx: Tx, orders: Iterable[Order]) -> Purses:
    """The wallets of these locked orders, locked too."""
    wallet_ids = sorted({order.wallet_id for order in orders})
    return Purses({wallet.id: wallet for wallet in await wallets.lock_wallets(tx, wallet_ids)})


async def carry_out(
    tx: Tx, plans: Sequence[Plan], purses: Purses, action: str, at: datetime
) -> None:
    """Write settled plans: units, items, money, orders, events and the trail."""
    if not plans:
        return
    await inventory.revoke(tx, [unit for plan in plans for unit in plan.revoked_units])
    await sql.move_items(tx, [pair for plan in plans for pair in plan.items])
    await _pay(tx, plans, purses, at)
    moves = [plan.move for plan in plans]
    await sql.move_orders(tx, moves)
    await webhooks.emit(tx, [event for plan in plans for event in facts.closing_events(plan)], at)
    await audit.record(
        tx, [facts.audit_fact(action, m.after, m.path, m.actor, m.reason) for m in moves], at
    )


async def _pay(tx: Tx, plans: Sequence[Plan], purses: Purses, at: datetime) -> None:
    credits = [
        Posting(
            wallet_id=plan.after.wallet_id,
            kind=TransferKind.REFUND,
            amount_minor=plan.paid_minor,
            order_id=plan.after.id,
            reference=plan.after.ref,
            note=plan.reason,
        )
        for plan in plans
        if plan.paid_minor
    ]
    await wallets.post(tx, purses.wallets, credits, at)
