"""A market whose days somebody reconciles."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from rewards.orders.model import Order
from rewards.reconciliation import service
from rewards.reconciliation.model import Drift, DriftFilter, Run, day_of
from rewards.reconciliation.tasks import Reconciling
from tests.market import Market, MovedClock, open_market
from tests.shop import TABLES

# What a second look may not change; the runs themselves count their rounds.
KEPT = (*(table for table in TABLES if table != "pgqueuer"), "drifts", "vendor_orders")


@dataclass
class Books:
    """The market, and a worker's hands a day later."""

    market: Market
    clock: MovedClock = field(default_factory=lambda: MovedClock(timedelta(hours=36)))

    # Keys of what the vendor says it sold us, and nobody asked for.
    strange: list[str] = field(default_factory=list)

    @property
    def reconciling(self) -> Reconciling:
        return Reconciling(self.market.shop.parts.db, self.market.adapters, self.clock, pause_s=0.0)

    @property
    def day(self) -> date:
        """The day that all of a test happens on."""
        return day_of(self.market.shop.now)

    def lists(self, lists: bool) -> None:
        """Whether the vendor lists its orders, or each must be read back."""
        adapter = self.market.adapters.vendors[self.market.vendor_id]
        adapter.capabilities = replace(adapter.capabilities, book=lists)

    def sell_unasked(self, key: str) -> None:
        """Let the vendor's books have a sale that is none of ours."""
        self.market.book.sell(key, "AMZ", 2_500, 1)
        self.strange.append(key)

    async def bought(self, quantity: int = 2) -> Order:
        """An order that the vendor served whole."""
        order = await self.market.waiting(quantity)
        await self.market.approve(order.id)
        return await self.market.settle(order.id)

    async def pooled(self, quantity: int = 2, **facts: Any) -> Order:
        """An order that the pool served whole."""
        return await self.market.waiting(quantity, stock=quantity, **facts)

    async def reconcile(
        self, vendor_id: int | None = None, *, again: bool = False, turns_max: int = 5
    ) -> list[Run]:
        """Every run of the day, as far as it goes."""
        runs = await self.reconciling.open(self.day, vendor_id, again=again)
        for _ in range(turns_max):
            for run in runs:
                await self.reconciling.work(run.id)
            runs = await self.reconciling.open(self.day, vendor_id)
            if all(run.done for run in runs):
                break
        return runs

    async def drifts(self, **narrow: Any) -> list[Drift]:
        async with self.market.shop.parts.db.connection() as connection:
            return await service.list_drifts(connection, DriftFilter(**narrow), limit=100)

    async def kinds(self) -> list[str]:
        return sorted(drift.finding.kind for drift in await self.drifts())

    async def state(self, order_id: int) -> str:
        return str((await self.market.shop.order(order_id)).state)

    async def write(self, statement: str, *values: object) -> None:
        """Past every rule of ours, as somebody with a hand in the database would."""
        async with self.market.shop.parts.db.transaction() as tx:
            await tx.execute("SET LOCAL session_replication_role = replica")
            await tx.execute(statement, *values)

    async def units(self, order_id: int) -> list[str]:
        async with self.market.shop.parts.db.connection() as connection:
            rows = await connection.fetch(
                "SELECT u.state FROM order_items AS i JOIN units AS u ON u.id = i.unit_id"
                " WHERE i.order_id = $1 ORDER BY i.position",
                order_id,
            )
        return [row["state"] for row in rows]

    async def everything(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row that matters, to see that nothing changed."""
        async with self.market.shop.parts.db.connection() as connection:
            return {
                table: sorted(map(tuple, await connection.fetch(f"SELECT t::text FROM {table} t")))
                for table in KEPT
            }


def _midnight(at: datetime) -> datetime:
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


@asynccontextmanager
async def open_books(dsn: str, home: Path) -> AsyncIterator[Books]:
    async with open_market(dsn, home) as market:
        # From noon on: no test comes to the end of its day, whenever it runs.
        to_noon = timedelta(hours=12) - (market.clock.now() - _midnight(market.clock.now()))
        market.clock.ahead += to_noon
        market.book.clock.advance(to_noon.total_seconds())
        books = Books(market, MovedClock(market.clock.ahead + timedelta(hours=36)))
        yield books
        for key in books.strange:
            del market.book.sales[key]
