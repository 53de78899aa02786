"""Recharges: bought item by item from an operator, confirmed, or refused and refunded."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from rewards.core.errors import Refusal
from rewards.orders.model import Order, item_id
from rewards.vendors import purchases
from rewards.vendors.purchases import Verdict
from rewards.vendors.simulators.faults import Fault
from tests.market import MOBILE, Market, open_market


@pytest.fixture
async def market(dsn: str, tmp_path: Path) -> AsyncIterator[Market]:
    async with open_market(dsn, tmp_path) as opened:
        yield opened


async def test_a_recharge_goes_from_pending_to_delivered_to_recharged(market: Market) -> None:
    order = await market.recharge()
    assert str(order.state) == "PENDING·VENDOR_ORDER_PENDING"
    assert await market.recharges(order.id) == [("PENDING", "PENDING")]
    market.book.delay_s = 30
    await market.approve(order.id)
    await market.step(order.id)
    assert await market.recharges(order.id) == [("PENDING", "PENDING")]
    market.book.clock.advance(20)
    await market.step(order.id)
    assert await market.recharges(order.id) == [("PENDING", "DELIVERED")]
    done = await market.settle(order.id)
    assert str(done.state) == "DELIVERED·COMPLETED"
    assert await market.recharges(order.id) == [("DELIVERED", "RECHARGED")]
    [sale] = market.book.sales.values()
    assert sale.extra == MOBILE
    assert (await market.shop.events(order.id))[-1] == "order.delivered"
    assert await market.codes_in_stock() == 0
    assert await market.shop.broken() == {}


async def test_each_item_is_a_purchase_of_its_own(market: Market) -> None:
    order = await market.recharge(3)
    await market.approve(order.id)
    done = await market.settle(order.id)
    assert str(done.state) == "DELIVERED·COMPLETED"
    assert market.sold() == [1, 1, 1]
    assert await market.recharges(order.id) == [("DELIVERED", "RECHARGED")] * 3
    assert await market.shop.broken() == {}


async def test_a_recharge_that_the_operator_refuses_is_refunded(market: Market) -> None:
    order = await market.recharge()
    market.script(Fault.LATE_FAILURE)
    await market.approve(order.id)
    failed = await market.settle(order.id)
    assert str(failed.state) == "FAILED·REFUNDED"
    assert failed.refunded_minor == order.amount_minor
    assert await market.recharges(order.id) == [("FAILED", "FAILED")]
    assert (await market.shop.events(order.id))[-1] == "order.failed"
    assert await market.shop.broken() == {}


async def test_trouble_with_the_vendor_is_not_the_clients_fault(market: Market) -> None:
    order = await market.recharge()
    market.script(Fault.NO_BALANCE)
    await market.approve(order.id)
    waiting = await market.settle(order.id)
    assert str(waiting.state) == "PENDING·VENDOR_ORDER_FAILED"
    assert await market.recharges(order.id) == [("PENDING", "PENDING")]
    await market.approve(order.id)
    assert str((await market.settle(order.id)).state) == "DELIVERED·COMPLETED"
    assert await market.shop.broken() == {}


async def test_a_recharge_that_was_sent_cannot_be_cancelled(market: Market) -> None:
    order = await market.recharge()
    market.book.delay_s = 30
    await market.approve(order.id)
    await market.step(order.id)
    before = await market.shop.everything()
    for act in (market.shop.cancel, market.shop.fail):
        refused = await act(order.id)
        assert isinstance(refused, Refusal)
        assert refused.code == "VENDOR_ORDER_OPEN"
    assert await market.shop.everything() == before
    assert str((await market.settle(order.id)).state) == "DELIVERED·COMPLETED"


async def test_a_recharge_that_was_not_sent_is_cancelled_and_never_sent(market: Market) -> None:
    order = await market.recharge(2)
    await market.approve(order.id)
    cancelled = await market.shop.cancel(order.id)
    assert isinstance(cancelled, Order)
    assert cancelled.refunded_minor == order.amount_minor
    assert await market.recharges(order.id) == [("CANCELLED", "CANCELLED")] * 2
    await market.buying.sweep()
    assert market.book.calls.total() == 0
    assert await market.shop.broken() == {}


@pytest.mark.parametrize("act", ["cancel", "fail"])
async def test_one_of_two_recharges_that_is_given_up_is_never_sent(
    market: Market, act: str
) -> None:
    order = await market.recharge(2)
    await market.approve(order.id)
    answer = await getattr(market.shop, act)(order.id, item_id(order.id, 1))
    assert isinstance(answer, Order)
    assert answer.refunded_minor == order.amount_minor // 2
    done = await market.settle(order.id)
    assert str(done.state) == "DELIVERED·COMPLETED"
    lost = "CANCELLED" if act == "cancel" else "FAILED"
    assert await market.recharges(order.id) == [(lost, lost), ("DELIVERED", "RECHARGED")]
    assert market.sold() == [1]
    assert market.book.calls["place"] == 1
    assert await market.shop.broken() == {}


async def test_a_cancel_and_the_call_meet_and_one_wins(market: Market) -> None:
    for _ in range(10):
        order = await market.recharge()
        await market.approve(order.id)
        cancelled, _ = await asyncio.gather(market.shop.cancel(order.id), market.buying.sweep())
        done = await market.settle(order.id)
        sold = [sale for sale in market.book.sales.values() if sale.extra]
        if isinstance(cancelled, Order):
            assert done.refunded_minor == order.amount_minor
            assert not sold
        else:
            assert str(done.state) == "DELIVERED·COMPLETED"
            assert len(sold) == 1
        market.book.sales.clear()
    assert await market.shop.broken() == {}


async def test_an_unknown_recharge_is_read_back_or_lost_by_a_persons_word(market: Market) -> None:
    order = await market.recharge()
    market.script(Fault.DROP_AFTER)
    await market.approve(order.id)
    await market.step(order.id)
    assert str((await market.shop.order(order.id)).state) == "PENDING·PENDING_REPROCESS"
    market.script(*[Fault.ERROR_BEFORE] * 20, call="read")
    market.clock.ahead += timedelta(hours=25)
    await market.buying.sweep()
    assert str((await market.shop.order(order.id)).state) == "PENDING·REPROCESS_EXPIRED"
    [case] = await market.bought(order.id)
    async with market.shop.parts.db.transaction() as tx:
        at = market.clock.now()
        await purchases.judge(tx, case.id, Verdict.LOST, "by phone", market.buyers, at)
    failed = await market.shop.order(order.id)
    assert str(failed.state) == "FAILED·REFUNDED"
    assert failed.refunded_minor == order.amount_minor
    assert await market.shop.broken() == {}


async def test_when_the_last_under_way_fails_for_good_the_rest_waits_for_staff(
    market: Market,
) -> None:
    order = await market.recharge(2)
    await market.approve(order.id)
    first, second = await market.bought(order.id)
    market.script(Fault.NO_BALANCE)
    await market.buying.step(first.id)
    market.book.delay_s = 30
    market.script(Fault.LATE_FAILURE)
    await market.buying.step(second.id)
    assert str((await market.shop.order(order.id)).state) == "PENDING·VENDOR_ORDER_CREATED"
    waiting = await market.settle(order.id)
    assert str(waiting.state) == "PENDING·VENDOR_ORDER_FAILED"
    assert waiting.refunded_minor == order.amount_minor // 2
    assert await market.recharges(order.id) == [("PENDING", "PENDING"), ("FAILED", "FAILED")]
    assert await market.shop.broken() == {}
    assert isinstance(await market.approve(order.id), Order)
    done = await market.settle(order.id)
    assert str(done.state) == "DELIVERED·COMPLETED"
    assert done.refunded_minor == waiting.refunded_minor
    assert await market.shop.broken() == {}


async def test_a_recharge_that_was_never_placed_by_a_persons_word_waits_for_staff(
    market: Market,
) -> None:
    order = await market.recharge()
    market.script(Fault.DROP_BEFORE)
    market.script(*[Fault.ERROR_BEFORE] * 20, call="read")
    await market.approve(order.id)
    await market.step(order.id)
    market.clock.ahead += timedelta(hours=25)
    await market.buying.sweep()
    [case] = await market.bought(order.id)
    async with market.shop.parts.db.transaction() as tx:
        at = market.clock.now()
        await purchases.judge(tx, case.id, Verdict.NOT_PLACED, "no such", market.buyers, at)
    assert str((await market.shop.order(order.id)).state) == "PENDING·VENDOR_ORDER_FAILED"
    assert await market.recharges(order.id) == [("PENDING", "PENDING")]
    assert await market.shop.broken() == {}
