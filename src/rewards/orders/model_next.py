"""Who must act next upon an order, why, and until when (docs/lifecycle.md); pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from rewards.orders import model
from rewards.orders.model import OPEN_STATUSES, Order, State
from rewards.vendors.model import Purchase, PurchaseState


class Who(StrEnum):
    WORKER = "WORKER"
    VENDOR = "VENDOR"
    STAFF = "STAFF"
    SECOND_PERSON = "SECOND_PERSON"
    END_USER = "END_USER"
    NOBODY = "NOBODY"


class Why(StrEnum):
    BEING_FILLED = "BEING_FILLED"  # a worker looks into the pool
    BULK_NOT_BEGUN = "BULK_NOT_BEGUN"  # more than 50: the first retry makes its items
    POOL_EMPTY = "POOL_EMPTY"  # nothing was there: retry, have a vendor deliver, or cancel
    POOL_SHORT = "POOL_SHORT"  # a part was there: the same for the rest
    SECOND_PERSON_ASKED = "SECOND_PERSON_ASKED"  # above the limit of one
    AGREED = "AGREED"  # a second person did; a worker carries it out
    VENDOR_TO_BE_ASKED = "VENDOR_TO_BE_ASKED"  # committed to; a worker calls
    VENDOR_ASKED = "VENDOR_ASKED"  # it has the order, and is to deliver
    OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN"  # read back again and again, inside the window
    CASE = "CASE"  # the window is over, and a person decides what became of it
    VENDOR_REFUSED = "VENDOR_REFUSED"
    WINDOW_OVER = "WINDOW_OVER"  # settled after its case; the order waits as before it
    LINKS_TO_BE_MADE = "LINKS_TO_BE_MADE"
    LINK_UNCLAIMED = "LINK_UNCLAIMED"
    DEADLINE_PASSED = "DEADLINE_PASSED"  # a worker is about to cancel and refund
    REFUND_OWED = "REFUND_OWED"  # the wallet takes no money: open it, a worker then pays
    OVER = "OVER"


class Ends(StrEnum):
    """What is over at that time."""

    DELIVER_BY = "DELIVER_BY"  # then it is cancelled and refunded
    WINDOW = "WINDOW"  # then nobody reads back any more: a case
    APPROVAL = "APPROVAL"  # then it must be asked for again
    LINK = "LINK"  # then what is not claimed goes back


@dataclass(frozen=True, slots=True)
class Next:
    """Who is to act, why, and by when at the latest; without a time it waits for as long."""

    who: Who
    why: Why
    until: datetime | None = None
    ends: Ends | None = None


@dataclass(frozen=True, slots=True)
class Around:
    """What is under way around an order: open purchases, and what a second person was asked.

    `approval_until`: until when somebody may agree; `agreed`: somebody did, and it is not carried
    out. `claim_before`: until when the first unclaimed link may be used. `retries_itself`: pumps
    look for what waits.
    """

    purchases: Sequence[Purchase] = ()
    approval_until: datetime | None = None
    agreed: bool = False
    claim_before: datetime | None = None
    retries_itself: bool = False


# Where nothing is under way: a person decides, or a worker is at it.
USUAL: Mapping[State, Next] = MappingProxyType(
    {
        model.PLACED: Next(Who.WORKER, Why.BEING_FILLED),
        model.BULK: Next(Who.STAFF, Why.BULK_NOT_BEGUN),
        model.PROCESSING: Next(Who.WORKER, Why.BEING_FILLED),
        model.ON_HAND: Next(Who.WORKER, Why.BEING_FILLED),
        model.WAITING: Next(Who.STAFF, Why.POOL_EMPTY),
        model.VENDOR_CREATED: Next(Who.VENDOR, Why.VENDOR_ASKED),
        model.VENDOR_FETCHED: Next(Who.WORKER, Why.BEING_FILLED),
        model.VENDOR_FAILED: Next(Who.STAFF, Why.VENDOR_REFUSED),
        model.REPROCESS: Next(Who.WORKER, Why.OUTCOME_UNKNOWN),
        model.REPROCESS_EXPIRED: Next(Who.STAFF, Why.WINDOW_OVER),
        model.LINK_PENDING: Next(Who.WORKER, Why.LINKS_TO_BE_MADE),
        model.PARTIAL: Next(Who.STAFF, Why.POOL_SHORT),
        model.COMPLETED: Next(Who.NOBODY, Why.OVER),
        model.UNCLAIMED: Next(Who.END_USER, Why.LINK_UNCLAIMED),
        model.CLAIMED: Next(Who.NOBODY, Why.OVER),
        model.RECONCILED: Next(Who.NOBODY, Why.OVER),
        model.REFUNDED: Next(Who.NOBODY, Why.OVER),
        model.REFUND_OWED: Next(Who.STAFF, Why.REFUND_OWED),
        model.OVER_BULK_LIMIT: Next(Who.NOBODY, Why.OVER),
        model.FAILED: Next(Who.NOBODY, Why.OVER),
        model.FAILED_OWED: Next(Who.STAFF, Why.REFUND_OWED),
    }
)
assert USUAL.keys() == set(model.STATES), "every state says who acts next"
# What a pump or a cron looks for by itself, where auto-retry is on.
RETRIED_ITSELF = frozenset({Why.BULK_NOT_BEGUN, Why.POOL_EMPTY, Why.POOL_SHORT})
_OF_PURCHASE: Mapping[PurchaseState, tuple[Who, Why]] = MappingProxyType(
    {
        PurchaseState.READY: (Who.WORKER, Why.VENDOR_TO_BE_ASKED),
        PurchaseState.SENDING: (Who.VENDOR, Why.VENDOR_ASKED),
        PurchaseState.UNKNOWN: (Who.WORKER, Why.OUTCOME_UNKNOWN),
        PurchaseState.ACCEPTED: (Who.VENDOR, Why.VENDOR_ASKED),
    }
)


def next_act(order: Order, around: Around, now: datetime) -> Next:
    """Who must act next. What is under way comes before what somebody could begin."""
    acts = _under_way(order, around)
    waits = order.status in OPEN_STATUSES
    if waits and order.deliver_by is not None:
        sent = any(each.state is not PurchaseState.READY for each in around.purchases)
        # A recharge that was sent cannot be put back: it is not cancelled before it is settled.
        if order.deliver_by <= now and not (order.recharge and sent):
            return Next(Who.WORKER, Why.DEADLINE_PASSED, order.deliver_by, Ends.DELIVER_BY)
        if order.deliver_by > now and (acts.until is None or order.deliver_by < acts.until):
            return Next(acts.who, acts.why, order.deliver_by, Ends.DELIVER_BY)
    return acts


def _under_way(order: Order, around: Around) -> Next:
    usual = USUAL[order.state]
    if order.state == model.UNCLAIMED:
        ends = None if around.claim_before is None else Ends.LINK
        return Next(usual.who, usual.why, around.claim_before, ends)
    if order.status not in OPEN_STATUSES:
        return usual
    open_now = [each for each in around.purchases if each.open]
    cases = [each for each in open_now if each.case_at is not None]
    if cases:
        return Next(Who.STAFF, Why.CASE)
    if open_now:
        # Of several recharges the one whose window ends first.
        first = min(open_now, key=lambda each: each.window_ends_at)
        return Next(*_OF_PURCHASE[first.state], first.window_ends_at, Ends.WINDOW)
    if around.agreed:
        return Next(Who.WORKER, Why.AGREED)
    if around.approval_until is not None:
        until = around.approval_until
        return Next(Who.SECOND_PERSON, Why.SECOND_PERSON_ASKED, until, Ends.APPROVAL)
    if around.retries_itself and usual.why in RETRIED_ITSELF:
        return Next(Who.WORKER, usual.why)
    return usual
