"""What cannot be served or refunded now: failures for good, owed refunds, passed deadlines."""

import asyncio
from datetime import timedelta

import pytest

from rewards.core.errors import Refusal
from rewards.orders.closing import CancelAsk, FailAsk
from rewards.orders.model import Order, item_id
from rewards.orders.refunds import cancel, fail
from rewards.wallets.model import BALANCE_MINOR_MAX, WalletStatus
from tests.shop import STAFF, Shop


def state(answer: Order | Refusal) -> str:
    assert isinstance(answer, Order), answer
    return str(answer.state)


def code(answer: Order | Refusal) -> str:
    assert isinstance(answer, Refusal), answer
    return answer.code


async def waiting(shop: Shop, quantity: int = 2, *, stock: int = 0) -> Order:
    client = await shop.client(minor=1_000_000)
    product = shop.parts.catalog.product(6) or await shop.product()
    if stock:
        await shop.stock(product, stock)
    return (await shop.place_one(shop.ask(client, product, quantity))).order


@pytest.mark.parametrize(
    ("quantity", "stock", "items"),
    [
        (2, 0, ["FAILED", "FAILED"]),
        (3, 1, ["DELIVERED", "FAILED", "FAILED"]),
        (12, 0, ["FAILED"] * 12),
        (60, 0, []),
    ],
)
async def test_a_failed_order_is_refunded_and_its_client_told(
    shop: Shop, quantity: int, stock: int, items: list[str]
) -> None:
    order = await waiting(shop, quantity, stock=stock)
    failed = await shop.fail(order.id)
    assert state(failed) == "FAILED·REFUNDED"
    assert isinstance(failed, Order)
    assert failed.refunded_minor == order.amount_minor * (quantity - stock) // quantity
    balance = 1_000_000 - order.amount_minor + failed.refunded_minor
    assert await shop.balance(order.client_id) == balance
    assert await shop.item_states(order.id) == items
    assert (await shop.events(order.id))[-1] == "order.failed"
    before = await shop.everything()
    assert code(await shop.fail(order.id)) == "ORDER_NOT_OPEN"
    assert code(await shop.fail(10**12)) == "ORDER_NOT_FOUND"
    assert code(await shop.retry(order.id)) == "ORDER_NOT_RETRYABLE"
    assert await shop.everything() == before
    assert await shop.broken() == {}


async def test_staff_may_close_what_failed(shop: Shop) -> None:
    order = await waiting(shop)
    await shop.fail(order.id)
    assert state(await shop.cancel(order.id)) == "CANCELLED·REFUNDED"
    assert await shop.balance(order.client_id) == 1_000_000
    assert (await shop.events(order.id))[-2:] == ["order.failed", "order.cancelled"]
    assert await shop.broken() == {}


async def test_a_failure_whose_refund_is_refused_owes_it(shop: Shop) -> None:
    order, other = await waiting(shop), await waiting(shop)
    for one in (order, other):
        await shop.set_wallet_status(one.client_id, WalletStatus.FROZEN)
        assert state(await shop.fail(one.id)) == "FAILED·NOT_REFUNDED"
    # One is paid while it is FAILED, the other closed first and paid then.
    assert state(await shop.cancel(other.id)) == "CANCELLED·NOT_REFUNDED"
    before = await shop.everything()
    assert code(await shop.pay_owed(order.id)) == "WALLET_FROZEN"
    assert await shop.everything() == before
    for one, end in ((order, "FAILED·REFUNDED"), (other, "CANCELLED·REFUNDED")):
        await shop.set_wallet_status(one.client_id, WalletStatus.ACTIVE)
        assert state(await shop.pay_owed(one.id)) == end
        assert await shop.balance(one.client_id) == 1_000_000
        before = await shop.everything()
        assert code(await shop.pay_owed(one.id)) == "REFUND_NOT_OWED"
        assert await shop.everything() == before
    assert await shop.broken() == {}


async def test_closing_what_failed_pays_what_is_owed_on_the_way(shop: Shop) -> None:
    order = await waiting(shop)
    await shop.set_wallet_status(order.client_id, WalletStatus.FROZEN)
    await shop.fail(order.id)
    await shop.set_wallet_status(order.client_id, WalletStatus.ACTIVE)
    assert state(await shop.cancel(order.id)) == "CANCELLED·REFUNDED"
    assert (await shop.path(order.id))[-3:] == [
        "FAILED·NOT_REFUNDED",
        "FAILED·REFUNDED",
        "CANCELLED·REFUNDED",
    ]
    assert await shop.balance(order.client_id) == 1_000_000
    assert await shop.broken() == {}


async def test_what_was_delivered_before_a_failure_can_be_taken_back(shop: Shop) -> None:
    for frozen, end in ((False, "CANCELLED·REFUNDED"), (True, "CANCELLED·NOT_REFUNDED")):
        order = await waiting(shop, 2, stock=1)
        await shop.fail(order.id)
        if frozen:
            await shop.set_wallet_status(order.client_id, WalletStatus.FROZEN)
        assert state(await shop.cancel(order.id, item_id(order.id, 1))) == end
        assert await shop.item_states(order.id) == ["REVOKED", "FAILED"]
    assert await shop.broken() == {}


