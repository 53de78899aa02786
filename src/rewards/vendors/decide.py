"""What becomes of a purchase after a call to its vendor; pure."""

from dataclasses import replace
from datetime import datetime, timedelta

from rewards.vendors.model import (
    NEXT,
    Accepted,
    Delivered,
    NotKnown,
    Outcome,
    Purchase,
    PurchaseState,
    Reason,
    Refused,
    Unknown,
)

FIRST_WAIT_S = 2.0
WAIT_MAX_S = 900.0
# A case is still read, in case the vendor wakes up: reading buys nothing.
CASE_WAIT_S = 3_600.0
DOUBLINGS_MAX = 10


def wait_s(calls: int) -> float:
    """How long to wait after so many calls: 2 s, doubling up to 15 minutes."""
    return float(min(FIRST_WAIT_S * 2 ** min(max(calls - 1, 0), DOUBLINGS_MAX), WAIT_MAX_S))


def after_placing(purchase: Purchase, outcome: Outcome, at: datetime) -> Purchase:
    """The purchase after the one call that places it; it was SENDING.

    A transient refusal leaves it READY for the same key again, until its window closes. Whatever is
    not the vendor's clear word is UNKNOWN and only ever read back from here (spec.md §5).
    """
    if isinstance(outcome, Refused) and outcome.transient:
        if at >= purchase.window_ends_at:
            return _refused(
                purchase, outcome.reason, f"not within the window: {outcome.message}", at
            )
        pause = max(outcome.retry_after_s or 0.0, wait_s(purchase.calls))
        told = replace(purchase, reason=outcome.reason, message=outcome.message)
        return _move(told, PurchaseState.READY, at, pause)
    if isinstance(outcome, Refused):
        return _refused(purchase, outcome.reason, outcome.message, at)
    return _after(purchase, outcome, at)


def after_reading(purchase: Purchase, outcome: Outcome, at: datetime, grace_s: float) -> Purchase:
    """The purchase after reading it back; it was UNKNOWN, ACCEPTED, or SENDING in a dead process.

    "Not known" counts as never placed only `grace_s` after it was sent, and never once the vendor
    had accepted. When the window is over an open purchase becomes a person's case.
    """
    if isinstance(outcome, Refused):
        return _refused(purchase, outcome.reason, outcome.message, at)
    if isinstance(outcome, NotKnown):
        if purchase.state is PurchaseState.ACCEPTED:
            return _after(purchase, Unknown("the vendor forgot an order it had accepted"), at)
        sent_at = purchase.sent_at or purchase.created_at
        if at >= sent_at + timedelta(seconds=grace_s):
            never = replace(purchase, message="the vendor never had it", settled_at=at)
            return _move(never, PurchaseState.NOT_PLACED, at, 0.0)
        return _after(purchase, Unknown("not known to the vendor yet"), at)
    return _after(purchase, outcome, at)


def _after(purchase: Purchase, outcome: Outcome, at: datetime) -> Purchase:
    if isinstance(outcome, Delivered):
        done = replace(
            purchase,
            vendor_ref=outcome.vendor_ref or purchase.vendor_ref,
            cost=outcome.cost or purchase.cost,
            reason=None,
            message=None,
            settled_at=at,
        )
        return _move(done, PurchaseState.FULFILLED, at, 0.0)
    if isinstance(outcome, Accepted):
        told = replace(
            purchase,
            vendor_ref=outcome.vendor_ref or purchase.vendor_ref,
            cost=outcome.cost or purchase.cost,
            reason=None,
            message=None,
        )
        return _waiting(told, PurchaseState.ACCEPTED, at)
    why = outcome.why if isinstance(outcome, Unknown) else "no sensible answer"
    # What was accepted once stays accepted: one bad answer unsays nothing.
    forgot = purchase.state is PurchaseState.ACCEPTED
    state = PurchaseState.ACCEPTED if forgot else PurchaseState.UNKNOWN
    return _waiting(replace(purchase, message=why), state, at)


def _waiting(purchase: Purchase, state: PurchaseState, at: datetime) -> Purchase:
    if at < purchase.window_ends_at:
        return _move(purchase, state, at, wait_s(purchase.calls))
    case = replace(purchase, case_at=purchase.case_at or at)
    return _move(case, state, at, CASE_WAIT_S)


def _refused(purchase: Purchase, reason: Reason, message: str, at: datetime) -> Purchase:
    told = replace(purchase, reason=reason, message=message, settled_at=at)
    return _move(told, PurchaseState.REFUSED, at, 0.0)


def _move(purchase: Purchase, state: PurchaseState, at: datetime, pause_s: float) -> Purchase:
    assert state in NEXT[purchase.state], f"{purchase.state} cannot become {state}"
    return replace(purchase, state=state, next_at=at + timedelta(seconds=pause_s))
