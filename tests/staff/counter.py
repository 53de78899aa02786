"""An office that buys from one simulated vendor, with a worker's hands on a test's clock."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rewards.core.actor import SYSTEM
from rewards.orders.model import Order
from rewards.vendors import service as vendors
from rewards.vendors.account import AccountChange, AccountStatus, NewAccount
from rewards.vendors.buying import Buying
from rewards.vendors.kept import Mapped
from rewards.vendors.simulators.book import Book, SimClock, SimProduct
from rewards.vendors.simulators.faults import Fault, Scripted
from rewards.vendors.simulators.sandbox import SandboxSimulator
from tests.market import MovedClock, nothing_unasked
from tests.staff.office import Office, open_office

ASK = {"reason": "asked by the client"}
SKU = "AMZ"
LEASE_S = 20.0
# 100.00 USD.
LIMIT_MINOR = 10_000
SOLD = SimProduct(SKU, "Amazon", "USD", 2_500, 5_000, (2_500, 5_000))


@dataclass
class Counter:
    """An office that buys from one vendor, `acme`; `operations` approves."""

    office: Office
    simulator: SandboxSimulator
    clock: MovedClock
    vendor_id: int

    @property
    def book(self) -> Book:
        return self.simulator.book

    async def waiting(self, quantity: int = 2, *, stock: int = 0, **facts: Any) -> Order:
        shop = self.office.shop
        product = shop.parts.catalog.product(6)
        assert product is not None
        if stock:
            await shop.stock(product, stock)
        client = await shop.client(minor=1_000_000)
        return (await shop.place_one(shop.ask(client, product, quantity, **facts))).order

    async def approve(self, order: Order, **more: Any) -> Any:
        return await self.office.ask("operations", "POST", path_of(order), ASK | more)

    async def work(self, *, ahead: timedelta = timedelta(minutes=1)) -> None:
        """A worker's turn, so much later."""
        self.clock.ahead += ahead
        self.book.clock.advance(ahead.total_seconds())
        parts = self.office.shop.parts
        await Buying(parts.db, parts.accounts, self.clock, parts.buyers, LEASE_S).sweep()

    def script(self, *faults: Fault, call: str = "place") -> None:
        self.simulator.script.add([Scripted(fault, call) for fault in faults])

    async def bought(self, order: Order) -> list[Any]:
        told = await self.office.ask("viewer", "GET", f"/orders/{order.id}/vendor-orders")
        return list(told)

    async def cases(self, query: str = "") -> list[Any]:
        return list(await self.office.ask("viewer", "GET", f"/vendor-orders/unknown{query}"))

    async def unknown(self, fault: Fault = Fault.DROP_AFTER) -> tuple[Order, int]:
        """An order with a case: what it bought is not told by the vendor until its window is over.

        The vendor answers again afterwards.
        """
        order = await self.waiting()
        self.script(fault)
        await self.approve(order)
        await self.work(ahead=timedelta())
        # Earlier cases are read in the same turn.
        self.script(*[Fault.ERROR_BEFORE] * 10, call="read")
        await self.work(ahead=timedelta(hours=25))
        self.simulator.script.clear()
        [bought] = await self.bought(order)
        return order, bought["id"]

    async def judge(self, number: int, verdict: str) -> Any:
        return await self.office.ask("operations", "POST", judged(number), say(verdict))

    async def state(self, order: Order) -> str:
        return str((await self.office.shop.order(order.id)).state)

    async def pause(self) -> None:
        parts = self.office.shop.parts
        change = AccountChange(status=AccountStatus.PAUSED)
        async with parts.db.transaction() as tx:
            at = self.clock.now()
            await vendors.change(tx, parts.vault, self.vendor_id, change, SYSTEM, at, loopback=True)
        await self.office.shop.refresh()


def path_of(order: Order) -> str:
    return f"/orders/{order.id}/vendor-fulfilment"


def judged(number: int) -> str:
    return f"/vendor-orders/{number}/verdict"


def say(verdict: str) -> dict[str, str]:
    return {"verdict": verdict, "reason": "their desk said so by telephone"}


@asynccontextmanager
async def open_counter(dsn: str, home: Path) -> AsyncIterator[Counter]:
    clock = MovedClock()
    simulator = SandboxSimulator(Book(SimClock(lambda: datetime.now(UTC)), [SOLD]))
    chosen = {
        "vendor_loopback": True,
        "vendor_timeout_s": 2.0,
        "vendor_approval_limit_minor": LIMIT_MINOR,
    }
    async with (
        simulator.serve() as url,
        open_office(dsn, home, clock, **chosen) as office,
    ):
        await office.shop.product()
        parts = office.shop.parts
        account = NewAccount("acme", "sandbox", {"base_url": url}, {"api_key": "k" * 20})
        async with parts.db.transaction() as tx:
            at = clock.now()
            made = await vendors.create(tx, parts.vault, account, SYSTEM, at, loopback=True)
            terms = Mapped(made.id, 6, SKU, SOLD.discount_percent + 3, 10, True)
            await vendors.set_product(tx, terms, SYSTEM, at)
        yield Counter(office, simulator, clock, made.id)
        await nothing_unasked(office.shop, simulator.book)
