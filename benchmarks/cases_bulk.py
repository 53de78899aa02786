"""Orders that the worker fills: how long from the word of stock until all is delivered."""

import asyncio
from collections.abc import Callable, Coroutine
from time import perf_counter
from typing import Any

from benchmarks import load
from benchmarks.bench import Bench, WrongAnswers, check
from benchmarks.report import Figure, middle
from benchmarks.world import ORDINARY, orders
from rewards.entry.equipment import STOCK_ARRIVED
from rewards.infra import jobs
from rewards.infra.settings import Settings
from rewards.orders.model import COMPLETED

BIG_QUANTITY = 1_000
MEASURED_ORDERS = 5
DELIVERED_TIMEOUT_S = 30.0
POLL_S = 0.002
WAITS = b'"status":"PENDING"'

LAST_ORDER = "SELECT max(id) FROM orders"
STATE_OF = "SELECT status, sub_status FROM orders WHERE id = $1"

Act = Callable[[], Coroutine[Any, Any, object]]


async def bulk_order(bench: Bench) -> list[Figure]:
    """A worker with auto-retry on is told of stock, as a pump tells it, and fills what waits."""
    tiers: Settings = bench.home.settings
    smallest = tiers.filled_quantity_max + 1
    await bench.world.lay_in(ORDINARY, (BIG_QUANTITY + 2 * smallest) * (MEASURED_ORDERS + 1))
    await bench.world.settle()
    await bench.home.start("filler", "worker", REWARDS_DISABLE_AUTO_ORDER_RETRY="false")
    try:
        filled = await _median_ms(bench, tiers.filled_quantity_max, told=False)
        small = await _median_ms(bench, smallest, told=True)
        big = await _median_ms(bench, BIG_QUANTITY, told=True)
    finally:
        await bench.home.stop("filler")
    of_small = f"ms, of {smallest} units"
    return [
        Figure("bulk_order", "1,000 units, by the worker", big, "ms", small, of_small),
        Figure("bulk_order", f"{smallest - 1} units, from placing", filled, "ms", small, of_small),
    ]


async def _median_ms(bench: Bench, quantity: int, *, told: bool) -> float:
    """From the worker being told of stock, or else from placing; one at a time, the first warms."""
    took_ms = []
    for _ in range(MEASURED_ORDERS + 1):
        began_s = perf_counter()
        order_id = await _place(bench, quantity)
        if told:
            began_s = perf_counter()
            async with bench.world.db.transaction() as tx:
                await jobs.enqueue(tx, [jobs.JobAsk(STOCK_ARRIVED, dedupe_key="any")])
        await _delivered(bench, order_id)
        took_ms.append((perf_counter() - began_s) * 1e3)
    return middle(took_ms[1:])


async def _place(bench: Bench, quantity: int) -> int:
    """One order over HTTP that the request leaves waiting; its id."""
    source = orders(bench.world.callers[:1], ORDINARY, quantity)
    outcome = await load.open_loop(
        bench.base_url, source, per_second=1, seconds=1, connections=1, mark=WAITS
    )
    check(outcome)
    async with bench.world.db.connection() as connection:
        return int(await connection.fetchval(LAST_ORDER))


async def _delivered(bench: Bench, order_id: int) -> None:
    deadline_s = perf_counter() + DELIVERED_TIMEOUT_S
    async with bench.world.db.connection() as connection:
        while tuple(await connection.fetchrow(STATE_OF, order_id)) != (
            COMPLETED.status,
            COMPLETED.sub_status,
        ):
            if perf_counter() > deadline_s:
                raise WrongAnswers(f"order {order_id} is not delivered")
            await asyncio.sleep(POLL_S)
