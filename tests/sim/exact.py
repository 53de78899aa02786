"""Random acts one by one: the oracle says beforehand what each must answer."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from rewards.core.errors import Refusal
from rewards.infra.db import Tx
from rewards.inventory import service as inventory
from rewards.inventory.model import BlockReason
from rewards.inventory.units import PLACE
from rewards.orders.closing import CancelAsk
from rewards.orders.filling import RetryAsk, retry
from rewards.orders.model import Order, item_id
from rewards.orders.refunds import cancel
from rewards.orders.replay import Placed
from rewards.pricing.model import ClientDiscount
from rewards.wallets import service as wallets
from rewards.wallets.model import Adjustment, Posted, StatusChange, TopUp, WalletStatus
from tests.shop import STAFF
from tests.sim.books import compare, facts, items
from tests.sim.market import Market
from tests.sim.oracle import Duplicate, Replay, Sale

UNKNOWN_ORDER = 10**15


class SteppedClock:
    """A clock that only the test moves."""

    def __init__(self) -> None:
        self._now = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self._now

    def advance(self, by: timedelta) -> None:
        self._now += by


class Exact:
    """Acts upon a market, each compared with its prediction; `done` counts them by kind."""

    def __init__(self, market: Market, clock: SteppedClock) -> None:
        self.market = market
        self.oracle = market.oracle
        self.dice = market.dice
        self.clock = clock
        self.done: dict[str, int] = {}

    async def step(self) -> int:
        """One random act; how many operations it was."""
        hours = self.dice.random() * (12 if self.market.chance(4) else 0.02)
        self.clock.advance(timedelta(hours=hours, seconds=1))
        act = self.dice.choices(list(ACTS), list(ACTS.values()))[0]
        count = await act(self)
        self.done[act.__name__] = self.done.get(act.__name__, 0) + count
        return count

    async def _run(self, work: Callable[[Tx], Awaitable[list[object]]]) -> list[object]:
        return await self.market.shop.parts.db.run(work)

    async def place(self) -> int:
        asks = []
        keys: set[object] = set()
        for _ in range(self.dice.choice((1, 1, 2, 4))):
            ask = self.market.draw_ask()
            if ask.key_use is None or ask.key_use.key not in keys:
                asks.append(ask)
                keys.add(ask.key_use and ask.key_use.key)
        expected = [self.oracle.place(ask, self.market.now) for ask in asks]
        answers = await self.market.shop.place(*asks)
        for ask, wanted, answer in zip(asks, expected, answers, strict=True):
            if isinstance(wanted, Sale):
                assert isinstance(answer, Placed), (wanted, answer)
                self.oracle.placed(ask, wanted, answer.order.id)
                assert (facts(answer.order), items(answer.items)) == (
                    wanted.facts(),
                    wanted.items(),
                )
        for wanted, answer in zip(expected, answers, strict=True):
            if isinstance(wanted, Duplicate):
                assert said(answer) == "DUPLICATE_REFERENCE", answer
                assert isinstance(answer, Refusal)
                assert answer.details == {"order_id": wanted.twin.id}
            elif isinstance(wanted, Replay):
                assert isinstance(answer, Placed) and answer.replayed, answer
                assert facts(answer.order) == wanted.first.facts
                assert tuple(items(answer.items)) == wanted.first.items
            elif isinstance(wanted, str):
                assert said(answer) == wanted, answer
            if isinstance(answer, Placed):
                await self._open(answer)
        return len(asks)

    async def _open(self, placed: Placed) -> None:
        """The answer shows the codes that were loaded, for as long as nobody took them back."""
        shown = await self.market.shop.parts.orders.show(placed)
        for item, out in zip(placed.items, shown.items, strict=True):
            unit = self.oracle.units[item.unit_id] if item.unit_id else None
            if unit is None or unit.state == "REVOKED":
                assert out.voucher is None
            else:
                assert out.voucher is not None
                for name, text in unit.fields.items():
                    assert getattr(out.voucher, name) == text

    async def retry(self) -> int:
        order_ids = self._draw_orders(self.dice.choice((1, 1, 1, 3)), FILL)
        expected = self.oracle.retry(order_ids, self.market.now)
        settings = self.market.shop.parts.settings
        most = settings.bulk_units_max
        asks = [RetryAsk(n, STAFF, "look again") for n in order_ids]
        answers = await self._run(lambda tx: retry(tx, asks, most, self.market.now))
        self._compare(expected, answers)
        return len(order_ids)

    async def fill(self) -> int:
        """The worker looks for everything that was placed for it."""
        order_ids = sorted(self.oracle.processing())[:20]
        self.oracle.retry(order_ids, self.market.now)
        await self.market.shop.tasks.fill([*order_ids, *order_ids])
        return 1

    async def cancel(self) -> int:
        states = self.dice.choice(((), (*FILL, PROCESSING), (PROCESSING,)))
        [order_id] = self._draw_orders(1, states)
        sale = self.oracle.sales.get(order_id)
        chosen = None
        if sale is not None and self.market.chance(60):
            size = self.dice.randint(0, 3) if self.market.chance(20) else self.dice.randint(1, 2)
            last = len(sale.lines) + (1 if self.market.chance(5) else 0)
            chosen = [self.dice.randint(1 if last else 0, last) for _ in range(size)]
        expected = self.oracle.cancel(order_id, chosen)
        names = None if chosen is None else tuple(item_id(order_id, n) for n in chosen)
        ask = CancelAsk(order_id, STAFF, "no longer wanted", names)
        answers = await self._run(lambda tx: cancel(tx, [ask], self.market.now))
        self._compare([expected], answers)
        return 1

    async def deadlines(self) -> int:
        self.oracle.pass_deadlines(self.market.now)
        await self.market.shop.tasks.deadlines()
        return 1

    async def pay_owed(self) -> int:
        self.oracle.pay_owed()
        await self.market.shop.tasks.refunds_owed()
        return 1

    async def freeze_or_thaw(self) -> int:
        wallet = self.dice.choice(list(self.oracle.wallets.values()))
        wallet.status = "FROZEN" if wallet.active and self.market.chance(60) else "ACTIVE"
        change = StatusChange(wallet.id, WalletStatus(wallet.status))
        [answer] = await self._run(lambda tx: wallets.set_status(tx, [change]))
        assert not isinstance(answer, Refusal), answer
        return 1

    async def book(self) -> int:
        """Top-ups and adjustments, some under a reference that was there before."""
        wallet = self.dice.choice(list(self.oracle.wallets.values()))
        kind = self.dice.choice(("TOPUP", "TOPUP", "ADJUSTMENT"))
        ref = f"ref-{self.dice.randint(1, 30)}" if self.market.chance(40) else None
        amount = self.dice.choice((0, 5_000, 20_000, 20_000, 77_777, -1, -9_999, -30_000))
        expected = self.oracle.book(wallet, kind, amount, ref)
        ask = (TopUp if kind == "TOPUP" else Adjustment)(wallet.id, amount, ref)
        act = wallets.top_up if kind == "TOPUP" else wallets.adjust
        [answer] = await self._run(lambda tx: act(tx, [ask], self.market.now))
        if isinstance(answer, Posted):
            assert (answer.balance_minor, answer.repeated) == expected
        else:
            assert said(answer) == expected, (answer, expected)
        return 1

    async def deliver_stock(self) -> int:
        batch = await self.market.open_batch()
        units = self.market.draw_stock(self.dice.randint(1, 30))
        known = {(u.shelf.product_id, str(u.fields)) for u in self.oracle.units.values()}
        loaded = self.market.chance(30)
        answers = await self.market.add(batch, units, loaded=loaded, now=self.market.now)
        for unit, answer in zip(units, answers, strict=True):
            name = (unit.shelf.product_id, str(unit.fields))
            assert isinstance(answer, int) is (name not in known), answer
            known.add(name)
        return 1

    async def pump(self) -> int:
        parts = self.market.shop.parts
        self.oracle.pump(self.market.now)
        await inventory.pump(parts.db, parts.catalog, parts.clock)
        return 1

    async def block_units(self) -> int:
        units = self.dice.sample(list(self.oracle.units.values()), 5)
        unit_ids = [unit.id for unit in units]
        if self.market.chance(50):
            expected = [self.oracle.block(unit, "STAFF") for unit in units]
            reason, now = BlockReason.STAFF, self.market.now
            answers = await self._run(lambda tx: inventory.block(tx, unit_ids, reason, now))
        else:
            expected = [self.oracle.unblock(unit) for unit in units]
            answers = await self._run(lambda tx: inventory.unblock(tx, unit_ids))
        assert answers == expected
        return 1

    async def block_batch(self) -> int:
        batch = self.dice.choice(list(self.oracle.batches))
        status = self.dice.choice(("OPEN", "OPEN", "OPEN", "BLOCKED", "BLOCKED", "RECALLED"))
        expected = self.oracle.block_batch(batch, status)
        db, now = self.market.shop.parts.db, self.market.now
        try:
            if status == "OPEN":
                answer: int | str = await inventory.unblock_batch(db, batch, now)
            else:
                recall = status == "RECALLED"
                answer = await inventory.block_batch(db, batch, now, recall=recall)
        except Refusal as refusal:
            answer = refusal.code
        assert answer == expected
        return 1

    async def rotate_key(self) -> int:
        parts = self.market.shop.parts
        await parts.vault.rotate_data_key("units")
        assert await inventory.reseal(parts.db, parts.vault) == len(self.oracle.units)
        assert not parts.vault.stale(PLACE, parts.vault.seal(PLACE, 1, b""))
        return 1

    async def discount(self) -> int:
        client = self.dice.choice(list(self.oracle.conversion_fees))
        product = self.dice.choice(list(self.oracle.products))
        percent = self.dice.choice((None, Decimal(0), Decimal("12.34"), Decimal(7)))
        self.oracle.discounts.pop((client, product), None)
        if percent is not None:
            self.oracle.discounts[client, product] = percent
        await self.market.shop.discount(ClientDiscount(client, product, percent))
        return 1

    def _draw_orders(self, count: int, states: tuple[str, ...]) -> list[int]:
        """Distinct ids, mostly of orders in these states (any where none is named)."""
        fit = [n for n, s in self.oracle.sales.items() if not states or s.state in states]
        every = fit if fit and self.market.chance(90) else [*self.oracle.sales, UNKNOWN_ORDER]
        return self.dice.sample(every, min(count, len(every)))

    def _compare(self, expected: list[str | Sale], answers: list[object]) -> None:
        for wanted, answer in zip(expected, answers, strict=True):
            if isinstance(wanted, str):
                assert said(answer) == wanted, answer
            else:
                assert isinstance(answer, Order), (wanted, answer)
                assert facts(answer) == wanted.facts()

    async def check(self) -> None:
        """The whole database is what the oracle says, row by row, code by code."""
        await compare(self.market)


PROCESSING = "PENDING·PROCESSING"
FILL = ("PENDING·INITIAL", "PENDING·VENDOR_ORDER_PENDING", "PARTIALLY_DELIVERED·PARTIAL")
ACTS: dict[Callable[[Exact], Awaitable[int]], int] = {
    Exact.place: 40,
    Exact.retry: 12,
    Exact.fill: 4,
    Exact.cancel: 14,
    Exact.deadlines: 2,
    Exact.pay_owed: 3,
    Exact.freeze_or_thaw: 6,
    Exact.book: 9,
    Exact.deliver_stock: 6,
    Exact.pump: 5,
    Exact.block_units: 3,
    Exact.block_batch: 2,
    Exact.rotate_key: 1,
    Exact.discount: 1,
}


def said(answer: object) -> str:
    assert isinstance(answer, Refusal), answer
    return answer.code
