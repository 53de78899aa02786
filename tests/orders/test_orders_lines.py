"""Acts that meet: they stand in line, deadlock nobody, and history stays in order."""

import asyncio
from datetime import timedelta

from rewards.core.errors import Refusal
from rewards.infra.db import Tx
from rewards.orders import sql_read
from rewards.orders.closing import CancelAsk
from rewards.orders.filling import RetryAsk, retry
from rewards.orders.model import Order
from rewards.orders.refunds import cancel
from rewards.wallets import service as wallets
from tests.shop import STAFF, Shop

SETTLING_S = 0.2


def retry_both(shop: Shop, tx: Tx, order_ids: list[int], most: int) -> object:
    return retry(tx, [RetryAsk(n, STAFF) for n in order_ids], most, shop.now)


async def test_two_bulk_orders_at_once_do_not_both_pass_their_clients_cap(shop: Shop) -> None:
    client = await shop.client(minor=1_000_000)
    product = await shop.product()
    first = await shop.place_one(shop.ask(client, product, 60))
    second = await shop.place_one(shop.ask(client, product, 60))
    async with shop.parts.db.transaction() as tx:
        await retry_both(shop, tx, [first.order.id], 100)
        late = asyncio.create_task(shop.retry(second.order.id, bulk_units_max=100))
        await asyncio.sleep(SETTLING_S)
    answer = await late
    assert isinstance(answer, Order)
    assert str(answer.state) == "CANCELLED·BULK_LIMIT_EXCEEDED"


async def test_a_retry_over_the_cap_and_a_new_order_do_not_deadlock(shop: Shop) -> None:
    client = await shop.client(minor=1_000_000)
    product = await shop.product()
    placed = [await shop.place_one(shop.ask(client, product, 60)) for _ in range(2)]
    order_ids = [one.order.id for one in placed]

    async def late() -> list[Order | Refusal]:
        # Not through `run`, which would try again after a deadlock and hide it.
        async with shop.parts.db.transaction() as tx:
            return await retry_both(shop, tx, order_ids, 100)

    async with shop.parts.db.transaction() as tx:
        await wallets.lock(tx, [client])
        retrying = asyncio.create_task(late())
        await asyncio.sleep(SETTLING_S)
        await shop.place_in(tx, [shop.ask(client, product, 60)])
    states = [str(order.state) for order in await retrying if isinstance(order, Order)]
    assert states == ["PENDING·VENDOR_ORDER_PENDING", "CANCELLED·BULK_LIMIT_EXCEEDED"]


async def test_history_is_in_order_though_clocks_are_not(shop: Shop) -> None:
    """Another process's clock may be ahead, and ours was read before we had the lock."""
    client = await shop.client(minor=1_000_000)
    product = await shop.product()
    placed = await shop.place_one(shop.ask(client, product, 3))
    await shop.stock(product, 1)
    behind = shop.now - timedelta(minutes=10)
    n = placed.order.id
    async with shop.parts.db.transaction() as tx:
        await retry(tx, [RetryAsk(n, STAFF)], 10_000, behind)
        await cancel(tx, [CancelAsk(n, STAFF, "no longer wanted")], behind)
        steps = await sql_read.read_history(tx, n)
    times = [step.at for step in steps]
    assert len(times) == 3
    assert times == sorted(set(times))
