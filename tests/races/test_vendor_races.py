"""Every pair of acts upon an order that a vendor is asked for: its answers, staff, time (T8).

As tests/races/test_order_races.py: whatever meets, what is left and what all were told is what they
would have done one after the other; and no vendor is asked for a unit that nobody wants any more.
"""

import itertools
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.market import Market, open_market
from tests.races.order_races import FUNDS_MINOR, NOT_OURS
from tests.races.vendor_races import OTHERS, VENDOR_ACTS, VendorStage

# What waits for no order: a worker skips what is locked, a wallet is frozen by itself.
FREE = {"call", "freeze"}


@pytest.fixture
async def market(dsn: str, tmp_path: Path) -> AsyncIterator[Market]:
    async with open_market(dsn, tmp_path, lock_timeout_s=10) as market:
        yield market


def pairs(situation: str) -> list[tuple[str, str]]:
    """Both ways round; two that have nothing to do with a vendor meet in test_order_races."""
    acts = VENDOR_ACTS[situation]
    return [
        (first, second)
        for first, second in itertools.product((*acts, *OTHERS), repeat=2)
        if first in acts or second in acts
    ]


def judge(left: Mapping[str, Any], names: tuple[str, ...]) -> None:
    """No money is made or lost, and nobody is asked for what is not wanted."""
    amount, refunded, owed = left["money"]
    assert left["balance"] == FUNDS_MINOR - amount + refunded, names
    assert refunded + owed <= amount, names
    assert left["unwanted"] == [], names


@pytest.mark.parametrize("situation", VENDOR_ACTS)
async def test_two_at_once_are_as_one_after_the_other(market: Market, situation: str) -> None:
    stage = VendorStage(market, situation)
    for first, second in pairs(situation):
        answers, left, queued = await stage.at_once(situation, first, second)
        judge(left, (first, second))
        if answers[1] == NOT_OURS:
            [alone], alone_left = await stage.one_by_one(situation, first)
            expected = [alone, NOT_OURS], alone_left
        else:
            expected = await stage.one_by_one(situation, first, second)
        assert (answers, left) == expected, (first, second)
        assert queued or {first, second} & FREE, (first, second)
    assert await market.shop.broken() == {}


@pytest.mark.long
@pytest.mark.parametrize(
    ("situation", "first"), [(name, act) for name, acts in VENDOR_ACTS.items() for act in acts]
)
async def test_three_at_once_are_as_one_after_the_other(
    market: Market, situation: str, first: str
) -> None:
    """What a vendor has to do with is first, or comes upon two that meet."""
    stage = VendorStage(market, situation)
    for others in itertools.product((*VENDOR_ACTS[situation], *OTHERS), repeat=2):
        for names in ((first, *others), (*others, first)):
            answers, left, _ = await stage.at_once(situation, *names)
            judge(left, names)
            assert await stage.is_some_order(situation, names, answers, left), names
    assert await market.shop.broken() == {}
