"""Stock bought from a simulated vendor: whole, in parts, short, unknown, spoiled, and killed."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from rewards.orders.model import Order
from rewards.vendors import purchases
from rewards.vendors.model import Cost, PurchaseState
from rewards.vendors.purchases import Verdict
from rewards.vendors.simulators.faults import Fault
from tests.restocks.stockroom import Stockroom
from tests.shop import STAFF


async def test_what_is_ordered_is_bought_and_sold_after_the_next_pump(room: Stockroom) -> None:
    placed = await room.order(4)
    assert (placed.state, placed.cost_minor, placed.missing) == ("ORDERED", 10_000, 4)
    assert room.market.book.calls.total() == 0, "ordering commits; only the worker calls"
    done = await room.settle(placed.id)
    assert (done.state, done.received, done.usable, done.missing) == ("RECEIVED", 4, 4, 0)
    assert done.ended_at is not None
    assert room.market.sold() == [4]
    assert await room.units(done.id) == [("AVAILABLE", 2_500, "USD", False)] * 4
    client = await room.shop.client(minor=100_000)
    product = room.shop.parts.catalog.product(6)
    assert product is not None
    early = (await room.shop.place_one(room.shop.ask(client, product, 2))).order
    assert early.status == "PENDING", "as an import it waits for the pump"
    await room.pump()
    retried = await room.shop.retry(early.id)
    assert isinstance(retried, Order)
    assert str(retried.state) == "DELIVERED·COMPLETED"
    shown = await room.shop.parts.orders.read(STAFF, early.client_id, early.id)
    codes = {card.code for sale in room.market.book.sales.values() for card in sale.cards}
    assert {voucher.card_number for voucher in shown.vouchers} <= codes
    assert await room.trail(done.id) == ["asked", "vendor_answered"]
    assert await room.shop.broken() == {}


async def test_more_than_one_call_takes_comes_in_parts(room: Stockroom) -> None:
    adapter = room.market.adapters.vendors[room.market.vendor_id]
    adapter.capabilities = replace(adapter.capabilities, quantity_max=2)
    placed = await room.order(5)
    [first] = await room.bought(placed.id)
    assert (first.line.quantity, first.remaining) == (2, 3)
    await room.market.buying.step(first.id)
    under_way = await room.read(placed.id)
    assert (under_way.state, under_way.usable, under_way.missing) == ("ORDERED", 2, 3)
    assert await room.shop.broken() == {}
    done = await room.settle(placed.id)
    assert (done.state, done.usable) == ("RECEIVED", 5)
    assert room.market.sold() == [2, 2, 1]
    assert len({one.key for one in await room.bought(done.id)}) == 3
    assert await room.shop.broken() == {}


async def test_a_part_that_is_refused_leaves_the_order_short(room: Stockroom) -> None:
    adapter = room.market.adapters.vendors[room.market.vendor_id]
    adapter.capabilities = replace(adapter.capabilities, quantity_max=2)
    placed = await room.order(5)
    [first] = await room.bought(placed.id)
    await room.market.buying.step(first.id)
    room.market.script(Fault.OUT_OF_STOCK)
    done = await room.settle(placed.id)
    assert (done.state, done.received, done.usable) == ("SHORT", 2, 2)
    assert done.message is not None
    assert room.market.sold() == [2]
    assert await room.shop.broken() == {}


@pytest.mark.parametrize("fault", [Fault.EXPIRED_CODE, Fault.WRONG_VALUE, Fault.DUPLICATE_CODE])
async def test_after_a_part_that_cannot_be_sold_no_more_is_bought(
    room: Stockroom, fault: Fault
) -> None:
    adapter = room.market.adapters.vendors[room.market.vendor_id]
    adapter.capabilities = replace(adapter.capabilities, quantity_max=1)
    placed = await room.order(5)
    [first] = await room.bought(placed.id)
    await room.market.buying.step(first.id)
    room.market.script(fault)
    done = await room.settle(placed.id)
    assert (done.state, done.received, done.usable) == ("SHORT", 2, 1)
    assert done.message == "what the vendor brought last cannot be sold"
    assert room.market.sold() == [1, 1]
    assert await room.shop.broken() == {}


async def test_a_part_of_which_one_code_can_be_sold_is_followed_by_the_next(
    room: Stockroom,
) -> None:
    adapter = room.market.adapters.vendors[room.market.vendor_id]
    adapter.capabilities = replace(adapter.capabilities, quantity_max=2)
    room.market.script(Fault.EXPIRED_CODE)
    done = await room.settle((await room.order(5)).id)
    assert (done.state, done.received, done.usable) == ("SHORT", 5, 4)
    assert room.market.sold() == [2, 2, 1]
    assert await room.shop.broken() == {}


@pytest.mark.parametrize(
    ("fault", "state", "received", "usable", "blocked"),
    [
        (Fault.PARTIAL, "SHORT", 2, 2, 0),
        (Fault.WRONG_VALUE, "SHORT", 4, 3, 1),
        (Fault.EXPIRED_CODE, "SHORT", 4, 3, 1),
        (Fault.WRONG_COUNT, "RECEIVED", 5, 5, 0),
    ],
)
async def test_what_came_is_counted_and_what_is_bad_is_blocked(
    room: Stockroom, fault: Fault, state: str, received: int, usable: int, blocked: int
) -> None:
    room.market.script(fault)
    placed = await room.order(4)
    done = await room.settle(placed.id)
    assert (done.state, done.received, done.usable) == (state, received, usable)
    states = [unit[0] for unit in await room.units(done.id)]
    assert states.count("AVAILABLE") == usable
    assert states.count("BLOCKED") == blocked
    assert await room.shop.broken() == {}


async def test_a_code_that_the_vendor_sold_before_is_stored_once(room: Stockroom) -> None:
    first = await room.order(1)
    await room.settle(first.id)
    room.market.script(Fault.DUPLICATE_CODE)
    placed = await room.order(3)
    done = await room.settle(placed.id)
    assert (done.state, done.received, done.usable) == ("SHORT", 3, 2)
    assert done.message == "1 codes cannot be sold"
    [purchase] = await room.bought(done.id)
    assert (purchase.received, purchase.quarantined) == (3, 1)
    assert await room.market.codes_in_stock() == 3
    assert await room.shop.broken() == {}


async def test_units_cost_together_what_the_vendor_charged(room: Stockroom) -> None:
    book = room.market.book
    book.products["AMZ"] = replace(book.products["AMZ"], discount_percent=Decimal("1.5"))
    placed = await room.order(3)
    done = await room.settle(placed.id)
    [purchase] = await room.bought(done.id)
    assert purchase.cost == Cost(7_387, "USD")
    assert [unit[1] for unit in await room.units(done.id)] == [2_462, 2_462, 2_463]
    assert await room.shop.broken() == {}


@pytest.mark.parametrize("fault", [Fault.OUT_OF_STOCK, Fault.NO_BALANCE, Fault.INACTIVE])
async def test_a_refusal_ends_it_and_it_can_be_ordered_again(room: Stockroom, fault: Fault) -> None:
    room.market.script(fault)
    placed = await room.order(2)
    done = await room.settle(placed.id)
    assert (done.state, done.usable) == ("FAILED", 0)
    again = await room.order(2)
    assert (await room.settle(again.id)).state == "RECEIVED"
    assert room.market.sold() == [2]
    assert await room.shop.broken() == {}


@pytest.mark.parametrize("fault", [Fault.DROP_AFTER, Fault.ERROR_AFTER, Fault.GARBAGE])
async def test_an_unknown_outcome_is_read_back_and_never_bought_twice(
    room: Stockroom, fault: Fault
) -> None:
    room.market.script(fault)
    placed = await room.order(3)
    [purchase] = await room.bought(placed.id)
    unknown = await room.market.buying.step(purchase.id)
    assert unknown is not None
    assert unknown.state is PurchaseState.UNKNOWN
    assert (await room.read(placed.id)).state == "ORDERED"
    done = await room.settle(placed.id)
    assert (done.state, done.usable) == ("RECEIVED", 3)
    assert room.market.sold() == [3]
    assert room.market.book.calls["place"] == 1
    assert await room.shop.broken() == {}


@pytest.mark.parametrize("verdict", [Verdict.NOT_PLACED, Verdict.LOST])
async def test_a_person_ends_what_nobody_can_tell(room: Stockroom, verdict: Verdict) -> None:
    market = room.market
    market.script(Fault.DROP_AFTER)
    market.script(*[Fault.ERROR_BEFORE] * 50, call="read")
    placed = await room.order(2)
    [purchase] = await room.bought(placed.id)
    await market.buying.step(purchase.id)
    market.clock.ahead += timedelta(hours=25)
    await market.buying.sweep()
    assert (await room.read(placed.id)).state == "ORDERED"
    async with room.shop.parts.db.transaction() as tx:
        at = market.clock.now()
        judged = await purchases.judge(tx, purchase.id, verdict, "told by phone", market.buyers, at)
    assert isinstance(judged, tuple)
    done = await room.read(placed.id)
    assert (done.state, done.message) == ("FAILED", "told by phone")
    assert await room.shop.broken() == {}


async def test_a_worker_that_dies_between_the_sale_and_our_books_buys_once(
    room: Stockroom,
) -> None:
    room.market.script(Fault.SLOW)
    placed = await room.order(3)
    [purchase] = await room.bought(placed.id)
    dying = asyncio.create_task(room.market.buying.step(purchase.id))
    async with asyncio.timeout(5):
        while not room.market.book.sales:
            await asyncio.sleep(0.005)
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    assert await room.units(placed.id) == []
    [left] = await room.bought(placed.id)
    assert left.state is PurchaseState.SENDING
    await room.market.buying.sweep()
    assert await room.units(placed.id) == [], "whoever died may be alive until the lease is over"
    async with room.shop.parts.db.connection() as connection:
        await connection.execute("UPDATE vendor_orders SET leased_until = now()")
    done = await room.settle(placed.id)
    assert (done.state, done.usable) == ("RECEIVED", 3)
    assert room.market.sold() == [3]
    assert room.market.book.calls["place"] == 1
    assert await room.shop.broken() == {}


async def test_two_workers_at_once_take_in_the_codes_once(room: Stockroom) -> None:
    placed = await room.order(4)
    [purchase] = await room.bought(placed.id)
    await asyncio.gather(*(room.market.buying.step(purchase.id) for _ in range(6)))
    done = await room.settle(placed.id)
    assert (done.state, done.received) == ("RECEIVED", 4)
    assert room.market.sold() == [4]
    assert await room.shop.broken() == {}
