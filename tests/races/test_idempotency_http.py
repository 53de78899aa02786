"""Idempotency keys over two API processes: twins, lost replies, other bodies, old age."""

import asyncio
import collections
import random
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cluster import LOST, PRICE_MINOR, Buyer, Cluster, open_cluster
from tests.cutting import CUTS, cutters

FULL = pytest.mark.long
AT_ONCE = 50


@pytest.fixture
async def cluster(dsn: str, tmp_path: Path) -> AsyncIterator[Cluster]:
    async with open_cluster(dsn, tmp_path) as opened:
        yield opened


def new_key() -> str:
    return secrets.token_hex(8)


async def charged(cluster: Cluster, buyer: Buyer, minor: int) -> float:
    """How many single vouchers the buyer has paid of the `minor` he began with."""
    return (minor - await cluster.shop.balance(buyer.client_id)) / PRICE_MINOR


@pytest.mark.parametrize("rounds", [40, pytest.param(200, marks=FULL)])
async def test_two_hundred_twins_place_one_order(cluster: Cluster, rounds: int) -> None:
    """T9. CI: 40 rounds of 200 identical requests with one key over both processes."""
    [buyer] = await cluster.buyers(1, minor=10**9)
    await cluster.shop.stock(cluster.product, rounds // 2)
    for turn in range(1, rounds + 1):
        replies = await cluster.storm([buyer], cluster.order(), 200, key=new_key())
        answers = [reply for reply in replies if not reply.retry_after]
        assert {reply.status for reply in answers} == {200}
        assert len({reply.body for reply in answers}) == 1
        assert sum(not reply.replayed for reply in answers) == 1
        assert len(await cluster.orders_of(buyer)) == turn
        assert await charged(cluster, buyer, 10**9) == turn
    await cluster.assert_clean()


async def test_a_key_with_another_body_is_refused(cluster: Cluster) -> None:
    """T10. 200 keys, each with an equal body spelled otherwise, and with four other bodies."""
    [buyer] = await cluster.buyers(1, minor=10**9)
    await cluster.shop.stock(cluster.product, 100)

    async def one(turn: int) -> None:
        key, ref = new_key(), f"ref-{turn}"
        first = await cluster.post(buyer, cluster.order(ref=ref), key=key)
        assert (first.status, first.replayed) == (200, False)
        spelled = b'{"ref": "%s", "quantity":1,  "denomination": 25.00, "product_id": %d}'
        again = await cluster.post(buyer, spelled % (ref.encode(), cluster.product.id), key=key)
        assert (again.status, again.replayed, again.body) == (200, True, first.body)
        for other in (
            cluster.order(2, ref=ref),
            cluster.order(ref=f"{ref}-b"),
            cluster.order(),
            cluster.order(ref=ref, email="somebody@example.com"),
        ):
            refused = await cluster.post(buyer, other, key=key)
            assert refused.status == 422
            assert refused.said["code"] == "IDEMPOTENCY_KEY_REUSED"

    await in_turns(one, 200)
    assert len(await cluster.orders_of(buyer)) == 200
    assert await charged(cluster, buyer, 10**9) == 200
    await cluster.assert_clean()


async def test_the_same_key_of_two_clients_is_two_keys(cluster: Cluster) -> None:
    """T10. 100 keys, each used by two clients at once."""
    pair = await cluster.buyers(2, minor=10**9)

    async def one(_turn: int) -> None:
        key = new_key()
        replies = await asyncio.gather(
            *(cluster.post(buyer, cluster.order(), key=key) for buyer in pair)
        )
        assert [(reply.status, reply.replayed) for reply in replies] == [(200, False)] * 2
        assert len({reply.said["id"] for reply in replies}) == 2

    await in_turns(one, 100)
    assert [len(await cluster.orders_of(buyer)) for buyer in pair] == [100, 100]
    await cluster.assert_clean()


@pytest.mark.parametrize("orders", [1_000, pytest.param(4_000, marks=FULL)])
async def test_a_lost_reply_is_asked_for_again(cluster: Cluster, orders: int) -> None:
    """T11. CI: 1,000 orders whose first 1 to 10 replies are cut off, asked again with their key."""
    [buyer] = await cluster.buyers(1, minor=10**10)
    await cluster.shop.stock(cluster.product, orders // 2)
    tries: collections.Counter[str] = collections.Counter()
    told: set[int] = set()

    async def one(_turn: int) -> None:
        key = new_key()
        for _ in range(random.randint(1, 10)):
            how = random.choice(list(CUTS))
            with pytest.raises(LOST):
                await cluster.post(buyer, cluster.order(), key=key, url=cutting[how])
            tries[how] += 1
        reply = await cluster.insist(buyer, cluster.order(), key)
        assert reply.status == 200
        told.add(reply.said["id"])

    async with cutters([api.port for api in cluster.apis]) as cutting:
        await in_turns(one, orders)
    print(f"lost replies: {dict(tries)}")
    assert len(told) == orders
    assert await cluster.orders_of(buyer) == told
    assert await charged(cluster, buyer, 10**10) == orders
    await cluster.assert_clean()


async def test_a_reference_is_spent_once_without_a_key(cluster: Cluster) -> None:
    """T12. 100 references, each asked for by 5 at once and by one whose reply is lost."""
    [buyer] = await cluster.buyers(1, minor=10**9)

    async def one(turn: int) -> None:
        body = cluster.order(ref=f"ref-{turn}")
        with suppress(*LOST):
            await cluster.post(buyer, body, url=cutting["replied"])
        replies = await cluster.storm([buyer], body, 5)
        said = collections.Counter((r.status, r.said["message"]) for r in replies)
        assert said == {(400, "Duplicate reference code"): 5}
        [order_id] = {reply.said["details"]["order_id"] for reply in replies}
        known = await cluster.count("SELECT id FROM orders WHERE ref = $1", body["ref"])
        assert order_id == known

    async with cutters([api.port for api in cluster.apis]) as cutting:
        await in_turns(one, 100)
    assert len(await cluster.orders_of(buyer)) == 100
    assert await charged(cluster, buyer, 10**9) == 100
    await cluster.assert_clean()


async def test_a_refused_first_try_leaves_the_key_free(cluster: Cluster) -> None:
    """T13. Every kind of 4xx, 50 times each, then a good body with the same key."""
    [buyer] = await cluster.buyers(1, minor=10**9)
    [poor] = await cluster.buyers(1, minor=0)
    taken = await cluster.post(buyer, cluster.order(ref="taken"))
    assert taken.status == 200
    faulty: list[tuple[bytes | dict[str, object], int]] = [
        (b"{", 400),
        (cluster.order(0), 400),
        (cluster.order(denomination=26), 400),
        (cluster.order(product_id=99), 404),
        (cluster.order(wallet_id=10**9), 404),
        (cluster.order(ref="taken"), 400),
    ]

    async def one(turn: int) -> None:
        body, status = faulty[turn % len(faulty)]
        key = new_key()
        refused = await cluster.post(buyer, body, key=key)
        assert refused.status == status, refused.body
        placed = await cluster.post(buyer, cluster.order(), key=key)
        assert (placed.status, placed.replayed) == (200, False)

    await in_turns(one, 50 * len(faulty))
    assert await charged(cluster, buyer, 10**9) == 50 * len(faulty) + 1
    key = new_key()
    assert (await cluster.post(poor, cluster.order(), key=key)).status == 400
    await cluster.shop.top_up(poor.client_id, PRICE_MINOR)
    assert (await cluster.post(poor, cluster.order(), key=key)).status == 200
    await cluster.assert_clean()


@pytest.mark.parametrize(("age", "replayed"), [("29 days 23:59", True), ("30 days", False)])
async def test_a_key_lives_for_thirty_days(cluster: Cluster, age: str, replayed: bool) -> None:
    """T14. One minute before its end it replays, at its end it runs anew."""
    [buyer] = await cluster.buyers(1, minor=10**9)
    key = new_key()
    first = await cluster.post(buyer, cluster.order(), key=key)
    async with cluster.shop.parts.db.transaction() as tx:
        await tx.execute(f"UPDATE idempotency_keys SET created_at = created_at - interval '{age}'")
    second = await cluster.post(buyer, cluster.order(), key=key)
    assert (second.status, second.replayed) == (200, replayed)
    assert (second.body == first.body) is replayed
    third = await cluster.post(buyer, cluster.order(), key=key)
    assert (third.replayed, third.body) == (True, second.body)
    assert len(await cluster.orders_of(buyer)) == (1 if replayed else 2)


async def in_turns(one: Callable[[int], Awaitable[None]], count: int) -> None:
    """`one(0)`, `one(1)`, …, AT_ONCE of them at a time."""
    left = iter(range(count))

    async def some() -> None:
        for turn in left:
            await one(turn)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(some())
