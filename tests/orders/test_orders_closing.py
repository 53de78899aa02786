"""Retry, cancel, late cancel and refunds: exact to the minor unit, and one winner."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.core.errors import Refusal
from rewards.orders.closing import CancelAsk
from rewards.orders.model import Order, item_id
from rewards.orders.refunds import cancel
from rewards.pricing.model import returned_share
from rewards.wallets.model import WalletStatus
from tests.shop import STAFF, Shop


def state(answer: Order | Refusal) -> str:
    assert isinstance(answer, Order), answer
    return str(answer.state)


def code(answer: Order | Refusal) -> str:
    assert isinstance(answer, Refusal), answer
    return answer.code


async def test_a_retry_serves_what_came_since_and_only_that(shop: Shop) -> None:
    client = await shop.client(minor=100_000)
    product = await shop.product()
    order_id = (await shop.place_one(shop.ask(client, product, 3))).order.id
    assert state(await shop.retry(order_id)) == "PENDING·VENDOR_ORDER_PENDING"
    await shop.stock(product, 2)
    assert state(await shop.retry(order_id)) == "PARTIALLY_DELIVERED·PARTIAL"
    await shop.stock(product, 2)
    done = await shop.retry(order_id)
    assert state(done) == "DELIVERED·COMPLETED"
    assert isinstance(done, Order)
    assert done.fulfilled == 3
    before = await shop.everything()
    assert code(await shop.retry(order_id)) == "ORDER_NOT_RETRYABLE"
    assert code(await shop.retry(10**12)) == "ORDER_NOT_FOUND"
    assert await shop.everything() == before


async def test_a_bulk_order_gets_its_items_at_the_first_retry(shop: Shop) -> None:
    client = await shop.client(minor=1_000_000)
    product = await shop.product()
    placed = await shop.place_one(shop.ask(client, product, 60))
    assert placed.order.pending_items == 0
    waiting = await shop.retry(placed.order.id)
    assert state(waiting) == "PENDING·VENDOR_ORDER_PENDING"
    assert isinstance(waiting, Order)
    assert (waiting.items_created, waiting.pending_items) == (60, 60)
    await shop.stock(product, 60)
    assert state(await shop.retry(placed.order.id)) == "DELIVERED·COMPLETED"


async def test_a_bulk_order_over_the_cap_is_cancelled_and_refunded(shop: Shop) -> None:
    client = await shop.client(minor=1_000_000)
    product = await shop.product()
    first = await shop.place_one(shop.ask(client, product, 60))
    second = await shop.place_one(shop.ask(client, product, 60))
    balance = await shop.balance(client)
    assert state(await shop.retry(first.order.id, bulk_units_max=100)) == (
        "PENDING·VENDOR_ORDER_PENDING"
    )
    over = await shop.retry(second.order.id, bulk_units_max=100)
    assert state(over) == "CANCELLED·BULK_LIMIT_EXCEEDED"
    assert await shop.balance(client) == balance + second.order.amount_minor


async def test_cancelling_what_waits_keeps_what_was_delivered(shop: Shop) -> None:
    client = await shop.client(minor=100_000)
    product = await shop.product()
    await shop.stock(product, 1)
    placed = await shop.place_one(shop.ask(client, product, 3))
    cancelled = await shop.cancel(placed.order.id)
    assert state(cancelled) == "CANCELLED·REFUNDED"
    assert isinstance(cancelled, Order)
    # 76.50 for three, one stays: two thirds come back.
    assert cancelled.refunded_minor == 5_100
    assert await shop.balance(client) == 100_000 - 2_550
    assert await shop.item_states(placed.order.id) == ["DELIVERED", "CANCELLED", "CANCELLED"]
    before = await shop.everything()
    assert code(await shop.cancel(placed.order.id)) == "ORDER_NOT_CANCELLABLE"
    assert await shop.everything() == before


async def test_a_late_cancel_revokes_the_units_and_refunds_all(shop: Shop) -> None:
    client = await shop.client(minor=100_000)
    product = await shop.product()
    await shop.stock(product, 2)
    placed = await shop.place_one(shop.ask(client, product, 2))
    cancelled = await shop.cancel(placed.order.id)
    assert state(cancelled) == "CANCELLED·REFUNDED"
    assert await shop.balance(client) == 100_000
    assert await shop.unit_states(placed) == ["REVOKED", "REVOKED"]


async def test_named_items_are_taken_back_one_by_one_and_add_up(shop: Shop) -> None:
    client = await shop.client(minor=100_000)
    product = await shop.product(denominations=((333, 333),), handling_fee_minor=0)
    await shop.stock(product, 3, minor=333)
    placed = await shop.place_one(shop.ask(client, product, 3, denomination_minor=333))
    assert placed.order.amount_minor == 979
    for position, total in ((2, 326), (1, 652), (3, 979)):
        answer = await shop.cancel(placed.order.id, item_id(placed.order.id, position))
        assert isinstance(answer, Order), answer
        assert answer.refunded_minor == total
    assert await shop.balance(client) == 100_000


async def test_items_that_cannot_be_given_back_are_refused_and_nothing_moves(shop: Shop) -> None:
    client = await shop.client(minor=100_000)
    product = await shop.product()
    await shop.stock(product, 1)
    placed = await shop.place_one(shop.ask(client, product, 3))
    other = await shop.place_one(shop.ask(client, product, 1))
    before = await shop.everything()
    n = placed.order.id
    refused = [
        await shop.cancel(n, item_id(other.order.id, 1)),
        await shop.cancel(n, item_id(n, 4)),
        await shop.cancel(n, "nonsense"),
        await shop.cancel(n, item_id(n, 1)),
        await shop.cancel(n, item_id(n, 1), item_id(n, 2)),
        await shop.cancel(10**12),
    ]
    assert [code(answer) for answer in refused] == [
        "INVALID_FIELD",
        "INVALID_FIELD",
        "INVALID_FIELD",
        "ORDER_NOT_CANCELLABLE",
        "INVALID_FIELD",
        "ORDER_NOT_FOUND",
    ]
    assert await shop.everything() == before


async def test_a_cancel_that_names_no_item_is_refused_and_nothing_moves(shop: Shop) -> None:
    client = await shop.client(minor=1_000_000)
    product = await shop.product()
    await shop.stock(product, 1)
    delivered = await shop.place_one(shop.ask(client, product))
    bulk = await shop.place_one(shop.ask(client, product, 60))
    before = await shop.everything()
    for placed in (delivered, bulk):
        ask = CancelAsk(placed.order.id, STAFF, "no longer wanted", ())
        async with shop.parts.db.transaction() as tx:
            [answer] = await cancel(tx, [ask], shop.now)
        assert code(answer) == "INVALID_FIELD"
    assert await shop.everything() == before


async def test_cancelling_some_waiting_items_leaves_the_rest_waiting(shop: Shop) -> None:
    client = await shop.client(minor=100_000)
    product = await shop.product()
    placed = await shop.place_one(shop.ask(client, product, 4))
    n = placed.order.id
    answer = await shop.cancel(n, item_id(n, 2), item_id(n, 3))
    assert state(answer) == "PENDING·VENDOR_ORDER_PENDING"
    assert isinstance(answer, Order)
    assert (answer.refunded_minor, answer.missing) == (5_100, 2)
    await shop.stock(product, 9)
    done = await shop.retry(n)
    assert state(done) == "DELIVERED·COMPLETED"
    assert await shop.item_states(n) == ["DELIVERED", "CANCELLED", "CANCELLED", "DELIVERED"]


@pytest.mark.parametrize(
    ("status", "refusal"),
    [(WalletStatus.FROZEN, "WALLET_FROZEN"), (WalletStatus.CLOSED, "WALLET_CLOSED")],
)
async def test_a_refund_that_cannot_be_booked_is_owed_and_paid_later(
    shop: Shop, status: WalletStatus, refusal: str
) -> None:
    # Nothing is left in the wallet: so it may be closed.
    client = await shop.client(minor=5_100)
    product = await shop.product()
    placed = await shop.place_one(shop.ask(client, product, 2))
    await shop.set_wallet_status(client, status)
    cancelled = await shop.cancel(placed.order.id)
    assert state(cancelled) == "CANCELLED·NOT_REFUNDED"
    assert isinstance(cancelled, Order)
    assert (cancelled.refunded_minor, cancelled.refund_owed_minor) == (0, 5_100)
    before = await shop.everything()
    assert await shop.tasks.refunds_owed() == 1
    assert code(await shop.pay_owed(placed.order.id)) == refusal
    assert await shop.everything() == before
    await shop.set_wallet_status(client, WalletStatus.ACTIVE)
    await shop.tasks.refunds_owed()
    paid = await shop.order(placed.order.id)
    assert state(paid) == "CANCELLED·REFUNDED"
    assert await shop.balance(client) == 5_100
    before = await shop.everything()
    await shop.tasks.refunds_owed()
    assert await shop.everything() == before


async def test_of_two_cancels_at_once_one_wins(shop: Shop) -> None:
    client = await shop.client(minor=100_000)
    product = await shop.product()
    for _ in range(10):
        placed = await shop.place_one(shop.ask(client, product, 2))
        answers = await asyncio.gather(*(shop.cancel(placed.order.id) for _ in range(4)))
        assert sorted(isinstance(answer, Order) for answer in answers) == [False] * 3 + [True]
    assert await shop.balance(client) == 100_000


async def test_of_a_retry_and_a_cancel_at_once_one_wins(shop: Shop) -> None:
    client = await shop.client(minor=1_000_000)
    product = await shop.product()
    seen = set()
    for _ in range(20):
        placed = await shop.place_one(shop.ask(client, product, 1))
        await shop.stock(product, 1)
        retried, cancelled = await asyncio.gather(
            shop.retry(placed.order.id), shop.cancel(placed.order.id)
        )
        final = await shop.order(placed.order.id)
        if isinstance(retried, Refusal):
            assert retried.code == "ORDER_NOT_RETRYABLE"
            assert await shop.item_states(placed.order.id) == ["CANCELLED"]
            await shop.drain(product, client)
        else:
            # The cancel came later, and took back what the retry had delivered.
            assert await shop.item_states(placed.order.id) == ["REVOKED"]
        assert isinstance(cancelled, Order)
        assert state(final) == "CANCELLED·REFUNDED"
        seen.add(isinstance(retried, Refusal))
    assert seen


@given(
    amount=st.integers(0, 10**12),
    parts=st.lists(st.integers(1, 40), min_size=1, max_size=25),
)
def test_refunds_add_up_to_the_debit_however_an_order_is_split(
    amount: int, parts: list[int]
) -> None:
    quantity, returned, refunded = sum(parts), 0, 0
    for part in parts:
        share = returned_share(amount, quantity, returned, part)
        assert share >= 0
        returned, refunded = returned + part, refunded + share
        assert refunded <= amount
    assert refunded == amount


@pytest.mark.parametrize("quantity", [12, 50])
async def test_the_worker_fills_an_order_once_however_often_it_is_told(
    shop: Shop, quantity: int
) -> None:
    client = await shop.client(minor=1_000_000)
    product = await shop.product()
    await shop.stock(product, 2 * quantity)
    placed = await shop.place_one(shop.ask(client, product, quantity))
    await asyncio.gather(*(shop.tasks.fill([placed.order.id]) for _ in range(3)))
    filled = await shop.order(placed.order.id)
    assert state(filled) == "DELIVERED·COMPLETED"
    assert filled.fulfilled == quantity


async def test_a_lost_job_is_found_by_the_sweeper(shop: Shop) -> None:
    client = await shop.client(minor=1_000_000)
    product = await shop.product()
    placed = await shop.place_one(shop.ask(client, product, 20))
    assert await shop.tasks.sweep() == 0
    await shop.age(placed.order.id, minutes=2)
    assert await shop.tasks.sweep() == 1
    assert state(await shop.order(placed.order.id)) == "PENDING·VENDOR_ORDER_PENDING"


async def test_auto_retry_is_off_and_on_it_only_looks_into_the_pool(shop: Shop) -> None:
    client = await shop.client(minor=1_000_000)
    product = await shop.product()
    placed = await shop.place_one(shop.ask(client, product, 2))
    await shop.stock(product, 2)
    assert await shop.tasks.retry_waiting() == 0
    assert await shop.eager_tasks.retry_waiting() == 1
    assert state(await shop.order(placed.order.id)) == "DELIVERED·COMPLETED"


async def test_a_passed_deadline_cancels_and_refunds(shop: Shop) -> None:
    client = await shop.client(minor=100_000)
    product = await shop.product()
    placed = await shop.place_one(shop.ask(client, product, 2, deliver_by=shop.now))
    assert await shop.tasks.deadlines() == 1
    assert state(await shop.order(placed.order.id)) == "CANCELLED·REFUNDED"
    assert await shop.balance(client) == 100_000
    assert await shop.tasks.deadlines() == 0
