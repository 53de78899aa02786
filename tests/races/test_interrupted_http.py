"""Callers that leave, locks held too long, processes told to stop: nobody is half served."""

import asyncio
import json
import random
import signal
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from rewards.clients import service as clients
from rewards.clients.model import ClientChange, Limits
from tests.cluster import PRICE_MINOR, Buyer, Cluster, loaded, open_cluster

FULL = pytest.mark.long
CONCURRENT = 3
STOP_LIMIT_S = 10.0


@pytest.fixture
async def cluster(dsn: str, tmp_path: Path) -> AsyncIterator[Cluster]:
    async with open_cluster(dsn, tmp_path) as opened:
        yield opened


def raw_request(cluster: Cluster, buyer: Buyer) -> bytes:
    body = json.dumps(cluster.order()).encode()
    names = {**buyer.headers, "Host": "test", "Content-Length": len(body)}
    head = "".join(f"{name}: {value}\r\n" for name, value in names.items())
    return f"POST /api/v1/orders HTTP/1.1\r\n{head}\r\n".encode() + body


@pytest.mark.parametrize("callers", [200, pytest.param(2_000, marks=FULL)])
async def test_who_leaves_is_served_whole_or_not_at_all(cluster: Cluster, callers: int) -> None:
    """T20. CI: 200 callers gone somewhere in their request, or right after it."""
    [buyer] = await cluster.buyers(1, minor=10**10)
    await limit(cluster, buyer)
    await cluster.shop.stock(cluster.product, callers // 4)
    request = raw_request(cluster, buyer)
    api = cluster.apis[0]
    left = iter(range(callers))

    async def leave() -> None:
        for _ in left:
            _, writer = await asyncio.open_connection("127.0.0.1", api.port)
            whole = random.random() < 0.7
            writer.write(request if whole else request[: random.randrange(len(request))])
            with suppress(ConnectionError):
                await writer.drain()
            await asyncio.sleep(random.uniform(0, 0.005))
            writer.transport.abort()

    await asyncio.gather(*(leave() for _ in range(CONCURRENT)))
    # The last ones may still be at the desk; they are served before whoever comes now.
    await cluster.insist(buyer, cluster.order(), "the-key-of-the-last")
    await asyncio.sleep(0.3)
    async with cluster.wallets_held(buyer):
        waiting = [
            asyncio.create_task(cluster.post(buyer, cluster.order(), url=api.url))
            for _ in range(CONCURRENT)
        ]
        await asyncio.sleep(0.3)
        # All slots had come back, and are taken again.
        refused = await cluster.post(buyer, cluster.order(), url=api.url)
        assert refused.status == 429
    assert [reply.status for reply in await asyncio.gather(*waiting)] == [200] * CONCURRENT
    placed = len(await cluster.orders_of(buyer))
    ours = CONCURRENT + 1
    print(f"{callers} left, {placed - ours} of their orders were placed")
    assert ours < placed <= callers
    assert await cluster.shop.balance(buyer.client_id) == 10**10 - placed * PRICE_MINOR
    await cluster.assert_clean()


async def limit(cluster: Cluster, buyer: Buyer) -> None:
    async with cluster.shop.parts.db.transaction() as tx:
        wide = Limits(per_minute=10**6, per_10s=10**6, per_day=10**6, concurrent=CONCURRENT)
        await clients.change(tx, buyer.client_id, ClientChange(limits=wide))


async def test_a_wallet_that_is_held_too_long_hurts_its_client_alone(cluster: Cluster) -> None:
    """503 and nothing changed for whoever waited in vain; his neighbour is served."""
    held, free = await cluster.buyers(2, minor=10**9)
    async with cluster.wallets_held(held):
        stuck, served = await cluster.post_all([held, free], cluster.apis[0])
    assert (stuck.status, stuck.retry_after) == (503, True)
    assert served.status == 200
    assert not await cluster.orders_of(held)
    assert await cluster.shop.balance(held.client_id) == 10**9


@pytest.mark.parametrize("stops", [3, pytest.param(20, marks=FULL)])
async def test_a_process_that_is_told_to_stop_answers_first(cluster: Cluster, stops: int) -> None:
    """T21. CI: 3 rolling restarts under load; 30 requests are under way at each."""
    buyer, waiter = await cluster.buyers(2, minor=10**10)
    async with loaded(cluster, buyer) as load:
        for turn in range(stops):
            api = cluster.apis[turn % 2]
            async with cluster.wallets_held(waiter):
                asked = asyncio.create_task(cluster.post_all([waiter] * 30, api))
                await asyncio.sleep(0.3)
                began_s = time.monotonic()
                api.running.signal(signal.SIGTERM)
                await asyncio.sleep(0.3)
            assert {reply.status for reply in await asked} == {200}
            assert await api.running.wait(STOP_LIMIT_S) == 0
            print(f"stopped in {time.monotonic() - began_s:.2f} s")
            await api.start()
    print(f"{len(load.placed)} placed meanwhile, {load.lost} requests were not answered")
    await load.assert_kept(10**10)
    assert {reply.status for reply in load.seen} == {200}
    assert len(await cluster.orders_of(waiter)) == stops * 30
    await cluster.assert_clean()
