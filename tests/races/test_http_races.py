"""Two API processes race for the last unit and the last money; one winner, told the same by all."""

import collections
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rewards.orders.model import Status
from tests.cluster import PRICE_MINOR, Cluster, open_cluster

FULL = pytest.mark.long


@pytest.fixture
async def cluster(dsn: str, tmp_path: Path) -> AsyncIterator[Cluster]:
    async with open_cluster(dsn, tmp_path) as opened:
        yield opened


@pytest.mark.parametrize("rounds", [100, pytest.param(300, marks=FULL)])
async def test_one_unit_is_sold_once_to_a_hundred(cluster: Cluster, rounds: int) -> None:
    """T5. CI: 100 rounds of 100 orders from 10 clients over both processes."""
    buyers = await cluster.buyers(10, minor=rounds * 10 * PRICE_MINOR)
    for _ in range(rounds):
        await cluster.shop.stock(cluster.product, 1)
        replies = await cluster.storm(buyers, cluster.order(), 100)
        assert {reply.status for reply in replies} == {200}, replies
        told = collections.Counter(reply.said["status"] for reply in replies)
        assert told == {Status.DELIVERED: 1, Status.PENDING: 99}
    sold = await cluster.count("SELECT count(*) FROM order_items WHERE unit_id IS NOT NULL")
    assert sold == rounds
    assert [await cluster.shop.balance(buyer.client_id) for buyer in buyers] == [0] * len(buyers)
    await cluster.assert_clean()


@pytest.mark.parametrize("rounds", [60, pytest.param(300, marks=FULL)])
async def test_money_for_ten_buys_ten(cluster: Cluster, rounds: int) -> None:
    """T6. CI: 60 rounds of 200 orders at once from one wallet."""
    buyers = await cluster.buyers(rounds, minor=10 * PRICE_MINOR)
    for buyer in buyers:
        replies = await cluster.storm([buyer], cluster.order(), 200)
        accepted = [reply for reply in replies if reply.status == 200]
        refused = collections.Counter(
            (reply.status, reply.said["message"]) for reply in replies if reply.status != 200
        )
        assert refused == {(400, "Insufficient funds in your wallet"): 190}
        assert {reply.said["id"] for reply in accepted} == await cluster.orders_of(buyer)
        assert len(accepted) == 10
        assert await cluster.shop.balance(buyer.client_id) == 0
    await cluster.assert_clean()
