"""Eight actors at once: nobody can foretell who gets which unit, but nothing is lost or made."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import asyncpg

from rewards.core.errors import Refusal
from rewards.infra.db import Tx
from rewards.inventory import service as inventory
from rewards.inventory.model import BlockReason
from rewards.orders import sql_read
from rewards.orders.closing import CancelAsk
from rewards.orders.filling import RetryAsk, retry
from rewards.orders.model import Item, Order, item_id
from rewards.orders.refunds import cancel, pay_owed
from rewards.orders.replay import Placed
from rewards.wallets import service as wallets
from rewards.wallets.model import Adjustment, Posted, StatusChange, TopUp, WalletStatus
from tests.shop import STAFF
from tests.sim.books import compare_codes, items
from tests.sim.market import Market

ACTORS = 8
EXPECTED = frozenset(
    {
        "BATCH_STATE",
        "DELIVER_BY_PASSED",
        "DUPLICATE_REFERENCE",
        "IDEMPOTENCY_KEY_REUSED",
        "INSUFFICIENT_FUNDS",
        "INVALID_FIELD",
        "NO_FX_RATE",
        "ORDER_NOT_CANCELLABLE",
        "ORDER_NOT_RETRYABLE",
        "REFERENCE_REUSED",
        "REFUND_NOT_OWED",
        "WALLET_FROZEN",
        "WALLET_NOT_ACTIVE",
        "WALLET_NOT_FOUND",
    }
)
# What HTTP answers with 503 or 409 and "nothing changed": a lock was held for longer than
# lock_timeout_s. Nothing here holds one so long by itself, so only a machine that stood still may
# cause it, and a handful a run is the most that is believed of one.
BUSY = frozenset({"IDEMPOTENCY_KEY_IN_PROGRESS", "UNAVAILABLE"})
BUSY_MAX = 5


@dataclass
class Told:
    """What clients and staff were told and may rely on."""

    placed: dict[int, Placed] = field(default_factory=dict)
    refunded: dict[int, int] = field(default_factory=dict)
    # Units that an answer showed as belonging to an item.
    owners: dict[int, tuple[int, int]] = field(default_factory=dict)
    # Top-ups and adjustments that moved money now, by wallet.
    moved: dict[int, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    busy: int = 0


class Crowd:
    """Actors upon one market, and the sums of all they were told."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.dice = market.dice
        self.told = Told()
        self._left = 0

    async def act(self, operations: int) -> None:
        """So many operations by all actors together; returns when the last has its answer."""
        self._left = operations
        await asyncio.gather(*(self._actor() for _ in range(ACTORS)))

    async def _actor(self) -> None:
        while self._left > 0:
            self._left -= 1
            step = self.dice.choices(list(ACTS), list(ACTS.values()))[0]
            try:
                await step(self)
            except Refusal as refusal:
                self._hear(refusal)
            except asyncpg.LockNotAvailableError as busy:
                self._hear_busy(busy)

    def _hear_busy(self, busy: Exception) -> None:
        self.told.busy += 1
        assert self.told.busy <= BUSY_MAX, f"somebody holds locks for too long: {busy!r}"

    def _hear(self, refusal: Refusal) -> None:
        if refusal.code in BUSY:
            self._hear_busy(refusal)
            return
        assert refusal.code in EXPECTED, refusal
        self.told.refused[refusal.code] = self.told.refused.get(refusal.code, 0) + 1

    async def _run(self, work: Callable[[Tx], Awaitable[list[object]]]) -> list[object]:
        return await self.market.shop.parts.db.run(work)

    async def place(self) -> None:
        ask = self.market.draw_ask()
        if ask.ref is None and self.market.chance(8) and self.told.placed:
            taken = self.dice.choice(list(self.told.placed.values())).order
            ask = self.market.shop.ask(taken.client_id, ask.product, ref=taken.ref)
        placed = await self.market.shop.parts.orders.place(ask)
        order = placed.order
        if placed.replayed:
            before = self.told.placed.get(order.id)
            # The first answer may still be on its way to another actor.
            assert before is None or items(before.items) == items(placed.items)
            return
        assert order.id not in self.told.placed, "an id is new"
        assert order.client_id == ask.client_id and order.quantity == ask.quantity
        self.told.placed[order.id] = placed
        self._owns(order.id, placed.items)
        shown = await self.market.shop.parts.orders.show(placed)
        for item, out in zip(placed.items, shown.items, strict=True):
            # Who loaded it may not have heard its id yet; `check` looks at all of them.
            if item.unit_id in self.market.oracle.units:
                fields = self.market.oracle.units[item.unit_id].fields
                assert {name: getattr(out.voucher, name) for name in fields} == fields

    def _owns(self, order_id: int, found: tuple[Item, ...]) -> None:
        for item in found:
            if item.unit_id is not None:
                owner = self.told.owners.setdefault(item.unit_id, (order_id, item.position))
                assert owner == (order_id, item.position), "a unit is sold once"

    def _closed(self, answer: object) -> None:
        if isinstance(answer, Refusal):
            self._hear(answer)
        else:
            assert isinstance(answer, Order)
            before = self.told.refunded.get(answer.id, 0)
            self.told.refunded[answer.id] = max(before, answer.refunded_minor)

    def _draw_orders(self, count: int) -> list[int]:
        """Recent ones more often, so that actors meet."""
        known = list(self.told.placed)
        recent = known[-40:] if self.market.chance(80) else known
        return self.dice.sample(recent, min(count, len(recent)))

    async def retry(self) -> None:
        settings = self.market.shop.parts.settings
        most = settings.bulk_units_max
        asks = [RetryAsk(n, STAFF, "again") for n in self._draw_orders(self.dice.randint(1, 6))]
        now = self.market.now
        for answer in await self._run(lambda tx: retry(tx, asks, most, now)):
            self._closed(answer)

    async def fill(self) -> None:
        waiting = [n for n, p in self.told.placed.items() if p.order.sub_status == "PROCESSING"]
        await self.market.shop.tasks.fill(waiting[-20:])

    async def cancel(self) -> None:
        asks = []
        for order_id in self._draw_orders(self.dice.randint(1, 3)):
            names = None
            quantity = self.told.placed[order_id].order.quantity
            if self.market.chance(60):
                names = (item_id(order_id, self.dice.randint(1, quantity)),)
            asks.append(CancelAsk(order_id, STAFF, "no longer wanted", names))
        now = self.market.now
        for answer in await self._run(lambda tx: cancel(tx, asks, now)):
            self._closed(answer)

    async def deadlines(self) -> None:
        await self.market.shop.tasks.deadlines()

    async def pay_owed(self) -> None:
        order_ids, now = self._draw_orders(10), self.market.now
        for answer in await self._run(lambda tx: pay_owed(tx, order_ids, STAFF, now)):
            self._closed(answer)

    async def freeze_or_thaw(self) -> None:
        wallet_id = self.dice.choice(list(self.market.oracle.wallets))
        status = WalletStatus.FROZEN if self.market.chance(30) else WalletStatus.ACTIVE
        await self._run(lambda tx: wallets.set_status(tx, [StatusChange(wallet_id, status)]))

    async def book(self) -> None:
        wallet_id = self.dice.choice(list(self.market.oracle.wallets))
        ref = f"ref-{self.dice.randint(1, 40)}" if self.market.chance(60) else None
        now = self.market.now
        if self.market.chance(70):
            top_up = TopUp(wallet_id, self.dice.choice((20_000, 20_000, 55_555)), ref)
            [answer] = await self._run(lambda tx: wallets.top_up(tx, [top_up], now))
            amount = top_up.amount_minor
        else:
            change = Adjustment(wallet_id, self.dice.choice((5_000, -5_000, -20_000)), ref)
            [answer] = await self._run(lambda tx: wallets.adjust(tx, [change], now))
            amount = change.amount_minor
        if isinstance(answer, Refusal):
            self._hear(answer)
        elif isinstance(answer, Posted) and not answer.repeated:
            self.told.moved[wallet_id] = self.told.moved.get(wallet_id, 0) + amount

    async def deliver_stock(self) -> None:
        market = self.market
        batch = await market.open_batch()
        units = market.draw_stock(self.dice.randint(5, 40))
        await market.add(batch, units, loaded=market.chance(50), now=market.now)

    async def pump(self) -> None:
        parts = self.market.shop.parts
        await inventory.pump(parts.db, parts.catalog, parts.clock)

    async def block_units(self) -> None:
        unit_ids = self.dice.sample(list(self.market.oracle.units), 8)
        now = self.market.now
        if self.market.chance(40):
            reason = BlockReason.STAFF
            await self._run(lambda tx: inventory.block(tx, unit_ids, reason, now))
        else:
            await self._run(lambda tx: inventory.unblock(tx, unit_ids))

    async def block_batch(self) -> None:
        batch = self.dice.choice(list(self.market.oracle.batches))
        db, now = self.market.shop.parts.db, self.market.now
        await inventory.block_batch(db, batch, now)
        await inventory.unblock_batch(db, batch, now)

    async def rotate_key(self) -> None:
        parts = self.market.shop.parts
        await parts.vault.rotate_data_key("units")
        await inventory.reseal(parts.db, parts.vault)

    async def check(self) -> None:
        """Everything told is there, and everything that is there adds up."""
        async with self.market.shop.parts.db.connection() as connection:
            every = [row["id"] for row in await connection.fetch("SELECT id FROM orders")]
            orders = await sql_read.read_orders(connection, every)
            lines = await sql_read.read_items(connection, every)
            rows = await connection.fetch("SELECT id, balance_minor FROM wallets")
        assert set(every) == set(self.told.placed), "every order was told, and is there"
        for order_id, found in lines.items():
            self._owns(order_id, tuple(found))
        held = {unit for found in lines.values() for item in found if (unit := item.unit_id)}
        assert self.told.owners.keys() <= held, "what was delivered stays with its order"
        expected = {n: wallet.balance for n, wallet in self.market.oracle.wallets.items()}
        for wallet_id, minor in self.told.moved.items():
            expected[wallet_id] += minor
        for order_id, placed in self.told.placed.items():
            first, order = placed.order, orders[order_id]
            assert (order.client_id, order.ref, order.wallet_id, order.amount_minor) == (
                (first.client_id, first.ref, first.wallet_id, first.amount_minor)
            )
            assert order.refunded_minor >= self.told.refunded.get(order_id, 0)
            # Only the deadline's cancel gives money back without answering us.
            if order.deliver_by is None:
                assert order.refunded_minor == self.told.refunded.get(order_id, 0)
            expected[order.wallet_id] += order.refunded_minor - first.amount_minor
        assert {row["id"]: row["balance_minor"] for row in rows} == expected
        await compare_codes(self.market)


ACTS: dict[Callable[[Crowd], Awaitable[None]], int] = {
    Crowd.place: 42,
    Crowd.retry: 12,
    Crowd.fill: 5,
    Crowd.cancel: 14,
    Crowd.deadlines: 2,
    Crowd.pay_owed: 4,
    Crowd.freeze_or_thaw: 3,
    Crowd.book: 8,
    Crowd.deliver_stock: 5,
    Crowd.pump: 4,
    Crowd.block_units: 3,
    Crowd.block_batch: 1,
    Crowd.rotate_key: 1,
}
