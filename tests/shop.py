"""A small shop to test orders in: clients with money, products, stock, all through the services."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from rewards.catalog import service as catalog
from rewards.catalog.model import DeliveryType, Denomination, NewProduct, Product, ShelfKey
from rewards.claims import sql as links
from rewards.claims.tasks import LinkTasks
from rewards.clients import service as clients
from rewards.clients.model import Limits, NewClient
from rewards.core.actor import Actor, ActorKind
from rewards.core.clock import Clock, SystemClock
from rewards.core.errors import Refusal
from rewards.entry.doctor import all_checks
from rewards.entry.wiring import Parts, open_parts
from rewards.infra.db import Tx
from rewards.infra.settings import Settings
from rewards.inventory import service as inventory
from rewards.inventory.model import BatchSource, NewUnit, UnitState
from rewards.orders import sql_read
from rewards.orders.claiming import ClaimAsk, Claimed, claim
from rewards.orders.closing import CancelAsk, FailAsk
from rewards.orders.decide import KeyUse, PlaceAsk
from rewards.orders.filling import RetryAsk, retry
from rewards.orders.model import Order, tier
from rewards.orders.refunds import cancel, fail, pay_owed
from rewards.orders.replay import Placed
from rewards.orders.tasks import OrderTasks
from rewards.pricing import service as pricing
from rewards.pricing.model import ClientDiscount
from rewards.pricing.model_rates import NewRate
from rewards.wallets import service as wallets
from rewards.wallets.model import NewWallet, StatusChange, TopUp, Wallet, WalletStatus

WIDE = Limits(per_minute=10**9, per_10s=10**9, per_day=10**9, concurrent=10**6)
HOLDER = Actor(ActorKind.HOLDER, None, "req_holder", "127.0.0.1")
STAFF = Actor(ActorKind.STAFF, 7, "req_staff", "127.0.0.1")
# Everything an order could have left behind.
TABLES = (
    "orders",
    "order_items",
    "order_transitions",
    "order_tallies",
    "order_replacements",
    "claim_links",
    "approvals",
    "staff_lone_acts",
    "flagged_purchases",
    "stock_orders",
    "vendor_orders",
    "vendor_orders",
    "batches",
    "ledger_transfers",
    "ledger_entries",
    "wallets",
    "units",
    "shelf",
    "blocked_units",
    "units_written_off",
    "events",
    "audit_entries",
    "idempotency_keys",
    "pgqueuer",
)


@dataclass
class Shop:
    """What a test starts from. Every code is a canary of its own."""

    parts: Parts
    codes: list[str] = field(default_factory=list)

    async def client(
        self, *, minor: int = 0, currencies: Sequence[str] = ("USD",), **facts: Any
    ) -> int:
        """A client with one wallet for each currency, each holding `minor`."""
        async with self.parts.db.transaction() as tx:
            new = NewClient(name="Test client", limits=WIDE, **facts)
            [client] = await clients.create(tx, [new], self.now)
            await self._fund(tx, client.id, currencies, minor)
        return client.id

    async def _fund(
        self, tx: Any, client_id: int, currencies: Sequence[str], minor: int
    ) -> list[Wallet]:
        new = [NewWallet(client_id=client_id, currency=code) for code in currencies]
        opened = await wallets.open_wallets(tx, new, self.now)
        if minor:
            await wallets.top_up(tx, [TopUp(wallet.id, minor) for wallet in opened], self.now)
        return opened

    async def wallets(self, client_id: int) -> dict[str, Wallet]:
        async with self.parts.db.connection() as connection:
            held = await wallets.list_for_client(connection, client_id)
        return {wallet.currency: wallet for wallet in held}

    async def balance(self, client_id: int, currency: str = "USD") -> int:
        return (await self.wallets(client_id))[currency].balance_minor

    async def product(self, product_id: int = 6, **facts: Any) -> Product:
        """As the sandbox's product 6 unless said otherwise: 25.00, 2 % off, 1.00 a voucher."""
        usual: dict[str, Any] = {
            "name": "Amazon Gift Card",
            "category_id": 1,
            "country": "US",
            "currency": "USD",
            "delivery_type": DeliveryType.CODE_WITH_PIN,
            "voucher_fields": ("card_number", "pin_code"),
            "vendor_discount_percent": Decimal(2),
            "handling_fee_minor": 100,
            "denominations": (Denomination(2500, 2500), Denomination(5000, 5000)),
        }
        async with self.parts.db.transaction() as tx:
            new = NewProduct(id=product_id, **(usual | facts))
            await catalog.add_products(tx, [new], self.now)
        await self.refresh()
        product = self.parts.catalog.product(product_id)
        assert product is not None
        return product

    async def rates(self, **to_usd: str) -> None:
        """US dollars for one unit of each currency."""
        new = [NewRate(c, "USD", Decimal(rate), "test", self.now) for c, rate in to_usd.items()]
        async with self.parts.db.transaction() as tx:
            await pricing.set_rates(tx, new, self.now)
        await self.refresh()

    async def refresh(self) -> None:
        """Let the caches see what was just committed."""
        self.parts.feed.expire()
        await self.parts.feed.ensure_fresh()

    async def stock(
        self,
        product: Product,
        units: int,
        *,
        minor: int = 2500,
        expires_at: datetime | None = None,
        loaded: bool = True,
        fields: Mapping[str, str] | None = None,
    ) -> list[int]:
        """Units of one shelf, in the pool unless `loaded` is false; `fields` of a single one."""
        shelf = ShelfKey(product.id, minor, product.currency)
        new = []
        for _ in range(units):
            code = f"CANARY-{product.id}-{len(self.codes):08d}"
            self.codes.append(code)
            made = fields or {name: f"{code}-{name}" for name in product.voucher_fields}
            new.append(NewUnit(shelf=shelf, fields=made, expires_at=expires_at))
        async with self.parts.db.transaction() as tx:
            batch = await inventory.open_batch(tx, BatchSource.SANDBOX, "test", self.now)
            added = await inventory.add_units(
                tx, self.parts.vault, batch, new, UnitState.AVAILABLE, self.now, loaded=loaded
            )
        return [unit_id for unit_id in added if isinstance(unit_id, int)]

    def ask(self, client_id: int, product: Product, quantity: int = 1, **facts: Any) -> PlaceAsk:
        """An order as the HTTP edge would hand it to the desk; `key` makes it idempotent."""
        key = facts.pop("key", None)
        body = facts.pop("fingerprint", b"the same body")
        settings = self.parts.settings
        usual: dict[str, Any] = {
            "actor": Actor(ActorKind.CLIENT, client_id, "req_test", "127.0.0.1"),
            "conversion_fee_percent": Decimal(0),
            "denomination_minor": 2500,
            "tier": tier(
                quantity,
                realtime=product.realtime,
                request_max=settings.request_quantity_max,
                filled_max=settings.filled_quantity_max,
            ),
            "key_use": KeyUse(client_id, key, body) if key else None,
        }
        return PlaceAsk(client_id=client_id, product=product, quantity=quantity, **(usual | facts))

    async def place(self, *asks: PlaceAsk) -> list[Placed | Refusal]:
        """The asks as one batch, in one transaction."""
        return await self.parts.orders.place_batch(asks)

    async def place_one(self, ask: PlaceAsk) -> Placed:
        [placed] = await self.place(ask)
        assert isinstance(placed, Placed), placed
        return placed

    async def place_in(self, tx: Tx, asks: Sequence[PlaceAsk]) -> list[Placed | Refusal]:
        """The asks as one batch in the caller's transaction."""
        return await self.parts.orders.place_in(tx, asks)

    async def retry(self, order_id: int, *, bulk_units_max: int = 10_000) -> Order | Refusal:
        async def work(tx: Tx) -> list[Order | Refusal]:
            return await retry(
                tx, [RetryAsk(order_id, STAFF, "try again")], bulk_units_max, self.now
            )

        [answer] = await self.parts.db.run(work)
        return answer

    async def cancel(self, order_id: int, *item_ids: str) -> Order | Refusal:
        ask = CancelAsk(order_id, STAFF, "no longer wanted", item_ids or None)

        async def work(tx: Tx) -> list[Order | Refusal]:
            return await cancel(tx, [ask], self.now)

        [answer] = await self.parts.db.run(work)
        return answer

    async def fail(self, order_id: int, *item_ids: str) -> Order | Refusal:
        ask = FailAsk(order_id, STAFF, "the operator refused for good", item_ids or None)

        async def work(tx: Tx) -> list[Order | Refusal]:
            return await fail(tx, [ask], self.now)

        [answer] = await self.parts.db.run(work)
        return answer

    async def claim(self, order_id: int, position: int = 1) -> Claimed | Refusal:
        async def work(tx: Tx) -> list[Claimed | Refusal]:
            claimed = await claim(tx, [ClaimAsk(order_id, position, HOLDER)], self.now)
            for one in claimed:
                if isinstance(one, Claimed):
                    [link] = [
                        link
                        for link in await self.parts.links.find(tx, [order_id])
                        if link.position == position
                    ]
                    await links.use(tx, link.link_id, one.at)
            return claimed

        [answer] = await self.parts.db.run(work)
        return answer

    async def pay_owed(self, order_id: int) -> Order | Refusal:
        async def work(tx: Tx) -> list[Order | Refusal]:
            return await pay_owed(tx, [order_id], STAFF, self.now)

        [answer] = await self.parts.db.run(work)
        return answer

    async def events(self, order_id: int) -> list[str]:
        """What the order's client was told about it, in order."""
        async with self.parts.db.connection() as connection:
            rows = await connection.fetch(
                "SELECT type FROM events WHERE order_id = $1 ORDER BY id", order_id
            )
        return [row["type"] for row in rows]

    async def path(self, order_id: int) -> list[str]:
        """Every state the order went through, act by act."""
        async with self.parts.db.connection() as connection:
            steps = await sql_read.read_history(connection, order_id)
        return [place for step in steps for place in step.path]

    async def broken(self) -> dict[str, int]:
        """Every invariant that does not hold, and how many rows break it."""
        async with self.parts.db.connection() as connection:
            found = {name: await connection.fetch(check) for name, check in all_checks().items()}
        return {name: len(rows) for name, rows in found.items() if rows}

    async def order(self, order_id: int) -> Order:
        async with self.parts.db.connection() as connection:
            return (await sql_read.read_orders(connection, [order_id]))[order_id]

    async def item_states(self, order_id: int) -> list[str]:
        async with self.parts.db.connection() as connection:
            items = (await sql_read.read_items(connection, [order_id]))[order_id]
        return [str(item.status) for item in items]

    async def unit_states(self, placed: Placed) -> list[str]:
        async with self.parts.db.connection() as connection:
            units = await inventory.read_units(connection, [u.unit_id for u in placed.units])
        return [str(unit.state) for unit in units if unit is not None]

    async def set_wallet_status(self, client_id: int, status: WalletStatus) -> None:
        held = await self.wallets(client_id)
        async with self.parts.db.transaction() as tx:
            await wallets.set_status(tx, [StatusChange(w.id, status) for w in held.values()])

    async def top_up(self, client_id: int, minor: int) -> None:
        held = await self.wallets(client_id)
        async with self.parts.db.transaction() as tx:
            await wallets.top_up(tx, [TopUp(w.id, minor) for w in held.values()], self.now)

    async def discount(self, wanted: ClientDiscount) -> None:
        async with self.parts.db.transaction() as tx:
            await pricing.set_discounts(tx, [wanted])
        await self.refresh()

    async def drain(self, product: Product, client_id: int) -> None:
        """Sell one unit, so that the next look finds what the test put there."""
        await self.place_one(self.ask(client_id, product))

    async def age(self, order_id: int, *, minutes: int) -> None:
        """Let the order look untouched for so long."""
        async with self.parts.db.transaction() as tx:
            await tx.execute(
                "UPDATE orders SET changed_at = changed_at - make_interval(mins => $2)"
                " WHERE id = $1",
                order_id,
                minutes,
            )

    @property
    def tasks(self) -> OrderTasks:
        return OrderTasks(self.parts.db, self.parts.clock, self.parts.settings)

    @property
    def link_tasks(self) -> LinkTasks:
        return LinkTasks(self.parts.db, self.parts.clock, self.parts.links)

    @property
    def eager_tasks(self) -> OrderTasks:
        """The tasks of a worker with auto-retry switched on."""
        chosen = self.parts.settings.model_copy(update={"disable_auto_order_retry": False})
        return OrderTasks(self.parts.db, self.parts.clock, chosen)

    async def everything(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row an order could touch, to see that a refusal changed nothing."""
        async with self.parts.db.connection() as connection:
            return {
                table: sorted(map(tuple, await connection.fetch(f"SELECT t::text FROM {table} t")))
                for table in TABLES
            }

    @property
    def now(self) -> datetime:
        return self.parts.clock.now()


@asynccontextmanager
async def open_shop(
    dsn: str, home: Path, clock: Clock | None = None, **chosen: Any
) -> AsyncIterator[Shop]:
    """A shop over an empty, migrated database."""
    usual = {"home": home, "environment": "test", "lock_timeout_s": 0.5}
    settings = Settings(**(usual | chosen))
    async with open_parts(dsn, settings, clock or SystemClock()) as parts:
        async with parts.db.transaction() as tx:
            await catalog.seed_reference(tx)
        shop = Shop(parts)
        await shop.refresh()
        yield shop
