"""T7: large orders of many products from two clients at once never deadlock.

Every day 1,000 orders of 1 to 200 units over twelve connections (about 15 s), marked long 20,000.
"""

import asyncio
import random
from pathlib import Path

import asyncpg
import pytest

from rewards.core.errors import Refusal
from rewards.infra.db import Tx
from rewards.orders.closing import CancelAsk
from rewards.orders.filling import RetryAsk, retry
from rewards.orders.model import OnPartial, Order
from rewards.orders.refunds import cancel
from rewards.orders.replay import Placed
from tests.shop import STAFF, Shop, open_shop
from tests.sim.books import ask_doctor
from tests.sim.test_sim_crowd import DEADLOCKS

CONNECTIONS = 12
PRODUCTS = 5
STOCK_EACH = 1_500
QUANTITY_MAX = 200
# Low enough that a chunk of retries fills some of its orders and refunds others.
BULK_UNITS_MAX = 1_000
# Long queues are the point here: a deadlock must be told from a wait.
PATIENCE = {"pool_size": CONNECTIONS, "lock_timeout_s": 60.0, "statement_timeout_s": 60.0}


@pytest.mark.parametrize("count", [1_000, pytest.param(20_000, marks=pytest.mark.long)])
async def test_overlapping_bulk_orders_never_deadlock(count: int, dsn: str, tmp_path: Path) -> None:
    dice = random.Random(count)
    async with open_shop(dsn, tmp_path, **PATIENCE) as shop:
        products = [await shop.product(100 + n, realtime=n % 2 == 0) for n in range(PRODUCTS)]
        clients = [await shop.client(minor=10**12) for _ in range(2)]
        for product in products:
            await shop.stock(product, STOCK_EACH)
        placed: list[int] = []

        async def actor() -> None:
            while len(placed) < count:
                asks = [
                    shop.ask(
                        dice.choice(clients),
                        dice.choice(products),
                        dice.randint(1, QUANTITY_MAX),
                        on_partial=dice.choice(list(OnPartial)),
                    )
                    for _ in range(dice.randint(1, 6))
                ]
                for answer in await shop.place(*asks):
                    assert isinstance(answer, Placed)
                    placed.append(answer.order.id)
                recent = placed[-40:]
                await _retry(shop, dice.sample(recent, min(8, len(recent))))
                await _cancel(shop, dice.sample(recent, min(3, len(recent))))
                if dice.random() < 0.05:
                    await shop.stock(dice.choice(products), 200)

        await asyncio.gather(*(actor() for _ in range(CONNECTIONS)))
    await ask_doctor(dsn)
    connection = await asyncpg.connect(dsn)
    assert await connection.fetchval(DEADLOCKS) == 0
    states = await connection.fetch("SELECT sub_status, count(*) FROM orders GROUP BY 1")
    await connection.close()
    reached = {row[0] for row in states}
    assert {"COMPLETED", "PARTIAL", "BULK_LIMIT_EXCEEDED", "REFUNDED"} <= reached, states


async def _retry(shop: Shop, order_ids: list[int]) -> None:
    async def work(tx: Tx) -> list[Order | Refusal]:
        return await retry(tx, [RetryAsk(n, STAFF) for n in order_ids], BULK_UNITS_MAX, shop.now)

    await shop.parts.db.run(work)


async def _cancel(shop: Shop, order_ids: list[int]) -> None:
    asks = [CancelAsk(n, STAFF, "no longer wanted") for n in order_ids]

    async def work(tx: Tx) -> list[Order | Refusal]:
        return await cancel(tx, asks, shop.now)

    await shop.parts.db.run(work)
