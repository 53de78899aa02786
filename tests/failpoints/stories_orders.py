"""Stories of orders: served at once, parked, filled later, cancelled, refunded."""

from collections.abc import Sequence
from datetime import timedelta

from rewards.orders.decide import PlaceAsk
from rewards.orders.model import SubStatus
from rewards.wallets.model import WalletStatus
from tests.failpoints.story import MINOR, Step, Story

CANCELLED = "CANCELLED·REFUNDED"
WAITING = "PENDING·VENDOR_ORDER_PENDING"
DELIVERED = "DELIVERED·COMPLETED"


class OrderStory(Story):
    """One client, one product, one order under one key."""

    quantity = 2
    stock = 2
    ends = DELIVERED
    events: tuple[str, ...] = ("order.delivered",)
    # What its client hears instead where a strike changed who came first.
    other_events: tuple[str, ...] = ()

    async def begin(self) -> None:
        self.client_id = await self.shop.client(minor=MINOR)
        self.product = await self.town.product()
        if self.stock:
            await self.shop.stock(self.product, self.stock)

    def ask(self) -> PlaceAsk:
        return self.shop.ask(self.client_id, self.product, self.quantity, key="one-and-the-same")

    def steps(self) -> Sequence[Step]:
        return [self.place]

    async def place(self) -> None:
        await self.town.mine.parts.orders.place(self.ask())

    async def cancel(self) -> None:
        order = await self.order()
        body = {"reason": "no longer wanted"}
        again = (409,) if self.again else ()
        await self.town.staff("operations", "POST", f"/orders/{order.id}/cancel", body, again)

    async def work(self) -> None:
        await self.town.mine.worker.drain()

    async def settled(self) -> bool:
        return (await self.order()).sub_status is not SubStatus.PROCESSING

    async def check(self) -> None:
        order = await self.order()
        assert str(order.state) == self.ends
        kept = order.fulfilled - order.revoked
        spent = order.amount_minor - order.refunded_minor
        assert await self.shop.balance(self.client_id) == MINOR - spent
        assert (spent == 0) == (order.refunded_minor > 0)
        statuses = await self.shop.item_states(order.id)
        assert statuses.count("DELIVERED") == kept
        assert tuple(await self.shop.events(order.id)) in (self.events, self.other_events)
        sold = await self.town.value(
            "SELECT count(*) FROM units WHERE product_id = $1 AND state = 'DELIVERED'",
            self.product.id,
        )
        assert sold == kept


class ServedAtOnce(OrderStory):
    """Hit: debited and delivered in one transaction; then read again, which is audited."""

    def steps(self) -> Sequence[Step]:
        return [self.place, self.read, self.ask_for_answer]

    async def read(self) -> None:
        order = await self.order()
        orders = self.town.mine.parts.orders
        shown = await orders.read(self.ask().actor, self.client_id, order.id)
        assert len(shown.vouchers) == self.quantity

    async def ask_for_answer(self) -> None:
        ask = self.ask()
        assert ask.key_use is not None
        first = await self.town.mine.parts.orders.first_answer(ask.key_use, ask.actor)
        assert first is not None
        assert first.order.id == (await self.order()).id


class ParkedAndCancelled(OrderStory):
    """Miss: waits for a person, who cancels it."""

    stock = 0
    ends = CANCELLED
    events = ("order.created", "order.pending", "order.cancelled")

    def steps(self) -> Sequence[Step]:
        return [self.place, self.cancel]


class CancelledLate(OrderStory):
    """Delivered, taken back, paid back."""

    ends = CANCELLED
    events = ("order.delivered", "order.cancelled")

    def steps(self) -> Sequence[Step]:
        return [self.place, self.cancel]


class FilledByTheWorker(OrderStory):
    """11 to 50: the worker fills it from the pool, by a job of PgQueuer's table."""

    quantity = 12
    stock = 12
    events = ("order.created", "order.processing", "order.delivered")

    def steps(self) -> Sequence[Step]:
        return [self.place, self.work]


class FilledByTheSweeper(FilledByTheWorker):
    """Its job was lost; the sweeper finds it."""

    def steps(self) -> Sequence[Step]:
        return [self.place, self.lose, self.sweep]

    async def lose(self) -> None:
        order = await self.order()
        await self.town.value("DELETE FROM pgqueuer WHERE entrypoint = 'orders.fill'")
        await self.shop.age(order.id, minutes=5)

    async def sweep(self) -> None:
        await self.town.mine.shop.tasks.sweep()


class RetriedByStaff(OrderStory):
    """More than 50: its items are made when a person has it retried, and filled from the pool."""

    quantity = 51
    stock = 51
    events = ("order.created", "order.pending", "order.delivered")

    def steps(self) -> Sequence[Step]:
        return [self.place, self.retry]

    async def retry(self) -> None:
        order = await self.order()
        again = (409,) if self.again else ()
        await self.town.staff("operations", "POST", f"/orders/{order.id}/retry", {}, again)


class GivenUp(OrderStory):
    """`deliver_by` passes: the worker cancels and refunds it."""

    stock = 0
    ends = CANCELLED
    events = ("order.created", "order.pending", "order.cancelled")

    def ask(self) -> PlaceAsk:
        # One moment for all tries of one body.
        if not hasattr(self, "deliver_by"):
            self.deliver_by = self.town.clock.now() + timedelta(hours=10)
        return self.shop.ask(
            *(self.client_id, self.product, self.quantity),
            key="one-and-the-same",
            deliver_by=self.deliver_by,
        )

    def steps(self) -> Sequence[Step]:
        return [self.place, self.wait, self.deadlines]

    async def wait(self) -> None:
        self.town.pass_time(timedelta(hours=11))

    async def deadlines(self) -> None:
        await self.town.mine.shop.tasks.deadlines()


class OwedAndPaid(OrderStory):
    """Cancelled while the wallet is frozen: owed, and paid once it takes money again."""

    stock = 0
    ends = CANCELLED
    events = ("order.created", "order.pending", "order.cancelled", "order.cancelled")

    def steps(self) -> Sequence[Step]:
        return [self.place, self.freeze, self.cancel, self.thaw, self.pay]

    async def freeze(self) -> None:
        await self.shop.set_wallet_status(self.client_id, WalletStatus.FROZEN)

    async def thaw(self) -> None:
        assert str((await self.order()).state) == "CANCELLED·NOT_REFUNDED"
        await self.shop.set_wallet_status(self.client_id, WalletStatus.ACTIVE)

    async def pay(self) -> None:
        await self.town.mine.shop.tasks.refunds_owed()


class PaidByStaff(OwedAndPaid):
    """The same, paid by a person."""

    def steps(self) -> Sequence[Step]:
        return [self.place, self.freeze, self.cancel, self.thaw, self.pay]

    async def pay(self) -> None:
        order = await self.order()
        again = (409,) if self.again else ()
        await self.town.staff("finance", "POST", f"/orders/{order.id}/refund-retry", {}, again)


ORDER_STORIES = (
    ServedAtOnce,
    ParkedAndCancelled,
    CancelledLate,
    FilledByTheWorker,
    FilledByTheSweeper,
    RetriedByStaff,
    GivenUp,
    OwedAndPaid,
    PaidByStaff,
)
