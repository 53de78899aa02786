"""Many orders, many faults, several workers that are cut off anywhere: nothing is bought twice."""

import asyncio
import contextlib
from collections import Counter
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from rewards.core.errors import Refusal
from rewards.orders.model import Order
from rewards.vendors.model import Purchase, PurchaseState
from rewards.vendors.simulators.faults import Fault, Scripted
from tests.market import Market, open_market
from tests.shop import STAFF

ORDERS = 24
ROUNDS = 40
PLACING = [
    *[None] * 6,
    Fault.DROP_BEFORE,
    Fault.ERROR_BEFORE,
    Fault.DROP_AFTER,
    Fault.ERROR_AFTER,
    Fault.HTML,
    Fault.GARBAGE,
    Fault.REDIRECT,
    Fault.THROTTLE,
    Fault.PARTIAL,
    Fault.DUPLICATE_CODE,
    Fault.WRONG_COUNT,
    Fault.WRONG_VALUE,
    Fault.EXPIRED_CODE,
    Fault.OUT_OF_STOCK,
    Fault.NEVER_READY,
    Fault.LATE_FAILURE,
]
READING = [None, None, None, Fault.DROP_AFTER, Fault.ERROR_BEFORE, Fault.GARBAGE, Fault.THROTTLE]
SEEDS = [*range(4), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(4, 50))]


def spread(market: Market, random: Random) -> None:
    for call, faults, times in (("place", PLACING, ORDERS), ("read", READING, ORDERS * 2)):
        chosen = [random.choice(faults) for _ in range(times)]
        for skip, fault in enumerate(chosen):
            if fault is not None:
                market.simulator.script.add([Scripted(fault, call, skip=skip % 3)])


async def worker(market: Market, random: Random) -> None:
    """Sweeps, and is cut off wherever it happens to be."""
    sweep = asyncio.create_task(market.buying.sweep())
    await asyncio.wait({sweep}, timeout=random.random() * 0.1)
    sweep.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await sweep


async def everything_bought(market: Market, orders: list[Order]) -> list[Purchase]:
    return [one for order in orders for one in await market.bought(order.id)]


@pytest.mark.parametrize("seed", SEEDS)
async def test_no_mix_of_faults_buys_twice_or_loses_a_code(
    dsn: str, tmp_path: Path, seed: int
) -> None:
    random = Random(seed)
    async with open_market(dsn, tmp_path, timeout_s=0.5) as market:
        market.simulator.slow_s = 1.0
        market.book.delay_s = random.choice([0, 5, 60])
        orders = [await market.waiting(random.randint(1, 5)) for _ in range(ORDERS)]
        spread(market, random)
        for order in orders:
            assert isinstance(await market.approve(order.id), Order)
        for _ in range(ROUNDS):
            await asyncio.gather(*(worker(market, random) for _ in range(3)))
            await end_leases(market)
            step = timedelta(seconds=random.choice([1, 5, 60, 600]))
            market.clock.ahead += step
            market.book.clock.advance(step.total_seconds())
            if random.random() < 0.2:
                await market.shop.cancel(random.choice(orders).id)
        market.simulator.script.clear()
        await converge(market)
        await check(market, orders)


async def end_leases(market: Market) -> None:
    """A lease goes by the database's clock, which no test moves."""
    async with market.shop.parts.db.transaction() as tx:
        await tx.execute(
            "UPDATE vendor_orders SET leased_until = now() - interval '1 s' WHERE lease IS NOT NULL"
        )


async def converge(market: Market) -> None:
    """Past every window, each purchase read at least once an hour."""
    for _ in range(30):
        market.clock.ahead += timedelta(hours=1)
        market.book.clock.advance(3_600)
        await end_leases(market)
        await market.buying.sweep()


async def check(market: Market, orders: list[Order]) -> None:
    bought = await everything_bought(market, orders)
    sales = market.book.sales
    assert len(sales) <= len(bought)
    assert sales.keys() <= {one.key for one in bought}
    for one in bought:
        sale = sales.get(one.key)
        if one.state in (PurchaseState.REFUSED, PurchaseState.NOT_PLACED):
            assert sale is None or sale.fails, one
        elif one.state is PurchaseState.FULFILLED:
            assert sale is not None
            assert one.received == len(sale.cards), one
        else:
            # What the vendor never finishes becomes a person's case.
            assert one.case_at is not None, one
    owners: Counter[str] = Counter()
    for order in orders:
        now = await market.shop.order(order.id)
        shown = await market.shop.parts.orders.read(STAFF, order.client_id, order.id)
        owners.update(str(voucher.card_number) for voucher in shown.vouchers)
        assert len(shown.vouchers) == now.fulfilled - now.revoked
    assert set(owners.values()) <= {1}
    assert owners.keys() <= {card.code for sale in sales.values() for card in sale.cards}
    assert await market.shop.broken() == {}
    # Once the vendor is sound again, every order that is left can be brought to its end.
    for order in orders:
        answer = await market.approve(order.id)
        if isinstance(answer, Refusal):
            assert answer.code in ("ORDER_NOT_APPROVABLE", "VENDOR_ORDER_OPEN"), answer
