"""Every pair of acts upon an order with claim links: claim, cancel, refund, recall, expiry (T8)."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.races.link_races import LINK_ACTS
from tests.races.order_races import FUNDS_MINOR, ShopStage
from tests.shop import open_shop


@pytest.fixture
async def stage(dsn: str, tmp_path: Path) -> AsyncIterator[ShopStage]:
    async with open_shop(dsn, tmp_path, lock_timeout_s=10) as shop:
        yield ShopStage(shop, LINK_ACTS)


@pytest.mark.parametrize("first", LINK_ACTS)
async def test_two_at_once_are_as_one_after_the_other(stage: ShopStage, first: str) -> None:
    waited = 0
    for second in LINK_ACTS:
        answers, left, queued = await stage.at_once("linked", first, second)
        expected = await stage.one_by_one("linked", first, second)
        if not queued:
            turned, left_turned = await stage.one_by_one("linked", second, first)
            assert (turned[::-1], left_turned["money"]) == (expected[0], expected[1]["money"])
        assert (answers, left) == expected, second
        amount, refunded, owed = left["money"]
        assert left["balance"] == FUNDS_MINOR - amount + refunded
        assert refunded + owed <= amount
        waited += queued
    assert await stage.shop.broken() == {}
    assert waited >= len(LINK_ACTS) - 3, "the barrier holds"


async def test_a_claim_and_a_lapse_at_once_have_one_winner(stage: ShopStage) -> None:
    for first, second, kept in (
        ("claim item 1", "lapse", ["DELIVERED", "REVOKED"]),
        ("lapse", "claim item 1", ["REVOKED", "REVOKED"]),
    ):
        answers, left, queued = await stage.at_once("linked", first, second)
        assert queued
        assert left["items"] == kept
        amount, refunded, _ = left["money"]
        assert refunded == amount * kept.count("REVOKED") // 2
        assert ("claimed, True" in answers) == ("DELIVERED" in kept)
        assert ("404 LINK_GONE" in answers) == ("DELIVERED" not in kept)


async def test_of_a_claim_that_dies_before_its_commit_nothing_is_left(stage: ShopStage) -> None:
    for second in LINK_ACTS:
        answers, left, _ = await stage.at_once("linked", "claim item 1", second, first_dies=True)
        assert (answers, left) == await stage.one_by_one("linked", second), second
    assert await stage.shop.broken() == {}
