"""A shop that buys from a simulated vendor, with a worker's hands on a test's clock."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rewards.catalog.model import Denomination, ProductType
from rewards.core.errors import Refusal
from rewards.orders import sql_read
from rewards.orders.fulfilment import ApproveAsk, Fulfilment
from rewards.orders.model import Order
from rewards.orders.recharges import RechargeBuyer
from rewards.orders.sql_vendor_checks import CHECKS
from rewards.orders.vendor_intake import OrderBuyer
from rewards.orders.vendor_limit import ApprovalLimit
from rewards.restocks.buying import StockBuyer
from rewards.restocks.service import Restocks
from rewards.vendors import purchases
from rewards.vendors.adapters import sandbox
from rewards.vendors.buying import Buying
from rewards.vendors.model import FOR_ORDERS, Purchase, Purpose, VendorNotAvailable
from rewards.vendors.port import Vendor
from rewards.vendors.purchases import Buyers
from rewards.vendors.simulators.book import Book, SimClock, SimProduct
from rewards.vendors.simulators.faults import Fault, Scripted
from rewards.vendors.simulators.sandbox import SandboxSimulator
from rewards.vendors.throttle import Breaker, Throttle
from rewards.vendors.wire import Exchange, Limits, Wire, open_session
from tests.shop import STAFF, Shop, open_shop

WINDOW = timedelta(hours=24)
LIMIT_MINOR = 100_000
SKUS = ("AMZ",)
RECHARGE = 20
# Lines of a catalogue that do not sell 25.00 USD.
OTHER_OFFERS: tuple[dict[str, object], ...] = (
    {"stock": 0},
    {"active": False},
    {"currency": "EUR"},
    {"min": 3_000},
    {"max": 2_499, "min": 1},
)
MOBILE = {"mobile_country_code": "+1", "mobile_number": "5550100"}


@dataclass
class MovedClock:
    """The real time plus what a test moved it by."""

    ahead: timedelta = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


class Unkept:
    async def record(self, exchange: Exchange) -> None:
        pass


@dataclass
class Adapters:
    """Adapters by vendor id; of others this version knows nothing."""

    vendors: dict[int, Vendor] = field(default_factory=dict)

    async def vendor(self, vendor_id: int) -> Vendor:
        vendor = self.vendors.get(vendor_id)
        if vendor is None:
            raise VendorNotAvailable
        return vendor


@dataclass
class Market:
    """A shop, one vendor, and everything a worker does about purchases."""

    shop: Shop
    simulator: SandboxSimulator
    vendor_id: int
    adapters: Adapters
    clock: MovedClock
    lease_s: float = 20.0

    @property
    def book(self) -> Book:
        return self.simulator.book

    @property
    def buyer(self) -> OrderBuyer:
        parts = self.shop.parts
        return OrderBuyer(parts.catalog, parts.vault, WINDOW)

    @property
    def buyers(self) -> Buyers:
        parts = self.shop.parts
        return {
            Purpose.ORDER: self.buyer,
            Purpose.RECHARGE: RechargeBuyer(parts.catalog, parts.vault),
            Purpose.STOCK: StockBuyer(parts.catalog, parts.vault, WINDOW),
        }

    @property
    def buying(self) -> Buying:
        return Buying(self.shop.parts.db, self.adapters, self.clock, self.buyers, self.lease_s)

    @property
    def limit(self) -> ApprovalLimit:
        return ApprovalLimit(LIMIT_MINOR, "USD", self.shop.parts.prices)

    @property
    def fulfilment(self) -> Fulfilment:
        parts = self.shop.parts
        return Fulfilment(parts.db, parts.catalog, self.adapters, self.clock, WINDOW, self.limit)

    @property
    def restocks(self) -> Restocks:
        parts = self.shop.parts
        return Restocks(parts.db, parts.catalog, self.adapters, self.clock, WINDOW, self.limit)

    def script(self, *faults: Fault, call: str = "place") -> None:
        self.simulator.script.add([Scripted(fault, call) for fault in faults])

    async def approve(self, order_id: int, vendor: str | None = None) -> Order | Refusal:
        ask = ApproveAsk(order_id, STAFF, "asked by the client", vendor)
        [answer] = await self.fulfilment.approve([ask])
        return answer

    async def bought(self, order_id: int) -> list[Purchase]:
        async with self.shop.parts.db.connection() as connection:
            return await purchases.of_subject(connection, FOR_ORDERS, order_id)

    async def step(self, order_id: int) -> Purchase | None:
        """One call for the order's newest purchase."""
        newest = (await self.bought(order_id))[-1]
        return await self.buying.step(newest.id)

    async def settle(self, order_id: int, *, calls_max: int = 30) -> Order:
        """Calls until nothing is open for the order, each when it is due."""
        for _ in range(calls_max):
            open_now = [one for one in await self.bought(order_id) if one.open]
            if not open_now:
                break
            wait = open_now[-1].next_at - self.clock.now()
            self.clock.ahead += max(wait, timedelta())
            self.book.clock.advance(max(wait.total_seconds(), 0))
            await self.buying.sweep()
        return await self.shop.order(order_id)

    async def waiting(self, quantity: int = 2, *, stock: int = 0, **facts: object) -> Order:
        """A fresh client's order of product 6 that the pool cannot serve whole."""
        client = await self.shop.client(minor=100_000_000)
        product = self.shop.parts.catalog.product(6)
        assert product is not None
        if stock:
            await self.shop.stock(product, stock)
        return (await self.shop.place_one(self.shop.ask(client, product, quantity, **facts))).order

    async def recharge(self, quantity: int = 1, product_id: int = RECHARGE) -> Order:
        """A fresh client's recharge, which waits for an operator."""
        client = await self.shop.client(minor=100_000_000)
        product = self.shop.parts.catalog.product(product_id)
        assert product is not None
        ask = self.shop.ask(client, product, quantity, mobile=MOBILE)
        return (await self.shop.place_one(ask)).order

    async def recharges(self, order_id: int) -> list[tuple[str, str | None]]:
        """Status and recharge status of each item."""
        async with self.shop.parts.db.connection() as connection:
            items = (await sql_read.read_items(connection, [order_id]))[order_id]
        return [(item.status, item.recharge_status) for item in items]

    def sold(self) -> list[int]:
        """How many codes each sale of the vendor's book has."""
        return [len(sale.cards) for sale in self.book.sales.values()]

    async def codes_in_stock(self) -> int:
        async with self.shop.parts.db.connection() as connection:
            count: int = await connection.fetchval("SELECT count(*) FROM units")
        return count


