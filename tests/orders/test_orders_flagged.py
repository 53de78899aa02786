"""What a product's flag buys in nobody's name for one client has a day's limit (ADR 0038)."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from rewards.catalog.model import Product
from rewards.orders import flagged
from rewards.orders.model import Order
from rewards.vendors.port import Vendor
from rewards.vendors.simulators.faults import Fault
from tests.market import LIMIT_MINOR, Market, open_market

# Of 25.00 each: four orders of ten come to the limit of 1,000.00.
TEN = 10
FIT = LIMIT_MINOR // (TEN * 2_500)
FLAGGED = 9


@pytest.fixture
async def market(dsn: str, tmp_path: Path) -> AsyncIterator[Market]:
    async with open_market(dsn, tmp_path) as opened:
        yield opened


async def flagged_product(market: Market) -> Product:
    """Bought without a person, from the market's vendor."""
    product = await market.shop.product(FLAGGED, allow_auto_vendor_fulfill=True)
    async with market.shop.parts.db.transaction() as tx:
        await tx.execute(
            "INSERT INTO vendor_products (product_id, vendor_id, sku) VALUES ($1, $2, 'AMZ')",
            *(FLAGGED, market.vendor_id),
        )
    return product


async def orders_of(market: Market, product: Product, count: int, quantity: int) -> list[Order]:
    """So many orders of one client; the pool has none."""
    client = await market.shop.client(minor=10**9)
    ask = market.shop.ask(client, product, quantity)
    return [(await market.shop.place_one(ask)).order for _ in range(count)]


async def bought(market: Market, orders: list[Order]) -> list[int]:
    """How many purchases there are for each."""
    return [len(await market.bought(order.id)) for order in orders]


async def test_many_small_orders_of_one_client_do_not_pass_its_limit(market: Market) -> None:
    product = await flagged_product(market)
    orders = await orders_of(market, product, FIT + 2, TEN)
    small, other = [(await orders_of(market, product, 1, 1))[0] for _ in range(2)]
    await market.fulfilment.approve_flagged([order.id for order in orders[:2]])
    await market.fulfilment.sweep_flagged()
    assert await bought(market, orders) == [1] * FIT + [0, 0]
    assert await bought(market, [small, other]) == [1, 1], "each client has a limit of its own"
    before = await market.shop.everything()
    await market.fulfilment.sweep_flagged()
    await market.fulfilment.approve_flagged([orders[-1].id])
    assert await market.shop.everything() == before, (
        "it waits, and leaves no trace of being looked at"
    )
    assert str((await market.shop.order(orders[-1].id)).state) == "PENDING·VENDOR_ORDER_PENDING"


async def test_a_day_later_the_flag_buys_again(market: Market) -> None:
    product = await flagged_product(market)
    orders = await orders_of(market, product, FIT + 1, TEN)
    await market.fulfilment.sweep_flagged()
    for ahead, now_bought in ((timedelta(hours=23), 0), (timedelta(hours=2), 1)):
        market.clock.ahead += ahead
        await market.fulfilment.sweep_flagged()
        assert await bought(market, orders[-1:]) == [now_bought]


async def test_two_workers_at_one_client_do_not_pass_it_either(market: Market) -> None:
    product = await flagged_product(market)
    orders = await orders_of(market, product, 3 * FIT, TEN)
    await asyncio.gather(
        *(market.fulfilment.approve_flagged([order.id]) for order in orders),
        market.fulfilment.sweep_flagged(),
    )
    assert sorted(await bought(market, orders)) == [0] * 2 * FIT + [1] * FIT
    assert await market.shop.broken() == {}


async def test_two_workers_at_one_order_do_not_ask_again_after_a_refusal(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of them looked before the other asked, and goes on after the vendor said no."""
    product = await flagged_product(market)
    [order] = await orders_of(market, product, 1, 2)
    vendor = market.adapters.vendor

    async def meanwhile(vendor_id: int) -> Vendor:
        monkeypatch.undo()
        await market.fulfilment.approve_flagged([order.id])
        market.script(Fault.OUT_OF_STOCK)
        await market.step(order.id)
        return await vendor(vendor_id)

    monkeypatch.setattr(market.adapters, "vendor", meanwhile)
    await market.fulfilment.approve_flagged([order.id])
    assert await bought(market, [order]) == [1]
    after = await market.shop.order(order.id)
    assert str(after.state) == "PENDING·VENDOR_ORDER_FAILED", "it waits for a person"
    assert await market.shop.broken() == {}


async def test_what_does_not_count_any_more_is_forgotten(market: Market) -> None:
    product = await flagged_product(market)
    await orders_of(market, product, 2, 1)
    await market.fulfilment.sweep_flagged()
    for ahead, gone in ((timedelta(hours=25), 0), (timedelta(hours=24), 2)):
        market.clock.ahead += ahead
        async with market.shop.parts.db.transaction() as tx:
            assert await flagged.forget(tx, market.clock.now()) == gone
