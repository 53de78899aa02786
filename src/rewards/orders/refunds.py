"""Closes orders and gives the money back, exact to the minor unit (spec.md §3)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from rewards.audit import service as audit
from rewards.core.actor import Actor
from rewards.core.errors import InvalidField, Refusal
from rewards.infra.db import Tx
from rewards.inventory import service as inventory
from rewards.orders import facts, model, sql, sql_read
from rewards.orders.model import (
    Item,
    ItemStatus,
    Order,
    OrderNotCancellable,
    OrderNotFound,
    State,
    Status,
)
from rewards.orders.sql import Move
from rewards.pricing.model import returned_share
from rewards.wallets import service as wallets
from rewards.wallets.model import Posting, TransferKind, Wallet, refusal_to_credit
from rewards.webhooks import service as webhooks


@dataclass(frozen=True, slots=True)
class CancelAsk:
    """Give up what still waits, or (late) take back what was delivered; all, or named items."""

    order_id: int
    actor: Actor
    reason: str
    item_ids: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class CloseAsk:
    """An order that is already locked, to be closed whole."""

    order: Order
    actor: Actor
    reason: str | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a cancel will do: items to change, the order afterwards, the path it walks."""

    before: Order
    after: Order
    path: tuple[State, ...]
    items: tuple[tuple[Item, Item], ...]
    actor: Actor
    reason: str | None

    @property
    def revoked_units(self) -> list[int]:
        return [
            old.unit_id
            for old, new in self.items
            if new.status is ItemStatus.REVOKED and old.unit_id
        ]

    @property
    def move(self) -> Move:
        return Move(self.before, self.after, self.path, self.actor, self.reason)

    @property
    def refund_minor(self) -> int:
        """Newly due back, whether it can be booked now or not."""
        due = self.after.refunded_minor + self.after.refund_owed_minor
        return due - self.before.refunded_minor - self.before.refund_owed_minor


async def cancel(tx: Tx, asks: Sequence[CancelAsk], at: datetime) -> list[Order | Refusal]:
    """Close each order as far as asked and refund exactly that; answers the order as it stands now.

    An open order: waiting items are cancelled, delivered ones stay delivered, the rest is refunded.
    A delivered one (recall, fraud): items and their units are REVOKED and refunded. Refused with
    404 or 409 and no effect: unknown order, one that is closed already, items that are not the
    order's or are not in a state to be given back.
    """
    assert len({ask.order_id for ask in asks}) == len(asks), "one act an order"
    locked = await sql.lock_orders(tx, [ask.order_id for ask in asks])
    at = model.moment_of_act(at, locked.values())
    items = await sql_read.read_items(tx, list(locked))
    purses = await _lock_purses(tx, locked.values())
    answers: dict[int, Order | Refusal] = {}
    plans = []
    for ask in asks:
        order = locked.get(ask.order_id)
        plan = (
            plan_cancel(order, items.get(ask.order_id, []), ask, at) if order else OrderNotFound()
        )
        if isinstance(plan, Refusal):
            answers[ask.order_id] = plan
        else:
            plans.append(settle(plan, purses))
    for plan in plans:
        answers[plan.after.id] = plan.after
    await _carry_out(tx, plans, purses, "order.cancelled", at)
    return [answers[ask.order_id] for ask in asks]


async def refund_over_limit(
    tx: Tx, asks: Sequence[CloseAsk], purses: Sequence[Wallet], at: datetime
) -> list[Move]:
    """Book the full refunds of bulk orders over their client's cap (BULK_LIMIT_EXCEEDED).

    The wallets are locked; the moves that close the orders are the caller's to write.
    """
    by_id = {purse.id: purse for purse in purses}
    plans = [settle(_close(ask, model.OVER_BULK_LIMIT, at), by_id) for ask in asks]
    await _pay(tx, plans, by_id, at)
    return [plan.move for plan in plans]


def _close(ask: CloseAsk, target: State, at: datetime) -> Plan:
    order = ask.order
    after = _given_back(order, cancelled=order.missing, revoked=0, at=at)
    after = replace(after, status=target.status, sub_status=target.sub_status, cancelled_at=at)
    return Plan(order, after, model.walk(order.state, target), (), ask.actor, ask.reason)


def plan_cancel(
    order: Order, items: Sequence[Item], ask: CancelAsk, at: datetime
) -> Plan | Refusal:
    """What this cancel does to this order, or why it may not; pure."""
    chosen = _choose_items(order, items, ask)
    if isinstance(chosen, Refusal):
        return chosen
    cancelled = [item for item in chosen if item.status is ItemStatus.PENDING]
    revoked = [item for item in chosen if item.status is ItemStatus.DELIVERED]
    # A bulk order without items yet can only be cancelled whole.
    cancelled_count = len(cancelled) if order.items_created else order.missing
    after = _given_back(order, cancelled=cancelled_count, revoked=len(revoked), at=at)
    path: tuple[State, ...] = (order.state,)
    if revoked or after.missing == 0:
        path = model.walk(order.state, model.REFUNDED)
        after = replace(
            after,
            status=model.REFUNDED.status,
            sub_status=model.REFUNDED.sub_status,
            cancelled_at=order.cancelled_at or at,
        )
    changes = tuple(
        [(item, replace(item, status=ItemStatus.CANCELLED)) for item in cancelled]
        + [(item, replace(item, status=ItemStatus.REVOKED)) for item in revoked]
    )
    return Plan(order, after, path, changes, ask.actor, ask.reason)