async def add_vendor(
    shop: Shop, name: str, product_ids: Sequence[int], sku: str = "AMZ", priority: int = 100
) -> int:
    async with shop.parts.db.transaction() as tx:
        vendor_id: int = await tx.fetchval(
            "INSERT INTO vendors (name, adapter, config, sealed, created_at, changed_at)"
            " VALUES ($1, 'sandbox', '{}', '', now(), now()) RETURNING id",
            name,
        )
        for product_id in product_ids:
            await tx.execute(
                "INSERT INTO vendor_products (product_id, vendor_id, sku, priority)"
                " VALUES ($1, $2, $3, $4)",
                *(product_id, vendor_id, sku, priority),
            )
    return vendor_id


async def add_offer(shop: Shop, vendor_id: int, **facts: object) -> None:
    """What the vendor's catalogue says of AMZ, as it was last read."""
    told = {"currency": "USD", "min": 2_500, "max": 5_000, "stock": None, "active": True} | facts
    async with shop.parts.db.transaction() as tx:
        await tx.execute(
            "INSERT INTO vendor_offers (vendor_id, sku, name, currency, min_minor, max_minor,"
            " fixed_minor, stock, active, read_at)"
            " VALUES ($1, 'AMZ', 'Amazon', $2, $3, $4, '{}', $5, $6, now())",
            vendor_id,
            *told.values(),
        )


async def nothing_unasked(shop: Shop, book: Book) -> None:
    """The vendor sold nothing that nobody, person or flag, had asked for."""
    async with shop.parts.db.connection() as connection:
        sent = await connection.fetch("SELECT key FROM vendor_orders WHERE sent_at IS NOT NULL")
        check = CHECKS["i19_purchase_for_an_order_was_approved"]
        assert await connection.fetch(check) == []
    assert book.sales.keys() <= {row["key"] for row in sent}


@asynccontextmanager
async def open_market(
    dsn: str, home: Path, *, timeout_s: float = 2.0, **chosen: Any
) -> AsyncIterator[Market]:
    """Product 6 (25.00 and 50.00 USD) is bought from a sandbox vendor named `acme`."""
    async with AsyncExitStack() as stack:
        clock = MovedClock()
        shop = await stack.enter_async_context(open_shop(dsn, home, clock, **chosen))
        await shop.product()
        products = [SimProduct(sku, "Amazon", "USD", 2_500, 5_000, (2_500, 5_000)) for sku in SKUS]
        simulator = SandboxSimulator(Book(SimClock(lambda: datetime.now(UTC)), products))
        url = await stack.enter_async_context(simulator.serve())
        session = await stack.enter_async_context(open_session())
        wire = Wire(
            *(session, url, Unkept()),
            safe=sandbox.KIND.safe,
            throttle=Throttle({}),
            breaker=Breaker(opens_after=10_000),
            limits=Limits(timeout_s=timeout_s, connect_s=timeout_s),
        )
        await shop.product(
            RECHARGE,
            name="Airtime",
            type=ProductType.MOBILE_TOPUP,
            voucher_fields=(),
            denominations=(Denomination(2_500, 5_000),),
        )
        vendor_id = await add_vendor(shop, "acme", [6, RECHARGE])
        adapter = sandbox.KIND.build({"base_url": url}, {"api_key": "k"}, wire)
        yield Market(shop, simulator, vendor_id, Adapters({vendor_id: adapter}), clock)
        await nothing_unasked(shop, simulator.book)
