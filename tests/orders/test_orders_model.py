"""The state machine and the names of items, without a database."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.orders import model
from rewards.orders.model import NEXT, STATES, State, SubStatus, Tier, item_id, item_position, tier

# spec.md §3, the lifecycle table, row by row.
DOCUMENTED = [
    (model.PLACED, model.ON_HAND, model.COMPLETED),
    (model.PLACED, model.ON_HAND, model.PARTIAL),
    (model.PLACED, model.WAITING),
    (model.PLACED, model.PROCESSING, model.ON_HAND, model.COMPLETED),
    (model.PLACED, model.PROCESSING, model.ON_HAND, model.PARTIAL),
    (model.PLACED, model.PROCESSING, model.WAITING),
    (model.PLACED, model.BULK, model.OVER_BULK_LIMIT),
    (model.BULK, model.PROCESSING, model.ON_HAND, model.COMPLETED),
    (model.WAITING, model.ON_HAND, model.COMPLETED),
    (model.PARTIAL, model.ON_HAND, model.PARTIAL),
    (model.WAITING, model.VENDOR_CREATED, model.VENDOR_FETCHED, model.COMPLETED),
    (model.VENDOR_CREATED, model.VENDOR_FAILED, model.REFUNDED),
    (model.VENDOR_CREATED, model.REPROCESS, model.REPROCESS_EXPIRED, model.REFUNDED),
    (model.ON_HAND, model.LINK_PENDING, model.UNCLAIMED, model.CLAIMED),
    (model.PARTIAL, model.REFUNDED),
    (model.COMPLETED, model.REFUNDED),
    (model.COMPLETED, model.REFUND_OWED, model.REFUNDED),
    (model.COMPLETED, model.RECONCILED, model.REFUNDED),
    (model.WAITING, model.FAILED, model.REFUNDED),
    (model.WAITING, model.FAILED_OWED, model.FAILED),
]


@pytest.mark.parametrize("path", DOCUMENTED, ids=lambda path: " → ".join(map(str, path)))
def test_every_documented_path_can_be_walked(path: tuple[State, ...]) -> None:
    assert model.walk(*path) == path


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
                with pytest.raises(AssertionError):
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
