"""Every pair of acts upon one order, in every situation, both ways round, on two connections (T8).

The second act begins when the first has done its work and not committed. Whatever the pair, what is
left and what both were told is what they would have done one after the other; killed before its
commit, the first has done nothing at all. Every invariant is looked at: each pair has an order of
its own, which stays as they left it.
"""

import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.races.order_races import (
    ACTS,
    CLOSED_AFTERWARDS,
    CLOSERS,
    FUNDS_MINOR,
    TOP_UP_MINOR,
    ShopStage,
)
from tests.shop import open_shop

SITUATIONS = ("waiting", "partial", "delivered", "owed")


@pytest.fixture
async def stage(dsn: str, tmp_path: Path) -> AsyncIterator[ShopStage]:
    async with open_shop(dsn, tmp_path, lock_timeout_s=10) as shop:
        yield ShopStage(shop, ACTS)


@pytest.mark.parametrize("first", ACTS)
@pytest.mark.parametrize("situation", SITUATIONS)
async def test_two_at_once_are_as_one_after_the_other(
    stage: ShopStage, situation: str, first: str
) -> None:
    waited = 0
    for second in ACTS:
        answers, left, queued = await stage.at_once(situation, first, second)
        expected = await stage.one_by_one(situation, first, second)
        if not queued:
            # They were not in each other's way, so either order is the same to both.
            turned, left_turned = await stage.one_by_one(situation, second, first)
            assert (turned[::-1], left_turned["money"]) == (expected[0], expected[1]["money"])
        assert (answers, left) == expected, second
        won = [answer for answer in answers if not answer.startswith("409 ")]
        if {first, second} <= {*CLOSERS} and (first, second) != CLOSED_AFTERWARDS:
            assert len(won) <= 1, second
        amount, refunded, owed = left["money"]
        came_in = TOP_UP_MINOR * answers.count("topped up")
        assert left["balance"] == FUNDS_MINOR - amount + refunded + came_in
        assert refunded + owed <= amount
        waited += queued
    assert await stage.shop.broken() == {}
    assert waited >= len(ACTS) - 3, "the barrier holds"


@pytest.mark.parametrize("situation", SITUATIONS)
async def test_of_an_act_that_dies_before_its_commit_nothing_is_left(
    stage: ShopStage, situation: str
) -> None:
    for first, second in itertools.product(("retry", "cancel", "recall", "freeze"), ACTS):
        answers, left, _ = await stage.at_once(situation, first, second, first_dies=True)
        assert (answers, left) == await stage.one_by_one(situation, second), (first, second)
    assert await stage.shop.broken() == {}


@pytest.mark.long
@pytest.mark.parametrize("first", ACTS)
@pytest.mark.parametrize("situation", SITUATIONS)
async def test_three_at_once_are_as_one_after_the_other(
    stage: ShopStage, situation: str, first: str
) -> None:
    for others in itertools.product(ACTS, repeat=2):
        names = (first, *others)
        answers, left, _ = await stage.at_once(situation, *names)
        assert await stage.is_some_order(situation, names, answers, left), names
        amount, refunded, owed = left["money"]
        came_in = TOP_UP_MINOR * answers.count("topped up")
        assert left["balance"] == FUNDS_MINOR - amount + refunded + came_in, names
        assert refunded + owed <= amount, names
    assert await stage.shop.broken() == {}
