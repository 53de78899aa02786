"""What closing an order, whole or in part, does to it and to the money; pure (spec.md §3)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from rewards.core.actor import Actor
from rewards.core.errors import InvalidField, Refusal
from rewards.orders import model
from rewards.orders.model import (
    Item,
    ItemStatus,
    Order,
    OrderNotCancellable,
    OrderNotOpen,
    RefundNotOwed,
    State,
    Status,
)
from rewards.orders.model_links import LinkStatus
from rewards.orders.sql import Move
from rewards.pricing.model import returned_share
from rewards.wallets.model import Wallet, refusal_to_credit


@dataclass(frozen=True, slots=True)
class CancelAsk:
    """Give up what still waits, or (late) take back what was delivered; all, or named items."""

    order_id: int
    actor: Actor
    reason: str
    item_ids: tuple[str, ...] | None = None
    # A deadline gives up what waits; whatever was delivered a moment ago stays delivered.
    only_open: bool = False


@dataclass(frozen=True, slots=True)
class FailAsk:
    """Give up what can never be served, for good: all that waits, or named items of it."""

    order_id: int
    actor: Actor
    reason: str
    item_ids: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class TakeBackAsk:
    """Take back what an order got from this batch; `replace`: from the pool, as far as it goes."""

    order_id: int
    batch_id: int
    actor: Actor
    reason: str
    replace: bool = False


@dataclass(frozen=True, slots=True)
class CloseAsk:
    """An order that is already locked, to be closed whole."""

    order: Order
    actor: Actor
    reason: str | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What closing will do: items to change, the order afterwards, the path it walks."""

    before: Order
    after: Order
    path: tuple[State, ...]
    items: tuple[tuple[Item, Item], ...]
    actor: Actor
    reason: str | None

    @property
    def revoked_units(self) -> list[int]:
        """Units that go back: of an item that is REVOKED, or that got another unit."""
        return [
            old.unit_id
            for old, new in self.items
            if old.unit_id and (new.status is ItemStatus.REVOKED or new.unit_id != old.unit_id)
        ]

    @property
    def gives_back(self) -> bool:
        """Whether money is due for what this act took; not where all of it was replaced."""
        returned = self.after.cancelled + self.after.revoked
        return returned > self.before.cancelled + self.before.revoked

    @property
    def replaced(self) -> list[tuple[Item, Item]]:
        """Items that were delivered and are, with another unit."""
        return [(old, new) for old, new in self.items if old.unit_id not in (None, new.unit_id)]

    @property
    def move(self) -> Move:
        return Move(self.before, self.after, self.path, self.actor, self.reason)

    @property
    def taken_back_minor(self) -> int:
        """What this act gives back for items that somebody had (late); 0 for what waited."""
        if self.before.status in model.OPEN_STATUSES or self.after.revoked == self.before.revoked:
            return 0
        due = self.after.refund_owed_minor + self.after.refunded_minor
        return due - self.before.refund_owed_minor - self.before.refunded_minor

    @property
    def paid_minor(self) -> int:
        """What this act books on the wallet, of now or owed since before."""
        return self.after.refunded_minor - self.before.refunded_minor


class Purses:
    """Locked wallets and the refunds decided for each of them so far: one cannot overflow."""

    def __init__(self, locked: Mapping[int, Wallet]) -> None:
        self.wallets = locked
        self._decided = dict.fromkeys(locked, 0)

    def refusal(self, wallet_id: int, amount_minor: int) -> Refusal | None:
        """Why this much more cannot be put into the wallet now; None when it can."""
        return refusal_to_credit(self.wallets[wallet_id], self._decided[wallet_id] + amount_minor)

    def take(self, wallet_id: int, amount_minor: int) -> bool:
        """Whether the wallet takes this much more; then it counts as taken."""
        if self.refusal(wallet_id, amount_minor) is not None:
            return False
        self._decided[wallet_id] += amount_minor
        return True


def plan_cancel(
    order: Order, items: Sequence[Item], ask: CancelAsk, at: datetime
) -> Plan | Refusal:
    """What this cancel does to this order, or why it may not."""
    if ask.only_open and order.status not in model.OPEN_STATUSES:
        return OrderNotCancellable(order.state)
    chosen = _choose_items(order, items, ask)
    if isinstance(chosen, Refusal):
        return chosen
    return _give_back(order, chosen, ask.actor, ask.reason, at)


def plan_fail(order: Order, items: Sequence[Item], ask: FailAsk, at: datetime) -> Plan | Refusal:
    """What a permanent failure does to this order (D14), or why it has nothing left to fail."""
    if order.status not in model.OPEN_STATUSES:
        return OrderNotOpen(order.state)
    chosen = _waiting(order, items)
    if ask.item_ids is not None:
        named = _named_items(order, items, ask.item_ids)
        if isinstance(named, Refusal):
            return named
        if any(item.status is not ItemStatus.PENDING for item in named):
            return OrderNotOpen(order.state)
        chosen = named
    unlinked = [item for item in chosen if item.status is ItemStatus.DELIVERED]
    count = len(chosen) - len(unlinked) if order.items_created else order.missing
    after = _given_back(order, cancelled=count, revoked=len(unlinked), at=at)
    path = _closing_path(order, model.FAILED) if after.missing == 0 else (order.state,)
    failed = [item for item in chosen if item.status is ItemStatus.PENDING]
    changes = tuple((item, item.become(ItemStatus.FAILED)) for item in failed) + _revoked(unlinked)
    return Plan(order, _at_end(after, path), path, changes, ask.actor, ask.reason)