async def test_named_items_fail_one_by_one_and_the_last_closes_the_order(shop: Shop) -> None:
    order = await waiting(shop, 3)
    first = await shop.fail(order.id, item_id(order.id, 2))
    assert state(first) == "PENDING·VENDOR_ORDER_PENDING"
    assert await shop.item_states(order.id) == ["PENDING", "FAILED", "PENDING"]
    before = await shop.everything()
    again = await shop.fail(order.id, item_id(order.id, 2))
    assert code(again) == "ORDER_NOT_CANCELLABLE"
    assert await shop.everything() == before
    last = await shop.fail(order.id, item_id(order.id, 1), item_id(order.id, 3))
    assert state(last) == "FAILED·REFUNDED"
    assert await shop.balance(order.client_id) == 1_000_000
    assert await shop.broken() == {}


async def test_a_refund_above_a_wallets_maximum_is_owed_until_there_is_room(shop: Shop) -> None:
    """Two orders fail in one act; the wallet has room for the refund of one."""
    first = await waiting(shop, 2)
    product = shop.parts.catalog.product(6)
    assert product is not None
    second = (await shop.place_one(shop.ask(first.client_id, product, 2))).order
    balance = await shop.balance(first.client_id)
    await shop.top_up(first.client_id, BALANCE_MINOR_MAX - balance - first.amount_minor)
    async with shop.parts.db.transaction() as tx:
        asks = [FailAsk(order.id, STAFF, "gone for good") for order in (first, second)]
        answers = await fail(tx, asks, shop.now)
    assert list(map(state, answers)) == ["FAILED·REFUNDED", "FAILED·NOT_REFUNDED"]
    assert await shop.balance(first.client_id) == BALANCE_MINOR_MAX
    before = await shop.everything()
    assert code(await shop.pay_owed(second.id)) == "WALLET_FULL"
    await shop.tasks.refunds_owed()
    assert await shop.everything() == before
    third = (await shop.place_one(shop.ask(first.client_id, product, 2))).order
    await shop.tasks.refunds_owed()
    assert state(await shop.order(second.id)) == "FAILED·REFUNDED"
    assert state(await shop.cancel(third.id)) == "CANCELLED·NOT_REFUNDED"
    assert await shop.broken() == {}


async def test_a_retry_after_the_deadline_delivers_nothing(shop: Shop) -> None:
    client = await shop.client(minor=100_000)
    product = await shop.product()
    late = (await shop.place_one(shop.ask(client, product, 2, deliver_by=shop.now))).order
    soon = shop.now + timedelta(hours=1)
    early = (await shop.place_one(shop.ask(client, product, 2, deliver_by=soon))).order
    await shop.stock(product, 4)
    before = await shop.everything()
    assert code(await shop.retry(late.id)) == "DELIVER_BY_PASSED"
    assert await shop.everything() == before
    assert state(await shop.retry(early.id)) == "DELIVERED·COMPLETED"
    assert await shop.tasks.deadlines() == 1
    assert state(await shop.order(late.id)) == "CANCELLED·REFUNDED"
    assert await shop.item_states(late.id) == ["CANCELLED", "CANCELLED"]
    assert await shop.broken() == {}


async def test_the_workers_late_fill_leaves_the_order_to_its_deadline(shop: Shop) -> None:
    client = await shop.client(minor=100_000)
    product = await shop.product()
    placed = await shop.place_one(shop.ask(client, product, 12, deliver_by=shop.now))
    await shop.stock(product, 12)
    await shop.tasks.fill([placed.order.id])
    assert state(await shop.order(placed.order.id)) == "PENDING·PROCESSING"
    await shop.tasks.deadlines()
    assert state(await shop.order(placed.order.id)) == "CANCELLED·REFUNDED"


async def test_a_deadline_never_takes_back_what_a_retry_just_delivered(shop: Shop) -> None:
    """The retry began in time and holds the order; the deadline waits for it and finds it done."""
    client = await shop.client(minor=100_000)
    product = await shop.product()
    soon = shop.now + timedelta(seconds=0.3)
    order = (await shop.place_one(shop.ask(client, product, 1, deliver_by=soon))).order
    await shop.stock(product, 1)
    assert state(await shop.retry(order.id)) == "DELIVERED·COMPLETED"
    await asyncio.sleep(0.3)
    before = await shop.everything()
    async with shop.parts.db.transaction() as tx:
        ask = CancelAsk(order.id, STAFF, "deliver_by has passed", only_open=True)
        [answer] = await cancel(tx, [ask], shop.now)
    assert code(answer) == "ORDER_NOT_CANCELLABLE"
    assert await shop.everything() == before
