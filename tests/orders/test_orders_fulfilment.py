"""Path 2 of the lifecycle: what the pool lacks is bought once somebody said so."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from rewards.catalog.model import Product
from rewards.core.errors import Refusal
from rewards.orders.fulfilment import ApproveAsk
from rewards.orders.model import DeliverByPassed, Order, item_id
from rewards.orders.vendor_options import vendor_options
from rewards.vendors import purchases
from rewards.vendors.model import Line, Outcome, PurchaseState
from rewards.vendors.paused import Paused
from rewards.vendors.purchases import Verdict
from rewards.vendors.simulators.faults import Fault
from tests.market import OTHER_OFFERS, Market, add_offer, add_vendor, open_market
from tests.shop import STAFF


@pytest.fixture
async def market(dsn: str, tmp_path: Path) -> AsyncIterator[Market]:
    async with open_market(dsn, tmp_path) as opened:
        yield opened


def code(answer: Order | Refusal) -> str:
    assert isinstance(answer, Refusal), answer
    return answer.code


async def sold_by_acme(market: Market, **facts: object) -> Product:
    """Another product that the vendor sells."""
    product = await market.shop.product(9, **facts)
    async with market.shop.parts.db.transaction() as tx:
        await tx.execute(
            "INSERT INTO vendor_products (product_id, vendor_id, sku) VALUES (9, $1, 'AMZ')",
            market.vendor_id,
        )
    return product


async def history(market: Market, order_id: int) -> list[str]:
    """Every state it was in; an act that left it where it was is not told twice."""
    return [state for state, _ in itertools.groupby(await market.shop.path(order_id))]


async def test_approved_bought_fetched_delivered_step_by_step(market: Market) -> None:
    order = await market.waiting(3)
    assert str(order.state) == "PENDING·VENDOR_ORDER_PENDING"
    assert market.book.calls.total() == 0
    market.book.delay_s = 10
    approved = await market.approve(order.id)
    assert isinstance(approved, Order)
    assert str(approved.state) == "PENDING·VENDOR_ORDER_PENDING"
    assert market.book.calls.total() == 0, "approving commits; only the worker calls"
    await market.step(order.id)
    assert str((await market.shop.order(order.id)).state) == "PENDING·VENDOR_ORDER_CREATED"
    done = await market.settle(order.id)
    assert str(done.state) == "DELIVERED·COMPLETED"
    assert (done.fulfilled, done.pending_items, done.missing) == (3, 0, 0)
    assert await history(market, order.id) == [
        "PLACED·INITIAL",
        "PENDING·VENDOR_ORDER_PENDING",
        "PENDING·VENDOR_ORDER_CREATED",
        "PENDING·VENDOR_VOUCHER_FETCHED",
        "DELIVERED·COMPLETED",
    ]
    assert (await market.shop.events(order.id))[-1] == "order.delivered"
    assert market.sold() == [3]
    [purchase] = await market.bought(order.id)
    assert (purchase.state, purchase.received) == (PurchaseState.FULFILLED, 3)
    assert purchase.cost is not None
    assert purchase.cost.amount_minor == 7_500
    assert await market.shop.broken() == {}


async def test_a_part_of_the_pool_is_completed_by_the_vendor(market: Market) -> None:
    order = await market.waiting(5, stock=2)
    assert str(order.state) == "PARTIALLY_DELIVERED·PARTIAL"
    await market.approve(order.id)
    done = await market.settle(order.id)
    assert str(done.state) == "DELIVERED·COMPLETED"
    assert market.sold() == [3]
    assert await market.shop.broken() == {}


async def test_more_than_one_call_takes_is_bought_in_parts(market: Market) -> None:
    adapter = market.adapters.vendors[market.vendor_id]
    adapter.capabilities = replace(adapter.capabilities, quantity_max=2)
    order = await market.waiting(5)
    await market.approve(order.id)
    done = await market.settle(order.id)
    assert str(done.state) == "DELIVERED·COMPLETED"
    assert sorted(market.sold()) == [1, 2, 2]
    assert len(await market.bought(order.id)) == 3
    assert await market.shop.broken() == {}


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault.OUT_OF_STOCK, "OUT_OF_STOCK"),
        (Fault.NO_BALANCE, "INSUFFICIENT_VENDOR_BALANCE"),
        (Fault.INACTIVE, "PRODUCT_INACTIVE"),
        (Fault.PRICE_DRIFT, "PRICE_CHANGED"),
    ],
)
async def test_a_refusal_waits_for_staff_who_may_try_again_or_cancel(
    market: Market, fault: Fault, reason: str
) -> None:
    order = await market.waiting(2)
    market.script(fault)
    await market.approve(order.id)
    refused = await market.settle(order.id)
    assert str(refused.state) == "PENDING·VENDOR_ORDER_FAILED"
    [purchase] = await market.bought(order.id)
    assert purchase.reason == reason
    assert market.sold() == []
    await market.approve(order.id)
    assert str((await market.settle(order.id)).state) == "DELIVERED·COMPLETED"
    assert market.sold() == [2]
    assert await market.shop.broken() == {}


async def test_a_failed_vendor_order_is_cancelled_and_refunded_by_staff(market: Market) -> None:
    order = await market.waiting(2)
    market.script(Fault.OUT_OF_STOCK)
    await market.approve(order.id)
    await market.settle(order.id)
    cancelled = await market.shop.cancel(order.id)
    assert isinstance(cancelled, Order)
    assert str(cancelled.state) == "CANCELLED·REFUNDED"
    assert cancelled.refunded_minor == order.amount_minor
    assert await market.shop.broken() == {}


@pytest.mark.parametrize(
    "fault",
    [Fault.DROP_AFTER, Fault.ERROR_AFTER, Fault.HTML, Fault.HUGE, Fault.GARBAGE, Fault.REDIRECT],
)
async def test_an_unknown_outcome_is_read_back_and_never_bought_twice(
    market: Market, fault: Fault
) -> None:
    order = await market.waiting(2)
    market.script(fault)
    await market.approve(order.id)
    await market.step(order.id)
    assert str((await market.shop.order(order.id)).state) == "PENDING·PENDING_REPROCESS"
    done = await market.settle(order.id)
    assert str(done.state) == "DELIVERED·COMPLETED"
    assert market.sold() == [2]
    assert market.book.calls["place"] == 1
    assert await market.shop.broken() == {}


async def test_what_never_arrived_is_not_placed_only_after_a_while(market: Market) -> None:
    order = await market.waiting(2)
    market.script(Fault.DROP_BEFORE)
    await market.approve(order.id)
    await market.step(order.id)
    again = await market.step(order.id)
    assert again is not None
    assert again.state is PurchaseState.UNKNOWN, "it may still be on its way"
    done = await market.settle(order.id)
    assert str(done.state) == "PENDING·VENDOR_ORDER_FAILED"
    [purchase] = await market.bought(order.id)
    assert purchase.state is PurchaseState.NOT_PLACED
    assert market.sold() == []


async def test_asked_too_often_is_asked_again_with_the_same_key(market: Market) -> None:
    order = await market.waiting(2)
    market.script(Fault.THROTTLE, Fault.THROTTLE)
    await market.approve(order.id)
    await market.step(order.id)
    assert str((await market.shop.order(order.id)).state) == "PENDING·PENDING_REPROCESS"
    done = await market.settle(order.id)
    assert str(done.state) == "DELIVERED·COMPLETED"
    [purchase] = await market.bought(order.id)
    assert list(market.book.sales) == [purchase.key]


async def test_a_window_that_closes_leaves_a_case_for_a_person(market: Market) -> None:
    order = await market.waiting(2)
    market.script(Fault.NEVER_READY)
    await market.approve(order.id)
    await market.step(order.id)
    market.clock.ahead += timedelta(hours=25)
    await market.buying.sweep()
    expired = await market.shop.order(order.id)
    assert str(expired.state) == "PENDING·REPROCESS_EXPIRED"
    async with market.shop.parts.db.connection() as connection:
        [case] = await purchases.cases(connection)
    assert case.subject_id == order.id
    assert code(await market.approve(order.id)) == "VENDOR_ORDER_OPEN"
    assert code(await market.shop.retry(order.id)) == "VENDOR_ORDER_OPEN"


@pytest.mark.parametrize(
    ("verdict", "state"),
    [(Verdict.NOT_PLACED, "NOT_PLACED"), (Verdict.LOST, "FULFILLED")],
)
async def test_a_person_settles_an_unknown_outcome(
    market: Market, verdict: Verdict, state: str
) -> None:
    order = await market.waiting(2)
    market.script(Fault.DROP_AFTER)
    market.script(*[Fault.ERROR_BEFORE] * 50, call="read")
    await market.approve(order.id)
    await market.step(order.id)
    market.clock.ahead += timedelta(hours=25)
    await market.buying.sweep()
    [case] = await market.bought(order.id)
    assert case.case_at is not None

    async def judge() -> object:
        async with market.shop.parts.db.transaction() as tx:
            at = market.clock.now()
            return await purchases.judge(tx, case.id, verdict, "told by phone", market.buyers, at)

    assert isinstance(await judge(), tuple)
    [settled] = await market.bought(order.id)
    assert settled.state == state
    assert str((await market.shop.order(order.id)).state) == "PENDING·VENDOR_ORDER_FAILED"
    before = await market.shop.everything()
    again = await judge()
    assert isinstance(again, Refusal)
    assert again.code == "VENDOR_ORDER_NO_CASE"
    assert await market.shop.everything() == before
    assert await market.shop.broken() == {}


async def test_a_cancel_before_the_call_buys_nothing(market: Market) -> None:
    order = await market.waiting(2)
    await market.approve(order.id)
    await market.shop.cancel(order.id)
    await market.buying.sweep()
    [purchase] = await market.bought(order.id)
    assert purchase.state is PurchaseState.REFUSED
    assert market.book.calls.total() == 0


@pytest.mark.parametrize("act", ["cancel", "fail"])
@pytest.mark.parametrize(("given_up", "sold"), [(1, [2, 2]), (3, [2]), (4, [1])])
async def test_what_is_given_up_before_the_call_is_not_bought(
    market: Market, act: str, given_up: int, sold: list[int]
) -> None:
    """Also of the parts that were to come later."""
    adapter = market.adapters.vendors[market.vendor_id]
    adapter.capabilities = replace(adapter.capabilities, quantity_max=2)
    order = await market.waiting(5)
    await market.approve(order.id)
    items = [item_id(order.id, 1 + n) for n in range(given_up)]
    answer = await getattr(market.shop, act)(order.id, *items)
    assert isinstance(answer, Order)
    [purchase] = await market.bought(order.id)
    assert purchase.line.quantity + purchase.remaining == answer.missing == 5 - given_up
    assert purchase.line.quantity == sold[0]
    done = await market.settle(order.id)
    assert str(done.state) == "DELIVERED·COMPLETED"
    assert market.sold() == sold
    assert await market.codes_in_stock() == done.fulfilled
    assert await market.shop.broken() == {}


async def test_what_was_sent_is_bought_whole_though_a_part_was_given_up(market: Market) -> None:
    order = await market.waiting(3)
    market.book.delay_s = 30
    await market.approve(order.id)
    await market.step(order.id)
    await market.shop.cancel(order.id, item_id(order.id, 1), item_id(order.id, 2))
    [purchase] = await market.bought(order.id)
    assert purchase.line.quantity == 3
    done = await market.settle(order.id)
    assert (str(done.state), done.fulfilled) == ("DELIVERED·COMPLETED", 1)
    assert market.sold() == [3]
    assert await market.codes_in_stock() == 3, "the rest is kept for whoever comes next"
    assert await market.shop.broken() == {}


@pytest.mark.parametrize("act", ["cancel", "fail"])
@pytest.mark.parametrize(("given_up", "sold"), [(1, [2, 2]), (3, [2]), (4, [1]), (5, [])])
async def test_what_is_given_up_during_a_call_that_is_refused_for_now_is_not_asked_for_again(
    market: Market, monkeypatch: pytest.MonkeyPatch, act: str, given_up: int, sold: list[int]
) -> None:
    """The same key is sent again later, for what is still wanted then; or never."""
    adapter = market.adapters.vendors[market.vendor_id]
    adapter.capabilities = replace(adapter.capabilities, quantity_max=2)
    place = adapter.place
    order = await market.waiting(5)
    await market.approve(order.id)
    items = [item_id(order.id, 1 + n) for n in range(given_up)]

    async def meanwhile(key: str, line: Line) -> Outcome:
        monkeypatch.undo()
        assert isinstance(await getattr(market.shop, act)(order.id, *items), Order)
        return await place(key, line)

    monkeypatch.setattr(adapter, "place", meanwhile)
    market.script(Fault.THROTTLE)
    purchase = await market.step(order.id)
    assert purchase is not None
    assert [purchase] == await market.bought(order.id)
    assert purchase.state is (PurchaseState.READY if sold else PurchaseState.REFUSED)
    if sold:
        assert purchase.line.quantity == sold[0]
        assert purchase.line.quantity + purchase.remaining == 5 - given_up
    done = await market.settle(order.id)
    assert done.missing == 0
    assert market.sold() == sold
    assert await market.codes_in_stock() == done.fulfilled == 5 - given_up
    assert await market.shop.broken() == {}


async def test_a_partial_cancel_and_the_call_meet_and_what_is_sent_is_what_is_told(
    market: Market,
) -> None:
    for _ in range(10):
        order = await market.waiting(4)
        await market.approve(order.id)
        items = [item_id(order.id, 1 + n) for n in range(3)]
        answer, _ = await asyncio.gather(
            market.shop.cancel(order.id, *items), market.buying.sweep()
        )
        assert isinstance(answer, Order), "before the call, during it, or late"
        done = await market.settle(order.id)
        assert (done.missing, done.refunded_minor) == (0, order.amount_minor * 3 // 4)
        [purchase] = await market.bought(order.id)
        assert market.sold() == [purchase.line.quantity] == [purchase.received]
        assert purchase.line.quantity in (1, 4)
        market.book.sales.clear()
    assert await market.shop.broken() == {}


async def test_refusals_change_nothing(market: Market) -> None:
    delivered = await market.waiting(1, stock=1)
    order = await market.waiting(2)
    bulk = await market.waiting(60)
    before = await market.shop.everything()
    assert code(await market.approve(10**12)) == "ORDER_NOT_FOUND"
    assert code(await market.approve(delivered.id)) == "ORDER_NOT_APPROVABLE"
    assert code(await market.approve(bulk.id)) == "ORDER_NOT_APPROVABLE"
    assert code(await market.approve(order.id, "nobody")) == "VENDOR_NOT_AVAILABLE"
    async with market.shop.parts.db.transaction() as tx:
        await tx.execute("UPDATE vendors SET status = 'PAUSED'")
    assert code(await market.approve(order.id)) == "VENDOR_NOT_AVAILABLE"
    assert await market.shop.everything() == before
    assert market.book.calls.total() == 0


async def test_nothing_is_bought_that_its_client_no_longer_wants(market: Market) -> None:
    """The worker cancels and refunds it a moment later."""
    product = await sold_by_acme(market, allow_auto_vendor_fulfill=True)
    client = await market.shop.client(minor=1_000_000)
    until = market.clock.now() + timedelta(minutes=5)
    ask = market.shop.ask(client, product, 2, deliver_by=until)
    order = (await market.shop.place_one(ask)).order
    market.clock.ahead += timedelta(minutes=5)
    before = await market.shop.everything()
    assert code(await market.approve(order.id)) == "DELIVER_BY_PASSED"
    [foreseen] = await market.fulfilment.foresee([ApproveAsk(order.id, STAFF, "why")])
    assert isinstance(foreseen, DeliverByPassed)
    await market.fulfilment.approve_flagged([order.id])
    await market.fulfilment.sweep_flagged()
    assert await market.shop.everything() == before
    parts = market.shop.parts
    now = market.clock.now()
    _, [option] = await vendor_options(parts.db, market.adapters, parts.prices, order.id, now)
    assert option.why_not == "its deliver_by has passed"


async def test_a_paused_vendor_buys_nothing_until_it_goes_on(market: Market) -> None:
    order = await market.waiting(2)
    await market.approve(order.id)
    vendor = market.adapters.vendors[market.vendor_id]
    market.adapters.vendors[market.vendor_id] = Paused(vendor)
    await market.step(order.id)
    assert market.book.calls.total() == 0
    assert str((await market.shop.order(order.id)).state) == "PENDING·PENDING_REPROCESS"
    market.adapters.vendors[market.vendor_id] = vendor
    assert str((await market.settle(order.id)).state) == "DELIVERED·COMPLETED"
    assert market.sold() == [2]


async def test_a_vendor_that_stays_paused_is_given_up_when_the_window_is_over(
    market: Market,
) -> None:
    order = await market.waiting(2)
    await market.approve(order.id)
    vendor = market.adapters.vendors[market.vendor_id]
    market.adapters.vendors[market.vendor_id] = Paused(vendor)
    assert str((await market.settle(order.id, calls_max=1)).state) == "PENDING·PENDING_REPROCESS"
    market.clock.ahead += timedelta(hours=25)
    await market.buying.sweep()
    assert str((await market.shop.order(order.id)).state) == "PENDING·VENDOR_ORDER_FAILED"
    assert market.book.calls.total() == 0
    assert await market.shop.broken() == {}


async def test_of_many_approvals_at_once_one_wins(market: Market) -> None:
    order = await market.waiting(2)
    answers = await asyncio.gather(*(market.approve(order.id) for _ in range(10)))
    assert [code(a) for a in answers if isinstance(a, Refusal)] == ["VENDOR_ORDER_OPEN"] * 9
    await asyncio.gather(*(market.buying.sweep() for _ in range(5)))
    await market.settle(order.id)
    assert market.sold() == [2]
    assert market.book.calls["place"] == 1


async def test_many_orders_are_approved_together(market: Market) -> None:
    orders = [await market.waiting(1) for _ in range(5)]
    asks = [ApproveAsk(order.id, STAFF, "all of them") for order in orders]
    answers = await market.fulfilment.approve([*asks, ApproveAsk(10**12, STAFF, "and this")])
    assert [isinstance(answer, Order) for answer in answers] == [True] * 5 + [False]
    await market.buying.sweep()
    states = {str((await market.shop.order(order.id)).state) for order in orders}
    assert states == {"DELIVERED·COMPLETED"}


async def test_an_account_without_an_adapter_stands_in_nobodys_way(market: Market) -> None:
    await add_vendor(market.shop, "of another version", [6], priority=1)
    order = await market.waiting(1)
    parts = market.shop.parts
    now = market.clock.now()
    _, [option] = await vendor_options(parts.db, market.adapters, parts.prices, order.id, now)
    assert option.source.vendor == "acme"
    await market.approve(order.id)
    assert [one.vendor_id for one in await market.bought(order.id)] == [market.vendor_id]
    second = await market.waiting(1)
    assert code(await market.approve(second.id, "of another version")) == "VENDOR_NOT_AVAILABLE"


async def test_the_cheapest_named_first_is_asked_first(market: Market) -> None:
    other = await add_vendor(market.shop, "better", [6], priority=1)
    market.adapters.vendors[other] = market.adapters.vendors[market.vendor_id]
    order = await market.waiting(1)
    await market.approve(order.id)
    assert [one.vendor_id for one in await market.bought(order.id)] == [other]
    second = await market.waiting(1)
    await market.approve(second.id, "acme")
    assert [one.vendor_id for one in await market.bought(second.id)] == [market.vendor_id]


@pytest.mark.parametrize("told", OTHER_OFFERS)
async def test_a_vendor_whose_catalogue_says_otherwise_is_not_asked(
    market: Market, told: dict[str, object]
) -> None:
    """A sku of euros that is mapped to a product of dollars would be delivered as dollars."""
    await add_offer(market.shop, market.vendor_id, **told)
    order = await market.waiting(1)
    before = await market.shop.everything()
    assert code(await market.approve(order.id)) == "VENDOR_NOT_AVAILABLE"
    assert code(await market.approve(order.id, "acme")) == "VENDOR_NOT_AVAILABLE"
    assert await market.shop.everything() == before
    parts = market.shop.parts
    now = market.clock.now()
    _, [option] = await vendor_options(parts.db, market.adapters, parts.prices, order.id, now)
    assert option.why_not is not None
    other = await add_vendor(market.shop, "other", [6], priority=200)
    market.adapters.vendors[other] = market.adapters.vendors[market.vendor_id]
    await add_offer(market.shop, other)
    assert isinstance(await market.approve(order.id), Order)
    assert [one.vendor_id for one in await market.bought(order.id)] == [other]


@pytest.mark.parametrize("flag", [True, False])
async def test_only_a_flagged_product_is_bought_without_a_person(
    market: Market, flag: bool
) -> None:
    product = await sold_by_acme(market, allow_auto_vendor_fulfill=flag)
    client = await market.shop.client(minor=1_000_000)
    placed = await market.shop.place_one(market.shop.ask(client, product, 2))
    await market.fulfilment.approve_flagged([placed.order.id])
    await market.fulfilment.sweep_flagged()
    if not flag:
        assert await market.bought(placed.order.id) == []
        return
    market.script(Fault.OUT_OF_STOCK)
    refused = await market.settle(placed.order.id)
    assert str(refused.state) == "PENDING·VENDOR_ORDER_FAILED"
    await market.fulfilment.sweep_flagged()
    assert len(await market.bought(placed.order.id)) == 1, "after a no, a person decides"
