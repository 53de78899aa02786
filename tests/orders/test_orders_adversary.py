"""What a hostile day does to orders: poison, races, clocks that disagree, keys said again."""

import asyncio
import random
from datetime import timedelta
from decimal import Decimal

import pytest

from rewards.core.errors import Refusal
from rewards.infra.db import Tx
from rewards.orders import tasks
from rewards.orders.filling import RetryAsk, retry
from rewards.orders.model import Order, Status
from rewards.orders.refunds import pay_owed
from rewards.orders.replay import Placed
from rewards.wallets.model import WalletStatus
from tests.shop import STAFF, Shop

BULK_UNITS_MAX = 100


async def test_a_member_that_cannot_even_be_sent_hurts_no_neighbour(shop: Shop) -> None:
    client = await shop.client(minor=10**15)
    product = await shop.product()
    good = [shop.ask(client, product, 1) for _ in range(5)]
    # No 32-bit number: the driver refuses it before the database hears of it.
    poison = shop.ask(client, product, 2**31)
    desk = shop.parts.orders
    answers = await asyncio.gather(*map(desk.place, [*good, poison, *good]), return_exceptions=True)
    served = [answer for answer in answers if isinstance(answer, Placed)]
    assert len(served) == 10
    assert not isinstance(answers[5], Refusal), "a bug is no outage"
    assert await shop.broken() == {}


async def test_codes_said_again_are_audited_like_any_opening(shop: Shop) -> None:
    client = await shop.client(minor=100_000)
    product = await shop.product()
    await shop.stock(product, 2)
    ask = shop.ask(client, product, 2, key="said-again")
    order_id = (await shop.place_one(ask)).order.id
    opened = (
        "SELECT facts ->> 'units' FROM audit_entries"
        " WHERE action = 'order.vouchers_opened' AND subject_id = $1"
    )
    assert (await shop.place_one(ask)).replayed
    async with shop.parts.db.connection() as connection:
        assert [row[0] for row in await connection.fetch(opened, order_id)] == ["2"]
    await shop.cancel(order_id)
    assert (await shop.place_one(ask)).units == ()
    async with shop.parts.db.connection() as connection:
        assert len(await connection.fetch(opened, order_id)) == 1, "nothing was opened"


async def test_two_retries_at_once_never_pass_the_bulk_cap_together(shop: Shop) -> None:
    client = await shop.client(minor=10_000_000)
    product = await shop.product()
    placed = [(await shop.place_one(shop.ask(client, product, 60))).order.id for _ in range(4)]
    answers = await asyncio.gather(*(shop.retry(n, bulk_units_max=100) for n in placed))
    states = sorted(str(a.sub_status) for a in answers if isinstance(a, Order))
    assert states == [*["BULK_LIMIT_EXCEEDED"] * 3, "VENDOR_ORDER_PENDING"]
    assert await shop.broken() == {}


async def test_a_retry_waits_for_wallets_before_it_holds_anything_else(shop: Shop) -> None:
    """Placing holds the wallet and then wants the tallies: whoever goes the other way deadlocks."""
    client = await shop.client(minor=10_000_000)
    product = await shop.product()
    small = (await shop.place_one(shop.ask(client, product, 2))).order.id
    bulk = (await shop.place_one(shop.ask(client, product, 200))).order.id
    await shop.stock(product, 1)

    async def work(tx: Tx) -> list[Order | Refusal]:
        asks = [RetryAsk(small, STAFF), RetryAsk(bulk, STAFF)]
        return await retry(tx, asks, BULK_UNITS_MAX, shop.now)

    async with shop.parts.db.transaction() as other:
        await other.execute("SELECT FROM wallets WHERE client_id = $1 FOR UPDATE", client)
        retrying = asyncio.create_task(shop.parts.db.run(work))
        await asyncio.sleep(0.3)
        await other.execute("SELECT FROM order_tallies FOR UPDATE NOWAIT")
    answers = [str(a.sub_status) for a in await retrying if isinstance(a, Order)]
    assert answers == ["PARTIAL", "BULK_LIMIT_EXCEEDED"]


async def test_history_never_runs_backwards_whatever_a_clock_says(shop: Shop) -> None:
    client = await shop.client(minor=1_000_000)
    product = await shop.product()
    order_id = (await shop.place_one(shop.ask(client, product, 3))).order.id
    await shop.stock(product, 1)
    slow = shop.now - timedelta(minutes=5)
    async with shop.parts.db.transaction() as tx:
        [answer] = await retry(tx, [RetryAsk(order_id, STAFF)], BULK_UNITS_MAX, slow)
    assert isinstance(answer, Order)
    assert answer.changed_at >= answer.placed_at
    await shop.set_wallet_status(client, WalletStatus.FROZEN)
    cancelled = await shop.cancel(order_id)
    assert isinstance(cancelled, Order)
    await shop.set_wallet_status(client, WalletStatus.ACTIVE)
    async with shop.parts.db.transaction() as tx:
        [paid] = await pay_owed(tx, [order_id], STAFF, slow)
    assert isinstance(paid, Order)
    assert paid.changed_at >= cancelled.changed_at
    found = await shop.broken()
    assert not [name for name in found if name.startswith(("i15", "i10"))], found


