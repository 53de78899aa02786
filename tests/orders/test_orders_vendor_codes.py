"""What becomes of the codes that a vendor brings: delivered, kept in stock, or held back."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rewards.orders.model import Order
from rewards.vendors.simulators.faults import Fault
from tests.market import Market, open_market
from tests.shop import STAFF


@pytest.fixture
async def market(dsn: str, tmp_path: Path) -> AsyncIterator[Market]:
    async with open_market(dsn, tmp_path) as opened:
        yield opened


async def test_the_client_gets_the_codes_that_the_vendor_sold(market: Market) -> None:
    order = await market.waiting(2)
    await market.approve(order.id)
    await market.settle(order.id)
    shown = await market.shop.parts.orders.read(STAFF, order.client_id, order.id)
    [sale] = market.book.sales.values()
    got = {(voucher.card_number, voucher.pin_code) for voucher in shown.vouchers}
    assert got == {(card.code, card.pin) for card in sale.cards}


async def test_codes_that_come_after_a_cancel_go_to_stock(market: Market) -> None:
    order = await market.waiting(2)
    market.book.delay_s = 60
    await market.approve(order.id)
    await market.step(order.id)
    cancelled = await market.shop.cancel(order.id)
    assert isinstance(cancelled, Order)
    assert cancelled.refunded_minor == order.amount_minor
    done = await market.settle(order.id)
    assert str(done.state) == "CANCELLED·REFUNDED"
    assert market.sold() == [2]
    assert await market.codes_in_stock() == 2
    assert await market.shop.broken() == {}


@pytest.mark.parametrize(
    ("fault", "status", "good", "quarantined"),
    [
        (Fault.PARTIAL, "PARTIALLY_DELIVERED·PARTIAL", 2, 0),
        (Fault.WRONG_VALUE, "PARTIALLY_DELIVERED·PARTIAL", 3, 1),
        (Fault.EXPIRED_CODE, "PARTIALLY_DELIVERED·PARTIAL", 3, 1),
        (Fault.WRONG_COUNT, "DELIVERED·COMPLETED", 4, 0),
    ],
)
async def test_bad_codes_are_quarantined_and_never_delivered(
    market: Market, fault: Fault, status: str, good: int, quarantined: int
) -> None:
    order = await market.waiting(4)
    market.script(fault)
    await market.approve(order.id)
    done = await market.settle(order.id)
    assert str(done.state) == status
    assert done.fulfilled == good
    [purchase] = await market.bought(order.id)
    assert purchase.quarantined == quarantined
    assert purchase.received == market.sold()[0]
    assert await market.shop.broken() == {}


async def test_a_code_that_the_vendor_sold_before_is_not_sold_again(market: Market) -> None:
    first = await market.waiting(1)
    await market.approve(first.id)
    await market.settle(first.id)
    order = await market.waiting(2)
    market.script(Fault.DUPLICATE_CODE)
    await market.approve(order.id)
    done = await market.settle(order.id)
    assert str(done.state) == "PARTIALLY_DELIVERED·PARTIAL"
    [purchase] = await market.bought(order.id)
    assert (purchase.received, purchase.quarantined) == (2, 1)
    assert await market.shop.broken() == {}


async def test_all_or_nothing_takes_no_part(market: Market) -> None:
    order = await market.waiting(4, on_partial="ALL_OR_NOTHING")
    market.script(Fault.PARTIAL)
    await market.approve(order.id)
    done = await market.settle(order.id)
    assert str(done.state) == "PENDING·VENDOR_ORDER_FAILED"
    assert done.fulfilled == 0
    assert await market.codes_in_stock() == 2, "paid for, so kept for whoever comes next"
    assert await market.shop.broken() == {}


async def test_all_or_nothing_takes_no_part_when_a_code_was_sold_before(market: Market) -> None:
    first = await market.waiting(1)
    await market.approve(first.id)
    await market.settle(first.id)
    order = await market.waiting(2, on_partial="ALL_OR_NOTHING")
    market.script(Fault.DUPLICATE_CODE)
    await market.approve(order.id)
    done = await market.settle(order.id)
    assert str(done.state) == "PENDING·VENDOR_ORDER_FAILED"
    assert done.fulfilled == 0
    assert await market.codes_in_stock() == 2, "the first one's, and one that waits for a pump"
    assert await market.shop.broken() == {}