def plan_close(ask: CloseAsk, target: State, at: datetime) -> Plan:
    """Close an order that has no items yet, whole."""
    order = ask.order
    after = _given_back(order, cancelled=order.missing, revoked=0, at=at)
    after = replace(after, status=target.status, sub_status=target.sub_status, cancelled_at=at)
    return Plan(order, after, model.walk(order.state, target), (), ask.actor, ask.reason)


def plan_take_back(
    order: Order, items: Sequence[Item], fresh: Sequence[int], ask: TakeBackAsk, at: datetime
) -> Plan:
    """Take these delivered items' units back, wherever their order stands (recall of a batch).

    The first items get the `fresh` units instead and stay delivered; no money moves for them. The
    others are REVOKED and refunded. A closed order then ends as after any late cancel; one that
    still waits for other items goes on waiting.
    """
    assert items, "there is something to take back"
    assert all(item.status is ItemStatus.DELIVERED for item in items)
    swapped = tuple(
        (item, replace(item, unit_id=unit_id)) for item, unit_id in zip(items, fresh, strict=False)
    )
    rest = items[len(fresh) :]
    # One that waits for links alone waits for no other items.
    closed = order.status not in model.OPEN_STATUSES or order.state == model.LINK_PENDING
    if rest and closed:
        plan = _give_back(order, rest, ask.actor, ask.reason, at)
        return replace(plan, items=plan.items + swapped)
    after = _given_back(order, cancelled=0, revoked=len(rest), at=at)
    changes = _revoked(rest) + swapped
    return Plan(order, after, (order.state,), changes, ask.actor, ask.reason)


def plan_pay(order: Order, actor: Actor, at: datetime, purses: Purses) -> Plan | Refusal:
    """Book what is owed of an earlier refund; refused as the wallet refuses it."""
    if not order.refund_owed_minor:
        return RefundNotOwed(order.state)
    refusal = purses.refusal(order.wallet_id, order.refund_owed_minor)
    if refusal is not None:
        return refusal
    target = model.FAILED if order.status is Status.FAILED else model.REFUNDED
    closed = order.status in (Status.CANCELLED, Status.FAILED)
    path = model.walk(order.state, target) if closed else (order.state,)
    after = _at_end(replace(order, changed_at=at), path)
    return settle(Plan(order, after, path, (), actor, "refund retried"), purses)


def settle(plan: Plan, purses: Purses) -> Plan:
    """Turn what is owed into what is refunded where the wallet takes it; else say NOT_REFUNDED."""
    after = plan.after
    if purses.take(after.wallet_id, after.refund_owed_minor):
        paid = replace(
            after,
            refunded_minor=after.refunded_minor + after.refund_owed_minor,
            refund_owed_minor=0,
        )
        return replace(plan, after=paid)
    if after.refund_owed_minor == 0 or len(plan.path) == 1:
        return plan
    owed = model.FAILED_OWED if after.status is Status.FAILED else model.REFUND_OWED
    path = model.walk(plan.path[0], owed)
    return replace(plan, after=_at_end(after, path), path=path)


def _give_back(
    order: Order, chosen: Sequence[Item], actor: Actor, reason: str, at: datetime
) -> Plan:
    cancelled = [item for item in chosen if item.status is ItemStatus.PENDING]
    revoked = [item for item in chosen if item.status is ItemStatus.DELIVERED]
    # A bulk order without items yet can only be cancelled whole.
    cancelled_count = len(cancelled) if order.items_created else order.missing
    after = _given_back(order, cancelled=cancelled_count, revoked=len(revoked), at=at)
    path: tuple[State, ...] = (order.state,)
    if revoked or after.missing == 0:
        path = _closing_path(order, model.REFUNDED)
        after = replace(_at_end(after, path), cancelled_at=order.cancelled_at or at)
    gone = tuple((item, item.become(ItemStatus.CANCELLED)) for item in cancelled)
    return Plan(order, after, path, gone + _revoked(revoked), actor, reason)


def _revoked(items: Sequence[Item]) -> tuple[tuple[Item, Item], ...]:
    return tuple((item, item.become(ItemStatus.REVOKED)) for item in items)


def _closing_path(order: Order, target: State) -> tuple[State, ...]:
    """How the order gets there once all is paid: what failed and was owed is paid first."""
    if order.state == model.FAILED_OWED:
        return model.walk(order.state, model.FAILED, target)
    return model.walk(order.state, target)


def _at_end(order: Order, path: tuple[State, ...]) -> Order:
    return replace(order, status=path[-1].status, sub_status=path[-1].sub_status)


def _choose_items(order: Order, items: Sequence[Item], ask: CancelAsk) -> list[Item] | Refusal:
    if order.state in (model.REFUND_OWED, model.OVER_BULK_LIMIT):
        return OrderNotCancellable(order.state)
    if ask.item_ids is not None:
        return _named_items(order, items, ask.item_ids)
    if order.status is Status.FAILED:
        # Nothing waits any more; what was delivered before it failed stays delivered.
        return []
    if order.status is Status.CANCELLED:
        return OrderNotCancellable(order.state)
    if order.status is not Status.DELIVERED:
        return _waiting(order, items)
    return [item for item in items if item.status is ItemStatus.DELIVERED]


def _waiting(order: Order, items: Sequence[Item]) -> list[Item]:
    """What of an open order nobody has yet: waiting items, or units that wait for their links."""
    if order.state == model.LINK_PENDING:
        return [item for item in items if _unlinked(item)]
    return [item for item in items if item.status is ItemStatus.PENDING]


def _unlinked(item: Item) -> bool:
    return item.status is ItemStatus.DELIVERED and item.link_status is LinkStatus.PENDING


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
