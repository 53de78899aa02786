"""T35: every fault of a vendor, at placing and at reading, at once and later: more than 40 cases.

Random mixes of them are in test_orders_vendor_mixes.py, each vendor's own wire in tests/vendors.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from rewards.orders.model import Order
from rewards.vendors.adapters import sandbox
from rewards.vendors.model import PurchaseState
from rewards.vendors.simulators.faults import AFTER, Fault, Scripted
from rewards.vendors.throttle import Breaker, Throttle
from rewards.vendors.wire import Limits, Wire, open_session
from tests.market import Market, Unkept, open_market
from tests.orders.test_orders_vendor_mixes import check, converge

QUANTITY = 4
TIMEOUT_S = 0.4
SLOW_S = 1.0
LATER_S = 30.0
DRIP_S = 0.05
# What the vendor does or says at once; it may be asked again under the same key.
ASKED_AGAIN = (Fault.THROTTLE,)
REFUSED = (Fault.OUT_OF_STOCK, Fault.NO_BALANCE, Fault.INACTIVE, Fault.PRICE_DRIFT)
DENIED = (Fault.TOKEN_KILLED, Fault.IP_DENIED)
NOT_THERE = (Fault.DROP_BEFORE, Fault.ERROR_BEFORE)
WIRE = (*NOT_THERE, *ASKED_AGAIN, *DENIED, *sorted(AFTER))
# How many of four cards can be delivered.
CARDS = {
    Fault.PARTIAL: 2,
    Fault.DUPLICATE_CODE: 3,
    Fault.WRONG_COUNT: 4,
    Fault.WRONG_VALUE: 3,
    Fault.EXPIRED_CODE: 3,
}
# How many cards the vendor sends of four, where it is another count.
SENT = {Fault.PARTIAL: 2, Fault.WRONG_COUNT: 5, Fault.LATE_FAILURE: 0}


@dataclass(frozen=True, slots=True)
class Case:
    """A fault of one call, and what the order comes to."""

    fault: Fault
    call: str = "place"
    delay_s: float = 0.0
    delivered: int = QUANTITY

    def __str__(self) -> str:
        return f"{self.fault} at {self.call}{' later' if self.delay_s else ''}"


CASES = [
    *(Case(fault, delivered=0) for fault in (*REFUSED, *DENIED, *NOT_THERE)),
    *(Case(fault) for fault in (*ASKED_AGAIN, *sorted(AFTER))),
    *(Case(fault, delay_s=LATER_S) for fault in (*ASKED_AGAIN, *sorted(AFTER))),
    *(Case(fault, "read", LATER_S) for fault in WIRE),
    *(Case(fault, delivered=count) for fault, count in CARDS.items()),
    *(Case(fault, delay_s=LATER_S, delivered=count) for fault, count in CARDS.items()),
    *(Case(fault, delivered=0) for fault in (Fault.LATE_FAILURE, Fault.NEVER_READY)),
]
assert len(CASES) >= 40


@pytest.fixture
async def market(dsn: str, tmp_path: Path) -> AsyncIterator[Market]:
    async with open_market(dsn, tmp_path, timeout_s=TIMEOUT_S) as opened:
        opened.simulator.slow_s = SLOW_S
        yield opened


async def bought(market: Market) -> Order:
    """An order for four that a person had bought, long after."""
    order = await market.waiting(QUANTITY)
    assert isinstance(await market.approve(order.id), Order)
    await market.step(order.id)
    await converge(market)
    return await market.shop.order(order.id)


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_a_fault_buys_nothing_twice_and_sells_nothing_bad(market: Market, case: Case) -> None:
    # A code that comes twice was sold once before.
    earlier = [await bought(market)] if case.fault is Fault.DUPLICATE_CODE else []
    market.book.calls.clear()
    market.book.delay_s = case.delay_s
    market.simulator.script.add([Scripted(case.fault, case.call)])
    order = await bought(market)
    assert market.simulator.script.next(case.call) is None, "the fault struck"
    assert order.fulfilled == case.delivered
    placed = market.book.calls["place"]
    if case.call == "place" and case.fault in ASKED_AGAIN:
        assert placed == 2, "told to come again, it comes again, with the same key"
    else:
        assert placed == 1, "whatever is not clear is asked by our key, never bought again"
    if case.call == "place" and case.fault in (*AFTER, *NOT_THERE):
        assert market.book.calls["read"] >= 1
    if case.call == "read":
        assert market.book.calls["read"] >= 2, "a spoiled read tells nothing, and is made again"
    sales = list(market.book.sales.values())[len(earlier) :]
    assert len(sales) <= 1
    for sale in sales:
        assert len(sale.cards) == SENT.get(case.fault, QUANTITY)
        [purchase] = await market.bought(order.id)
        if purchase.state is PurchaseState.FULFILLED:
            unusable = max(len(sale.cards) - order.fulfilled, 0)
            spare = max(len(sale.cards) - QUANTITY, 0)
            assert purchase.quarantined == unusable - spare
    await check(market, [*earlier, order])


async def other_currency(market: Market) -> None:
    """Of four cards one is in another currency."""
    real = market.book._card
    left = iter([True])

    def card(*asked: Any) -> Any:
        made = real(*asked)
        return replace(made, currency="EUR") if next(left, False) else made

    market.book._card = card  # type: ignore[method-assign]


async def slow_drip(market: Market) -> None:
    """A byte now and a byte then, for longer than anybody waits."""
    real, left = market.simulator._after, iter([True])

    async def drip(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
        if not next(left, False):
            return await real(request, response)
        dripping = web.StreamResponse()
        await dripping.prepare(request)
        for _ in range(int(TIMEOUT_S / DRIP_S) * 3):
            await dripping.write(b" ")
            await asyncio.sleep(DRIP_S)
        return dripping

    market.simulator._after = drip  # type: ignore[method-assign]


async def success_with_an_error(market: Market) -> None:
    """200, and a body that speaks of an error; the next answer is sound."""
    market.simulator.instead = {"place": (200, b'{"status": "error", "error": "declined"}')}


@pytest.mark.parametrize(
    ("spoil", "delivered"),
    [(other_currency, 3), (slow_drip, 4), (success_with_an_error, 4)],
)
async def test_what_no_script_has(
    market: Market, spoil: Callable[[Market], Any], delivered: int
) -> None:
    await spoil(market)
    order = await bought(market)
    assert order.fulfilled == delivered
    assert market.book.calls["place"] == 1
    [purchase] = await market.bought(order.id)
    assert purchase.quarantined == QUANTITY - delivered
    await check(market, [order])


async def test_who_speaks_no_tls_is_sent_nothing(market: Market) -> None:
    """Nothing left this machine, so it may be placed later; with the vendor back, it is."""
    sound = market.adapters.vendors[market.vendor_id]
    url = sound._wire.base_url
    async with open_session() as session:
        wire = Wire(
            *(session, url.replace("http://", "https://"), Unkept()),
            safe=sandbox.KIND.safe,
            throttle=Throttle({}),
            breaker=Breaker(opens_after=10_000),
            limits=Limits(timeout_s=TIMEOUT_S, connect_s=TIMEOUT_S),
        )
        market.adapters.vendors[market.vendor_id] = sandbox.KIND.build(
            {"base_url": wire.base_url}, {"api_key": "k"}, wire
        )
        order = await market.waiting(QUANTITY)
        await market.approve(order.id)
        purchase = await market.step(order.id)
    assert purchase is not None
    assert purchase.state is PurchaseState.READY
    assert market.book.sales == {}
    market.adapters.vendors[market.vendor_id] = sound
    done = await market.settle(order.id)
    assert done.fulfilled == QUANTITY
    await check(market, [done])
