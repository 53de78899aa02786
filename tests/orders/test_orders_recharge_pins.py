"""Recharges that an operator sells as PINs: handed on when sound, else nobody is served."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rewards.catalog.model import ProductType
from rewards.core.errors import Refusal
from rewards.orders.model import Order, item_id
from rewards.vendors.model import PurchaseState
from rewards.vendors.simulators.book import SimProduct
from rewards.vendors.simulators.faults import Fault
from tests.market import Market, open_market
from tests.shop import STAFF

SOUND, OTHER_NAME = 21, 22
UNUSABLE = (Fault.EXPIRED_CODE, Fault.WRONG_VALUE, Fault.DUPLICATE_CODE)


@pytest.fixture
async def market(dsn: str, tmp_path: Path) -> AsyncIterator[Market]:
    """Product 21 has the fields that the vendor's PINs come with; 22 has one that never comes."""
    async with open_market(dsn, tmp_path) as opened:
        pin = SimProduct("PIN", "Airtime PIN", "USD", 2_500, 5_000, (2_500, 5_000))
        opened.book.products["PIN"] = pin
        opened.simulator.pins = frozenset({"PIN"})
        for product_id, fields in ((SOUND, ("pin_code",)), (OTHER_NAME, ("claim_url",))):
            await opened.shop.product(
                product_id, name="PIN", type=ProductType.MOBILE_TOPUP, voucher_fields=fields
            )
            async with opened.shop.parts.db.transaction() as tx:
                await tx.execute(
                    "INSERT INTO vendor_products (product_id, vendor_id, sku)"
                    " VALUES ($1, $2, 'PIN')",
                    *(product_id, opened.vendor_id),
                )
        yield opened


async def bought(market: Market, order: Order) -> Order:
    assert isinstance(await market.approve(order.id), Order)
    return await market.settle(order.id)


async def pins(market: Market, order: Order) -> list[str | None]:
    shown = await market.shop.parts.orders.read(STAFF, order.client_id, order.id)
    return [voucher.pin_code for voucher in shown.vouchers]


async def test_a_sound_pin_is_handed_on(market: Market) -> None:
    order = await market.recharge(product_id=SOUND)
    done = await bought(market, order)
    assert str(done.state) == "DELIVERED·COMPLETED"
    assert await market.recharges(order.id) == [("DELIVERED", "RECHARGED")]
    [sale] = market.book.sales.values()
    assert await pins(market, order) == [sale.cards[0].pin]
    assert await market.shop.broken() == {}


@pytest.mark.parametrize("fault", UNUSABLE)
async def test_a_pin_that_cannot_be_sold_serves_nobody(market: Market, fault: Fault) -> None:
    await bought(market, await market.recharge(product_id=SOUND))
    order = await market.recharge(product_id=SOUND)
    market.script(fault)
    waiting = await bought(market, order)
    assert str(waiting.state) == "PENDING·VENDOR_ORDER_FAILED"
    assert (waiting.fulfilled, waiting.refunded_minor) == (0, 0)
    assert await market.recharges(order.id) == [("PENDING", "PENDING")]
    assert "order.delivered" not in await market.shop.events(order.id)
    [purchase] = await market.bought(order.id)
    assert (purchase.state, purchase.received) == (PurchaseState.FULFILLED, 1)
    assert purchase.quarantined == 1
    assert await market.shop.broken() == {}
    done = await bought(market, order)
    assert str(done.state) == "DELIVERED·COMPLETED"
    assert await pins(market, order) == [list(market.book.sales.values())[-1].cards[0].pin]
    assert await market.shop.broken() == {}


async def test_a_pin_under_a_name_that_the_product_has_not_is_given_up_by_staff(
    market: Market,
) -> None:
    order = await market.recharge(product_id=OTHER_NAME)
    waiting = await bought(market, order)
    assert str(waiting.state) == "PENDING·VENDOR_ORDER_FAILED"
    cancelled = await market.shop.cancel(order.id)
    assert isinstance(cancelled, Order)
    assert cancelled.refunded_minor == order.amount_minor
    assert await market.recharges(order.id) == [("CANCELLED", "CANCELLED")]
    assert await market.shop.broken() == {}


async def test_of_two_pins_the_sound_one_is_handed_on(market: Market) -> None:
    order = await market.recharge(2, SOUND)
    await market.approve(order.id)
    first, second = await market.bought(order.id)
    market.script(Fault.EXPIRED_CODE)
    await market.buying.step(first.id)
    assert str((await market.shop.order(order.id)).state) == "PENDING·VENDOR_ORDER_FAILED"
    assert isinstance(await market.approve(order.id), Refusal), "the other is under way"
    await market.buying.step(second.id)
    half = await market.shop.order(order.id)
    assert str(half.state) == "PARTIALLY_DELIVERED·PARTIAL"
    assert await market.recharges(order.id) == [("PENDING", "PENDING"), ("DELIVERED", "RECHARGED")]
    assert await market.shop.broken() == {}
    ended = await market.shop.cancel(order.id, item_id(order.id, 1))
    assert isinstance(ended, Order)
    assert ended.refunded_minor == order.amount_minor // 2
    assert await market.shop.broken() == {}