def _choose_items(order: Order, items: Sequence[Item], ask: CancelAsk) -> list[Item] | Refusal:
    if order.state in (model.REFUND_OWED, model.OVER_BULK_LIMIT):
        return OrderNotCancellable(order.state)
    if ask.item_ids is None:
        if order.state == model.FAILED:
            return []
        if order.status in (Status.CANCELLED, Status.FAILED):
            return OrderNotCancellable(order.state)
        late = order.status is Status.DELIVERED
        wanted = ItemStatus.DELIVERED if late else ItemStatus.PENDING
        return [item for item in items if item.status is wanted]
    return _named_items(order, items, ask.item_ids)


def _named_items(
    order: Order, items: Sequence[Item], item_ids: Sequence[str]
) -> list[Item] | Refusal:
    if not item_ids:
        return InvalidField("ItemIds", "required")
    by_position = {item.position: item for item in items}
    chosen: dict[int, Item] = {}
    for index, public_id in enumerate(item_ids):
        item = by_position.get(model.item_position(order.id, public_id) or 0)
        if item is None:
            # Which one, not what it says: somebody may have pasted a code.
            return InvalidField("ItemIds", "unknown", details={"index": index})
        if item.status not in (ItemStatus.PENDING, ItemStatus.DELIVERED):
            return OrderNotCancellable(order.state, f"item {public_id} is {item.status}")
        chosen[item.position] = item
    statuses = {item.status for item in chosen.values()}
    if len(statuses) > 1:
        return InvalidField("ItemIds", "mixed", details={"statuses": sorted(statuses)})
    if ItemStatus.DELIVERED in statuses and order.status in model.OPEN_STATUSES:
        return OrderNotCancellable(
            order.state, "delivered items can be taken back once it is closed"
        )
    return list(chosen.values())


def _given_back(order: Order, *, cancelled: int, revoked: int, at: datetime) -> Order:
    """The order after so many more items went back, the money for them owed."""
    before = order.cancelled + order.revoked
    share = returned_share(order.amount_minor, order.quantity, before, cancelled + revoked)
    return replace(
        order,
        cancelled=order.cancelled + cancelled,
        revoked=order.revoked + revoked,
        refund_owed_minor=order.refund_owed_minor + share,
        changed_at=at,
    )


def settle(plan: Plan, purses: Mapping[int, Wallet]) -> Plan:
    """Turn what is owed into what is refunded where the wallet takes it; else say NOT_REFUNDED."""
    after = plan.after
    if refusal_to_credit(purses[after.wallet_id]) is None:
        paid = replace(
            after,
            refunded_minor=after.refunded_minor + after.refund_owed_minor,
            refund_owed_minor=0,
        )
        return replace(plan, after=paid)
    if after.refund_owed_minor == 0 or len(plan.path) == 1:
        return plan
    owed = model.REFUND_OWED
    return replace(
        plan,
        after=replace(after, status=owed.status, sub_status=owed.sub_status),
        path=model.walk(plan.path[0], owed),
    )


async def _lock_purses(tx: Tx, orders: Iterable[Order]) -> dict[int, Wallet]:
    wallet_ids = sorted({order.wallet_id for order in orders})
    return {wallet.id: wallet for wallet in await wallets.lock_wallets(tx, wallet_ids)}


async def _carry_out(
    tx: Tx, plans: Sequence[Plan], purses: Mapping[int, Wallet], action: str, at: datetime
) -> None:
    if not plans:
        return
    await inventory.revoke(tx, [unit for plan in plans for unit in plan.revoked_units])
    await sql.move_items(tx, [pair for plan in plans for pair in plan.items])
    await _pay(tx, plans, purses, at)
    moves = [plan.move for plan in plans]
    await sql.move_orders(tx, moves)
    closed = [
        m.after
        for m in moves
        if m.after.state != m.before.state or m.after.status is Status.CANCELLED
    ]
    await webhooks.emit(tx, [e for order in closed for e in facts.outcome_events(order)], at)
    await audit.record(
        tx, [facts.audit_fact(action, m.after, m.path, m.actor, m.reason) for m in moves], at
    )


async def _pay(tx: Tx, plans: Sequence[Plan], purses: Mapping[int, Wallet], at: datetime) -> None:
    paying = [(p, p.after.refunded_minor - p.before.refunded_minor) for p in plans]
    credits = [_credit(plan.after, amount, plan.reason) for plan, amount in paying if amount]
    await wallets.post(tx, purses, credits, at)


def _credit(order: Order, amount_minor: int, reason: str | None) -> Posting:
    return Posting(
        wallet_id=order.wallet_id,
        kind=TransferKind.REFUND,
        amount_minor=amount_minor,
        order_id=order.id,
        reference=order.ref,
        note=reason,
    )


async def pay_owed(
    tx: Tx, order_ids: Sequence[int], actor: Actor, at: datetime
) -> list[Order | Refusal]:
    """Book refunds still owed, where the wallet takes money again; others stay owed, unchanged."""
    locked = await sql.lock_orders(tx, order_ids)
    at = model.moment_of_act(at, locked.values())
    purses = await _lock_purses(tx, locked.values())
    plans = []
    for order in locked.values():
        if order.refund_owed_minor and refusal_to_credit(purses[order.wallet_id]) is None:
            target = model.FAILED if order.status is Status.FAILED else model.REFUNDED
            closed = order.status in (Status.CANCELLED, Status.FAILED)
            path = model.walk(order.state, target) if closed else (order.state,)
            after = replace(
                order, status=path[-1].status, sub_status=path[-1].sub_status, changed_at=at
            )
            plans.append(settle(Plan(order, after, path, (), actor, "refund retried"), purses))
    await _carry_out(tx, plans, purses, "order.refunded", at)
    paid = {plan.after.id: plan.after for plan in plans}
    return [paid.get(n) or locked.get(n) or OrderNotFound() for n in order_ids]
