"""The lease on a purchase lasts as long as the call, and no longer than its worker lives."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from rewards.core.errors import Refusal, Unavailable
from rewards.infra.db import Database
from rewards.orders.model import Order
from rewards.vendors import purchases, sql_purchases
from rewards.vendors.buying import Buying
from rewards.vendors.model import Purchase, PurchaseState
from rewards.vendors.purchases import Verdict
from rewards.vendors.simulators.faults import Fault
from tests.market import Market, open_market

LEASE_S = 1.0
# Several times the lease.
CALL_S = 3.0


async def slow_purchase(market: Market) -> Purchase:
    """Approved, and not yet called for; the vendor takes its time to answer."""
    market.lease_s = LEASE_S
    market.simulator.slow_s = CALL_S
    market.script(Fault.SLOW)
    order = await market.waiting()
    assert isinstance(await market.approve(order.id), Order)
    [purchase] = await market.bought(order.id)
    return purchase


async def until_heard_of(market: Market) -> None:
    async with asyncio.timeout(10):
        while not market.book.sales:
            await asyncio.sleep(0.01)


async def test_a_long_call_keeps_its_purchase(dsn: str, tmp_path: Path) -> None:
    async with open_market(dsn, tmp_path, timeout_s=20.0) as market:
        purchase = await slow_purchase(market)
        calling = asyncio.create_task(market.buying.step(purchase.id))
        await until_heard_of(market)
        looks = 0
        while not calling.done():
            looks += await market.buying.step(purchase.id) is None
            await asyncio.sleep(0.1)
        assert looks > 1
        settled = await calling
        assert settled is not None
        assert (settled.state, settled.calls) == (PurchaseState.FULFILLED, 1)
        assert await market.shop.broken() == {}


async def test_a_dead_workers_purchase_is_read_back(dsn: str, tmp_path: Path) -> None:
    async with open_market(dsn, tmp_path, timeout_s=20.0) as market:
        purchase = await slow_purchase(market)
        calling = asyncio.create_task(market.buying.step(purchase.id))
        await until_heard_of(market)
        calling.cancel()
        assert await market.buying.step(purchase.id) is None
        async with asyncio.timeout(10):
            while (settled := await market.buying.step(purchase.id)) is None:
                await asyncio.sleep(0.1)
        assert (settled.state, settled.calls) == (PurchaseState.FULFILLED, 2)
        assert market.sold() == [2]
        assert await market.shop.broken() == {}


async def test_who_lost_the_lease_writes_nothing(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its database is away for renewing; somebody else reads meanwhile, and knows more."""
    real = Database.run
    async with open_market(dsn, tmp_path, timeout_s=20.0) as market:
        purchase = await slow_purchase(market)
        renewals = 0

        async def away(self: Database, work: object) -> object:
            nonlocal renewals
            if getattr(work, "__qualname__", "").startswith(Buying._renew.__qualname__):
                renewals += 1
                raise Unavailable
            return await real(self, work)  # type: ignore[arg-type]

        monkeypatch.setattr(Database, "run", away)
        calling = asyncio.create_task(market.buying.step(purchase.id))
        await until_heard_of(market)
        async with asyncio.timeout(10):
            while (settled := await market.buying.step(purchase.id)) is None:
                await asyncio.sleep(0.1)
        assert settled.state is PurchaseState.FULFILLED
        assert await calling is None
        assert renewals > 1
        order = await market.shop.order(purchase.subject_id)
        assert order.fulfilled == 2
        assert market.sold() == [2]
        assert await market.shop.broken() == {}


async def test_a_settled_purchase_is_not_renewed(dsn: str, tmp_path: Path) -> None:
    async with open_market(dsn, tmp_path) as market:
        order = await market.waiting()
        await market.approve(order.id)
        await market.settle(order.id)
        [purchase] = await market.bought(order.id)
        async with market.shop.parts.db.transaction() as tx:
            token = await tx.fetchval("SELECT gen_random_uuid()")
            assert not await sql_purchases.renew(tx, purchase.id, token, LEASE_S)


async def unknown_case(market: Market) -> Purchase:
    """The vendor sold, nobody heard of it, and its window is over."""
    market.script(Fault.DROP_AFTER)
    market.script(Fault.ERROR_BEFORE, call="read")
    order = await market.waiting()
    assert isinstance(await market.approve(order.id), Order)
    await market.step(order.id)
    market.clock.ahead += timedelta(hours=25)
    case = await market.step(order.id)
    assert case is not None
    assert case.case_at is not None
    return case


async def judge(market: Market, case: Purchase, verdict: Verdict) -> object:
    async with market.shop.parts.db.transaction() as tx:
        at = market.clock.now()
        return await purchases.judge(tx, case.id, verdict, "by telephone", market.buyers, at)


async def being_read(market: Market, case: Purchase) -> "asyncio.Task[Purchase | None]":
    """A worker that has asked the vendor about it and waits for the answer."""
    market.simulator.slow_s = CALL_S
    market.script(Fault.SLOW, call="read")
    reads = market.book.calls["read"]
    reading = asyncio.create_task(market.buying.step(case.id))
    async with asyncio.timeout(10):
        while market.book.calls["read"] == reads:
            await asyncio.sleep(0.01)
    return reading


@pytest.mark.parametrize("verdict", list(Verdict))
async def test_a_persons_word_throws_no_answer_away(
    dsn: str, tmp_path: Path, verdict: Verdict
) -> None:
    """Said while a worker reads: the codes that it brings are taken in, and nothing is lost."""
    async with open_market(dsn, tmp_path, timeout_s=20.0) as market:
        case = await unknown_case(market)
        reading = await being_read(market, case)
        before = await market.shop.everything()
        answer = await judge(market, case, verdict)
        if verdict is not Verdict.READ_AGAIN:
            assert isinstance(answer, Refusal)
            assert (answer.status, answer.code) == (409, "VENDOR_ORDER_BEING_READ")
            assert await market.shop.everything() == before
        settled = await reading
        assert settled is not None
        assert settled.state is PurchaseState.FULFILLED
        assert (await market.shop.order(case.subject_id)).fulfilled == 2
        assert market.sold() == [2]
        assert await market.shop.broken() == {}


async def test_a_dead_workers_lease_holds_no_verdict_up_for_long(dsn: str, tmp_path: Path) -> None:
    async with open_market(dsn, tmp_path, timeout_s=20.0) as market:
        market.lease_s = LEASE_S
        case = await unknown_case(market)
        reading = await being_read(market, case)
        reading.cancel()
        async with asyncio.timeout(10):
            while isinstance(answer := await judge(market, case, Verdict.LOST), Refusal):
                await asyncio.sleep(0.1)
        assert isinstance(answer, tuple)
        [settled] = await market.bought(case.subject_id)
        assert settled.settled_at is not None
        assert await market.shop.broken() == {}
