"""Who must act next upon an order: every state of the lifecycle, and what is under way in it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rewards.orders import model
from rewards.orders.model import STATES, OnPartial, Order, State
from rewards.orders.model_next import RETRIED_ITSELF, USUAL, Around, Ends, Next, Who, Why, next_act
from rewards.vendors.model import Line, Purchase, PurchaseState, Purpose

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
OPEN = [state for state in STATES if state.status in model.OPEN_STATUSES]
CLOSED = [state for state in STATES if state not in OPEN]


def order_in(state: State, **facts: Any) -> Order:
    usual: dict[str, Any] = {
        "id": 1,
        "client_id": 1,
        "ref": "r",
        "transaction_id": 1,
        "wallet_id": 1,
        "currency": "USD",
        "amount_minor": 2_500,
        "discount_minor": 0,
        "fees_minor": 0,
        "tax_minor": 0,
        "forex_rate": None,
        "forex_rate_source": None,
        "forex_rate_at": None,
        "product_id": 6,
        "product_revision_id": 1,
        "product_name": "Card",
        "product_currency": "USD",
        "denomination_minor": 2_500,
        "quantity": 1,
        "on_partial": OnPartial.KEEP,
        "deliver_by": None,
        "email": None,
        "mobile": None,
        "metadata": None,
        "items_created": 1,
        "fulfilled": 0,
        "cancelled": 0,
        "revoked": 0,
        "refunded_minor": 0,
        "refund_owed_minor": 0,
        "placed_at": NOW,
        "changed_at": NOW,
        "delivered_at": None,
        "cancelled_at": None,
    }
    return Order(status=state.status, sub_status=state.sub_status, **(usual | facts))


def purchase(state: PurchaseState, **facts: Any) -> Purchase:
    usual: dict[str, Any] = {
        "id": 1,
        "vendor_id": 1,
        "key": "k",
        "purpose": Purpose.ORDER,
        "subject_id": 1,
        "position": 0,
        "line": Line("AMZ", 2_500, "USD", 1, None),
        "remaining": 0,
        "vendor_ref": None,
        "reason": None,
        "message": None,
        "received": 0,
        "quarantined": 0,
        "cost": None,
        "batch_id": None,
        "calls": 1,
        "next_at": NOW,
        "case_at": None,
        "window_ends_at": NOW + 24 * HOUR,
        "asked_by": 1,
        "created_at": NOW,
        "sent_at": NOW,
        "settled_at": None,
    }
    return Purchase(state=state, **(usual | facts))


# As docs/lifecycle.md has it, with nothing else under way.
ALONE = {
    model.PLACED: (Who.WORKER, Why.BEING_FILLED),
    model.BULK: (Who.STAFF, Why.BULK_NOT_BEGUN),
    model.PROCESSING: (Who.WORKER, Why.BEING_FILLED),
    model.ON_HAND: (Who.WORKER, Why.BEING_FILLED),
    model.WAITING: (Who.STAFF, Why.POOL_EMPTY),
    model.VENDOR_CREATED: (Who.VENDOR, Why.VENDOR_ASKED),
    model.VENDOR_FETCHED: (Who.WORKER, Why.BEING_FILLED),
    model.VENDOR_FAILED: (Who.STAFF, Why.VENDOR_REFUSED),
    model.REPROCESS: (Who.WORKER, Why.OUTCOME_UNKNOWN),
    model.REPROCESS_EXPIRED: (Who.STAFF, Why.WINDOW_OVER),
    model.LINK_PENDING: (Who.WORKER, Why.LINKS_TO_BE_MADE),
    model.PARTIAL: (Who.STAFF, Why.POOL_SHORT),
    model.UNCLAIMED: (Who.END_USER, Why.LINK_UNCLAIMED),
    model.REFUND_OWED: (Who.STAFF, Why.REFUND_OWED),
    model.FAILED_OWED: (Who.STAFF, Why.REFUND_OWED),
}
OVER = (Who.NOBODY, Why.OVER)


@pytest.mark.parametrize("state", STATES, ids=str)
def test_every_state_says_who_acts_next(state: State) -> None:
    told = next_act(order_in(state), Around(), NOW)
    assert (told.who, told.why) == ALONE.get(state, OVER)
    assert (told.until, told.ends) == (None, None)
    # Whatever can go on by itself or by somebody has who does it; what cannot, nobody.
    ends = model.NEXT[state] <= {model.REFUNDED, model.REFUND_OWED}
    assert (told.who is Who.NOBODY) <= (ends or state == model.COMPLETED)


@pytest.mark.parametrize("state", OPEN, ids=str)
@pytest.mark.parametrize(
    ("bought", "who", "why"),
    [
        (PurchaseState.READY, Who.WORKER, Why.VENDOR_TO_BE_ASKED),
        (PurchaseState.SENDING, Who.VENDOR, Why.VENDOR_ASKED),
        (PurchaseState.ACCEPTED, Who.VENDOR, Why.VENDOR_ASKED),
        (PurchaseState.UNKNOWN, Who.WORKER, Why.OUTCOME_UNKNOWN),
    ],
)
def test_a_purchase_under_way_comes_first(
    state: State, bought: PurchaseState, who: Who, why: Why
) -> None:
    one, later = purchase(bought), purchase(bought, window_ends_at=NOW + 48 * HOUR)
    asked = Around([later, one], approval_until=NOW + HOUR, retries_itself=True)
    told = next_act(order_in(state), asked, NOW)
    assert told == Next(who, why, NOW + 24 * HOUR, Ends.WINDOW)
    # What nobody can tell when the window is over is for a person.
    case = replace(asked, purchases=[later, replace(one, case_at=NOW)])
    assert next_act(order_in(state), case, NOW) == Next(Who.STAFF, Why.CASE)
    settled = Around([replace(one, state=PurchaseState.REFUSED, settled_at=NOW)])
    assert next_act(order_in(state), settled, NOW) == next_act(order_in(state), Around(), NOW)


@pytest.mark.parametrize("state", OPEN, ids=str)
def test_a_second_person_is_waited_for_until_the_request_expires(state: State) -> None:
    asked = Around(approval_until=NOW + HOUR)
    told = next_act(order_in(state), asked, NOW)
    assert told == Next(Who.SECOND_PERSON, Why.SECOND_PERSON_ASKED, NOW + HOUR, Ends.APPROVAL)
    agreed = next_act(order_in(state), Around(agreed=True), NOW)
    assert agreed == Next(Who.WORKER, Why.AGREED)


@pytest.mark.parametrize("state", OPEN, ids=str)
def test_deliver_by_ends_every_wait(state: State) -> None:
    soon = order_in(state, deliver_by=NOW + HOUR)
    alone = next_act(order_in(state), Around(), NOW)
    told = next_act(soon, Around(), NOW)
    assert told == Next(alone.who, alone.why, NOW + HOUR, Ends.DELIVER_BY)
    # The first of two ends counts.
    bought = Around([purchase(PurchaseState.ACCEPTED)])
    assert next_act(soon, bought, NOW).ends is Ends.DELIVER_BY
    later = replace(soon, deliver_by=NOW + 72 * HOUR)
    assert next_act(later, bought, NOW).ends is Ends.WINDOW
    passed = next_act(soon, Around(), NOW + HOUR)
    assert passed == Next(Who.WORKER, Why.DEADLINE_PASSED, NOW + HOUR, Ends.DELIVER_BY)
    # A recharge that was sent is not cancelled before it is settled.
    sent = replace(soon, mobile={"mobile_number": "1"})
    assert next_act(sent, bought, NOW + HOUR).why is Why.VENDOR_ASKED
    ready = Around([purchase(PurchaseState.READY)])
    assert next_act(sent, ready, NOW + HOUR).why is Why.DEADLINE_PASSED


@pytest.mark.parametrize("state", OPEN, ids=str)
def test_where_pumps_retry_a_worker_looks_for_what_the_pool_lacked(state: State) -> None:
    alone = next_act(order_in(state), Around(), NOW)
    told = next_act(order_in(state), Around(retries_itself=True), NOW)
    assert told.why is alone.why
    assert (told.who is Who.WORKER) == (alone.why in RETRIED_ITSELF or alone.who is Who.WORKER)


@pytest.mark.parametrize("state", CLOSED, ids=str)
def test_what_is_over_waits_for_nothing_that_is_left_around_it(state: State) -> None:
    left = Around([purchase(PurchaseState.ACCEPTED)], NOW + HOUR, agreed=True)
    told = next_act(order_in(state, deliver_by=NOW - HOUR), left, NOW)
    assert told == USUAL[state]


def test_a_link_waits_for_its_end_user_until_it_dies() -> None:
    told = next_act(order_in(model.UNCLAIMED), Around(claim_before=NOW + HOUR), NOW)
    assert told == Next(Who.END_USER, Why.LINK_UNCLAIMED, NOW + HOUR, Ends.LINK)
