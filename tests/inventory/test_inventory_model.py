"""Dealing picks out to needs, and what makes a code the same code."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.catalog.model import ShelfKey
from rewards.inventory.model import (
    Need,
    NewUnit,
    Picked,
    StoredUnit,
    Taken,
    UnitState,
    asked,
    deal,
    identity,
)

SHELVES = [ShelfKey(product_id, 1000, "USD") for product_id in (1, 2, 3)]
needs_lists = st.lists(
    st.builds(Need, st.sampled_from(SHELVES), st.integers(1, 6), st.booleans()), max_size=12
)
stocks = st.fixed_dictionaries({shelf: st.integers(0, 20) for shelf in SHELVES})


def picks(stock: dict[ShelfKey, int]) -> dict[ShelfKey, list[Picked]]:
    return {
        shelf: [Picked(shelf.product_id * 1000 + n, None) for n in range(count)]
        for shelf, count in stock.items()
    }


@given(stock=stocks, needs=needs_lists)
def test_a_batch_deals_what_singles_would(stock: dict[ShelfKey, int], needs: list[Need]) -> None:
    picked = picks(stock)
    left = picks(stock)
    singles = []
    for need in needs:
        [hand] = deal(left, [need])
        left[need.shelf] = left[need.shelf][len(hand) :]
        singles.append(list(hand))
    assert [list(hand) for hand in deal(picked, needs)] == singles


@given(stock=stocks, needs=needs_lists)
def test_no_unit_is_dealt_twice_and_none_out_of_order(
    stock: dict[ShelfKey, int], needs: list[Need]
) -> None:
    hands = deal(picks(stock), needs)
    dealt = [unit.unit_id for hand in hands for unit in hand]
    assert len(dealt) == len(set(dealt))
    for shelf, count in stock.items():
        mine = [u.unit_id for n, h in zip(needs, hands, strict=True) if n.shelf == shelf for u in h]
        assert mine == [shelf.product_id * 1000 + n for n in range(len(mine))]
        assert len(mine) <= count


@given(stock=stocks, needs=needs_lists)
def test_a_hand_is_full_or_the_shelf_is_empty_or_all_was_wanted(
    stock: dict[ShelfKey, int], needs: list[Need]
) -> None:
    left = dict(stock)
    for need, hand in zip(needs, deal(picks(stock), needs), strict=True):
        if need.all_or_nothing and left[need.shelf] < need.quantity:
            assert hand == ()
        else:
            assert len(hand) == min(need.quantity, left[need.shelf])
        left[need.shelf] -= len(hand)


@given(needs=needs_lists)
def test_shelves_are_asked_for_once_each_in_one_order(needs: list[Need]) -> None:
    asks = asked(needs)
    assert list(asks) == sorted({need.shelf for need in needs})
    assert sum(asks.values()) == sum(need.quantity for need in needs)


def test_spacing_does_not_make_another_code() -> None:
    assert identity({"code": "AB12-CD34 EF"}) == identity({"code": "AB12CD34EF"})
    assert identity({"code": "ab12"}) != identity({"code": "AB12"})
    assert identity({"card_number": "6006 1", "pin_code": "1"}) == "60061"
    assert identity({"claim_url": "https://x.test/a-b"}) == "https://x.test/a-b"
    with pytest.raises(ValueError):
        identity({"code": ""})


def test_no_value_shows_a_code() -> None:
    unit = NewUnit(SHELVES[0], {"code": "CANARY-1"})
    stored = StoredUnit(1, SHELVES[0], 1, UnitState.AVAILABLE, None, b"CANARY-1")
    shown = repr([unit, stored, Taken(1, None, b"CANARY-1")])
    assert "CANARY" not in shown