async def test_a_look_that_found_nothing_is_not_taken_for_the_step_after_it(shop: Shop) -> None:
    """Both happen a tick after the order's last change while a machine's clock runs behind."""
    product = await shop.product()
    await shop.stock(product, 1)
    client = await shop.client(minor=1_000_000)
    order_id = (await shop.place_one(shop.ask(client, product, 3))).order.id
    slow = shop.now - timedelta(minutes=5)

    async def look(tx: Tx) -> list[Order | Refusal]:
        return await retry(tx, [RetryAsk(order_id, STAFF)], BULK_UNITS_MAX, slow)

    await shop.parts.db.run(look)
    await shop.stock(product, 1)
    [found] = await shop.parts.db.run(look)
    assert isinstance(found, Order)
    assert found.fulfilled == 2
    assert await shop.broken() == {}


async def test_one_order_that_fails_keeps_no_other_from_its_deadline(shop: Shop) -> None:
    client = await shop.client(minor=1_000_000)
    product = await shop.product()
    soon = shop.now + timedelta(seconds=0.3)
    orders = [
        (await shop.place_one(shop.ask(client, product, 1, deliver_by=soon))).order.id
        for _ in range(5)
    ]
    async with shop.parts.db.transaction() as tx:
        await tx.execute(
            f"ALTER TABLE orders ADD CONSTRAINT poison"
            f" CHECK (id <> {orders[1]} OR status <> 'CANCELLED')"
        )
    await asyncio.sleep(0.4)
    with pytest.raises(Exception, match="poison"):
        await shop.tasks.deadlines()
    states = [(await shop.order(n)).status for n in orders]
    assert states.count(Status.CANCELLED) == 4
    assert states[1] is Status.PENDING


async def test_what_lies_behind_many_hopeless_orders_is_reached(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "RUN_MAX", 4)
    monkeypatch.setattr(tasks, "CHUNK_MAX", 2)
    client = await shop.client(minor=1_000_000)
    hopeless, wanted = await shop.product(6), await shop.product(15)
    for _ in range(6):
        await shop.place_one(shop.ask(client, hopeless))
    last = (await shop.place_one(shop.ask(client, wanted))).order.id
    await shop.stock(wanted, 1)
    worker = shop.eager_tasks
    for _ in range(3):
        await worker.retry_waiting()
    assert (await shop.order(last)).status is Status.DELIVERED


@pytest.mark.parametrize("seed", range(6))
async def test_no_sequence_of_acts_breaks_an_invariant(shop: Shop, seed: int) -> None:
    """CI: 6 random days of 40 acts on up to 6 orders of two clients; every doctor check after."""
    await Storm(shop, random.Random(seed)).rage(40)
    assert await shop.broken() == {}


@pytest.mark.long
@pytest.mark.parametrize("seed", range(6, 106))
async def test_no_long_sequence_of_acts_breaks_an_invariant(shop: Shop, seed: int) -> None:
    """The same, 100 days of 80 acts."""
    await Storm(shop, random.Random(seed)).rage(80)
    assert await shop.broken() == {}


class Storm:
    """Random acts, some of them at once; whatever they answer, only the books count."""

    def __init__(self, shop: Shop, dice: random.Random) -> None:
        self.shop = shop
        self.dice = dice
        self.orders: list[int] = []

    async def rage(self, acts: int) -> None:
        shop = self.shop
        self.product = await shop.product()
        free = {"vendor_discount_percent": Decimal(100), "handling_fee_minor": 0}
        self.gift = await shop.product(15, **free)
        self.clients = [await shop.client(minor=999_983) for _ in range(2)]
        for _ in range(acts):
            together = self.dice.choice((1, 1, 1, 3))
            await asyncio.gather(*(self.act() for _ in range(together)))
        for client in self.clients:
            await shop.set_wallet_status(client, WalletStatus.ACTIVE)
        await shop.tasks.refunds_owed()

    async def act(self) -> None:
        acts = (self.order, self.order, self.stock, self.retry, self.retry, self.cancel, self.name)
        more = (self.cancel, self.name, self.freeze, self.pay, self.fill)
        await self.dice.choice([*acts, *more])()

    async def order(self) -> None:
        if len(self.orders) >= 6:
            return
        ask = self.shop.ask(
            self.dice.choice(self.clients),
            self.dice.choice((self.product, self.product, self.gift)),
            self.dice.choice((1, 2, 3, 7, 10, 11, 13, 51, 60)),
            on_partial=self.dice.choice(("KEEP", "ALL_OR_NOTHING")),
        )
        [placed] = await self.shop.place(ask)
        if isinstance(placed, Placed):
            self.orders.append(placed.order.id)

    async def stock(self) -> None:
        await self.shop.stock(self.dice.choice((self.product, self.gift)), self.dice.randint(1, 9))

    async def retry(self) -> None:
        if self.orders:
            await self.shop.retry(self.dice.choice(self.orders), bulk_units_max=100)

    async def cancel(self) -> None:
        if self.orders and self.dice.random() < 0.5:
            await self.shop.cancel(self.dice.choice(self.orders))

    async def name(self) -> None:
        if self.orders:
            order_id = self.dice.choice(self.orders)
            items = self.dice.sample(range(1, 12), self.dice.randint(1, 3))
            await self.shop.cancel(order_id, *(f"{order_id}-{n}" for n in items))

    async def freeze(self) -> None:
        status = self.dice.choice((WalletStatus.FROZEN, WalletStatus.ACTIVE))
        await self.shop.set_wallet_status(self.dice.choice(self.clients), status)

    async def pay(self) -> None:
        await self.shop.tasks.refunds_owed()

    async def fill(self) -> None:
        await self.shop.tasks.fill(self.orders)
