"""A console whose shop buys from one simulated vendor, `acme`, and the worker that does it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rewards.catalog.model import Product
from rewards.core.actor import SYSTEM
from rewards.entry import equipment
from rewards.entry.purchasing import purchasing
from rewards.infra.worker import Worker
from rewards.orders.model import Order
from rewards.staff.model import Role
from rewards.vendors import service as vendors
from rewards.vendors.account import NewAccount
from rewards.vendors.buying import Buying
from rewards.vendors.kept import Mapped
from rewards.vendors.simulators.book import Book, SimClock, SimProduct
from rewards.vendors.simulators.faults import Fault, Scripted
from rewards.vendors.simulators.sandbox import SandboxSimulator
from tests.console.desk import Desk, open_desk
from tests.shop import Shop

# The simulator lets everybody in who has it.
API_KEY = "k" * 20
SOLD = SimProduct("AMZ", "Amazon", "USD", 2_500, 5_000, (2_500, 5_000))
LEASE_S = 20.0
# 100.00 USD: above it a second person must agree.
LIMIT_MINOR = 10_000


@dataclass
class Supply:
    """`url` is the simulator's; `vendor_id` 0 until there is an account with it."""

    desk: Desk
    simulator: SandboxSimulator
    url: str
    worker: Worker
    vendor_id: int = 0

    @property
    def shop(self) -> Shop:
        return self.desk.shop

    async def open_account(self) -> None:
        """An account that sells product 6, which the shop has."""
        parts = self.shop.parts
        account = NewAccount("acme", "sandbox", {"base_url": self.url}, {"api_key": API_KEY})
        async with parts.db.transaction() as tx:
            at = parts.clock.now()
            made = await vendors.create(tx, parts.vault, account, SYSTEM, at, loopback=True)
            terms = Mapped(made.id, 6, "AMZ", SOLD.discount_percent + 3, 10, True)
            await vendors.set_product(tx, terms, SYSTEM, at)
        self.vendor_id = made.id

    async def work(self, ahead: timedelta = timedelta()) -> None:
        """A worker's turn at what is bought, so much later."""
        self.desk.clock.ahead += ahead
        self.simulator.book.clock.advance(ahead.total_seconds())
        parts = self.shop.parts
        await Buying(parts.db, parts.accounts, parts.clock, parts.buyers, LEASE_S).sweep()

    async def waiting(self, product: Product, quantity: int = 2) -> Order:
        client = await self.shop.client(minor=1_000_000)
        return (await self.shop.place_one(self.shop.ask(client, product, quantity))).order

    async def unknown(self, product: Product) -> tuple[Order, int]:
        """An order with a purchase of which nobody can tell whether it was placed.

        More than a day goes by: who was signed in is not any more.
        """
        order = await self.waiting(product)
        self._script(Fault.DROP_AFTER, "place")
        visitor = await self.desk.at(Role.OPERATIONS)
        path = f"/console/orders/{order.id}"
        fields = {"vendor": "acme", "reason": "asked by the client"}
        page = await visitor.send(f"{path}/vendors", f"{path}/vendor-fulfilment", **fields)
        assert page.status == 200, page.said
        await self.work()
        self._script(Fault.ERROR_BEFORE, "read", 10)
        await self.work(timedelta(hours=25))
        self.simulator.script.clear()
        async with self.shop.parts.db.connection() as connection:
            number = await connection.fetchval("SELECT max(id) FROM vendor_orders")
        return order, number

    def _script(self, fault: Fault, call: str, times: int = 1) -> None:
        self.simulator.script.add([Scripted(fault, call)] * times)


@asynccontextmanager
async def open_supply(dsn: str, home: Path, **chosen: Any) -> AsyncIterator[Supply]:
    simulator = SandboxSimulator(Book(SimClock(lambda: datetime.now(UTC)), [SOLD]))
    usual = {
        "vendor_loopback": True,
        "vendor_timeout_s": 2.0,
        "vendor_approval_limit_minor": LIMIT_MINOR,
    }
    async with simulator.serve() as url, open_desk(dsn, home, **(usual | chosen)) as desk:
        parts = desk.shop.parts
        worker = Worker(dsn, parts.settings)
        context = equipment.Context(parts.settings, dsn, parts.db, parts.clock)
        bought = purchasing(
            *(parts.db, parts.catalog, parts.vault, parts.accounts),
            *(parts.prices, parts.clock, parts.settings),
        )
        equipment.stock(parts.catalog)(worker, context)
        equipment.second_persons(bought.restocks)(worker, context)
        equipment.purchases(bought)(worker, context)
        equipment.vendors(parts.accounts)(worker, context)
        yield Supply(desk, simulator, url, worker)
