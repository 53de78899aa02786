"""The state machine and the names of items, without a database."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.orders import model
from rewards.orders.model import (
    NEXT,
    STATES,
    RechargeStatus,
    SubStatus,
    Tier,
    item_id,
    item_position,
    tier,
)

# As the seeds name them; clients know them by these names.
SUB_STATUSES = {
    *("INITIAL", "PROCESSING", "PARTIAL", "COMPLETED", "INVENTORY_FULFILLED", "RECONCILED"),
    *("VENDOR_ORDER_PENDING", "VENDOR_ORDER_CREATED", "VENDOR_ORDER_FAILED"),
    *("VENDOR_VOUCHER_FETCHED", "PENDING_REPROCESS", "REPROCESS_EXPIRED"),
    *("GV_LINK_PENDING", "GV_LINK_CLAIMED", "GV_LINK_UNCLAIMED"),
    *("BULK_LIMIT_EXCEEDED", "REFUNDED", "NOT_REFUNDED"),
}
RECHARGE_STATUSES = {"PENDING", "DELIVERED", "RECHARGED", "FAILED", "CANCELLED"}


def test_statuses_are_those_of_the_seeds() -> None:
    """The rows of docs/lifecycle.md are walked to each of them, test_orders_recharges to these."""
    assert len(SUB_STATUSES) == 18
    assert {str(status) for status in SubStatus} == SUB_STATUSES
    assert {str(status) for status in RechargeStatus} == RECHARGE_STATUSES


def test_every_sub_status_of_the_seeds_is_reachable_from_placing() -> None:
    seen, front = {model.PLACED}, [model.PLACED]
    while front:
        for state in NEXT[front.pop()] - seen:
            seen.add(state)
            front.append(state)
    assert seen == set(STATES)
    assert {state.sub_status for state in seen} == set(SubStatus)


def test_a_step_outside_the_table_is_refused() -> None:
    legal = {(a, b) for a in STATES for b in NEXT[a]}
    for source in STATES:
        for target in STATES:
            if (source, target) not in legal:
                with pytest.raises(model.IllegalStep):
                    model.walk(source, target)


def test_what_is_closed_for_good_stays_closed() -> None:
    assert NEXT[model.OVER_BULK_LIMIT] == frozenset()
    assert model.COMPLETED not in NEXT[model.REFUNDED]


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [(1, Tier.REQUEST), (10, Tier.REQUEST), (11, Tier.FILLED), (50, Tier.FILLED), (51, Tier.BULK)],
)
def test_the_tiers_change_exactly_at_10_and_50(quantity: int, expected: Tier) -> None:
    assert tier(quantity, realtime=False, request_max=10, filled_max=50) is expected
    assert tier(quantity, realtime=True, request_max=10, filled_max=50) is Tier.REQUEST


@given(st.integers(1, 2**53), st.integers(1, 10**6))
def test_an_item_id_names_its_position_in_its_own_order_only(order_id: int, position: int) -> None:
    assert item_position(order_id, item_id(order_id, position)) == position
    assert item_position(order_id + 1, item_id(order_id, position)) is None


@given(st.text(max_size=20))
def test_any_other_text_is_no_item_id(text: str) -> None:
    if not text.startswith("7-"):
        assert item_position(7, text) is None
