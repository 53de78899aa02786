"""The little world that is measured: a thousand clients with money, three products, stock."""

import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count

from benchmarks import wire
from benchmarks.home import Home
from rewards.clients import service as clients
from rewards.clients.model import Limits, NewClient, NewCredential
from rewards.core.clock import SystemClock
from rewards.infra.crypto import Vault
from rewards.infra.db import Database, Tx
from rewards.infra.settings import Settings
from rewards.inventory import service as inventory
from rewards.inventory.model import BatchSource, NewUnit, ShelfKey, UnitState
from rewards.wallets import service as wallets
from rewards.wallets.model import NewWallet, TopUp

CLIENTS = 1_000
DENOMINATION_MINOR = 2_500
BALANCE_MINOR = 10**12
WIDE = Limits(per_minute=10**9, per_10s=10**9, per_day=10**9, concurrent=10**6)
STOCK_CHUNK = 5_000

COPY_CHUNK = 100_000
SETTLES_S = 900.0
# What is sold ends before what only makes the pool deep.
ENDS_AT = datetime(2099, 12, 31, tzinfo=UTC)

# Served from the pool in the request; the same whatever the quantity; for imports and the pump.
ORDINARY, REALTIME, WAREHOUSE = 101, 102, 103

REFERENCE = """
INSERT INTO currencies (code, name, symbol, exponent) VALUES ('USD', 'US dollar', '$', 2)
    ON CONFLICT DO NOTHING;
INSERT INTO countries (code, name, currency) VALUES ('US', 'United States', 'USD')
    ON CONFLICT DO NOTHING;
INSERT INTO categories (id, name, slug) VALUES (901, 'Bench', 'bench')
"""
ADD_PRODUCT = """
WITH wording AS (
    INSERT INTO product_revisions (product_id, name, created_at)
    VALUES ($1, 'Bench card ' || $1::bigint, now()) RETURNING id
),
value AS (
    INSERT INTO denominations (product_id, min_minor, max_minor) VALUES ($1, $2, $2)
)
INSERT INTO products (id, revision_id, category_id, country, currency, delivery_type,
    voucher_fields, realtime, pool_target, created_at)
SELECT $1, id, 901, 'US', 'USD', 'CODE_WITH_PIN', '{code,pin}', $3, 100000000, now() FROM wording
"""
COPY_UNITS = """
WITH one AS (SELECT * FROM units WHERE product_id = $1 AND expires_at < 'infinity' LIMIT 1),
copies AS (
    INSERT INTO units (id, product_id, denomination_minor, currency, batch_id, sealed, fingerprint,
        created_at)
    SELECT u.id, product_id, denomination_minor, currency, batch_id, sealed, int8send(u.id), now()
    FROM one, (SELECT nextval('units_id_seq') AS id FROM generate_series(1, $2)) AS u
    RETURNING id, product_id, denomination_minor, currency, expires_at
)
INSERT INTO shelf (unit_id, product_id, denomination_minor, currency, expires_at, loaded)
SELECT *, true FROM copies
"""


@dataclass(frozen=True, slots=True)
class Caller:
    """A client with its key and a wallet that never runs dry."""

    client_id: int
    wallet_id: int
    headers: dict[str, str]


@dataclass
class World:
    """What cases act on: callers, and stock that can be laid in as it is needed."""

    db: Database
    vault: Vault
    batch_id: int
    callers: list[Caller]

    async def lay_in(self, product_id: int, units: int) -> None:
        """Put that many sealed units into the pool, ready for sale."""
        for start in range(0, units, STOCK_CHUNK):
            chunk = fresh_units(product_id, min(STOCK_CHUNK, units - start))
            async with self.db.transaction() as tx:
                await inventory.add_units(
                    *(tx, self.vault, self.batch_id, chunk, UnitState.AVAILABLE, now()),
                    loaded=True,
                )

    async def deepen(self, product_id: int, units: int) -> None:
        """Put units behind all that is laid in: copies of one, that end last and never sell."""
        for start in range(0, units, COPY_CHUNK):
            async with self.db.transaction() as tx:
                await tx.execute(COPY_UNITS, product_id, min(COPY_CHUNK, units - start), timeout=60)

    async def settle(self) -> None:
        """Let vacuum and statistics catch up, so that a run begins like any other."""
        async with self.db.connection() as connection:
            await connection.execute("VACUUM (ANALYZE)", timeout=SETTLES_S)
            await connection.execute("CHECKPOINT")


def now() -> datetime:
    return SystemClock().now()


_serial = count(1)
_run = secrets.token_hex(4)


def fresh_units(product_id: int, number: int) -> list[NewUnit]:
    """Units with codes that no other run has used."""
    shelf = ShelfKey(product_id, DENOMINATION_MINOR, "USD")
    return [
        NewUnit(shelf, {"code": f"B{_run}{next(_serial):012d}", "pin": "1234"}, ENDS_AT)
        for _ in range(number)
    ]


@asynccontextmanager
async def build(home: Home) -> AsyncIterator[World]:
    """Fill the empty database. The API is started afterwards, on the finished world."""
    db = await Database.connect(home.owner_dsn, home.settings)
    try:
        yield await fill(db, home.settings)
    finally:
        await db.close()


async def fill(db: Database, settings: Settings, clients: int = CLIENTS) -> World:
    """Clients with money, three products, and a batch for stock."""
    vault = await Vault.open_database(db, settings)
    async with db.transaction() as tx:
        await tx.execute(REFERENCE)
        for product_id in (ORDINARY, REALTIME, WAREHOUSE):
            await tx.execute(ADD_PRODUCT, product_id, DENOMINATION_MINOR, product_id == REALTIME)
        batch_id = await inventory.open_batch(tx, BatchSource.FILE, "bench", now())
        callers = await _callers(tx, vault, settings, clients)
    return World(db, vault, batch_id, callers)


async def _callers(tx: Tx, vault: Vault, settings: Settings, number: int) -> list[Caller]:
    new = [NewClient(f"Bench {n}", WIDE, max_quantity=10_000) for n in range(number)]
    made = await clients.create(tx, new, now())
    issued = await clients.issue_credentials(
        tx, vault, settings, [NewCredential(client.id) for client in made], now()
    )
    opened = await wallets.open_wallets(tx, [NewWallet(c.id, "USD") for c in made], now())
    await wallets.top_up(tx, [TopUp(w.id, BALANCE_MINOR, "bench") for w in opened], now())
    return [
        Caller(
            credential.client_id,
            wallet.id,
            {"X-API-Key": credential.api_key, "X-API-Secret": credential.api_secret},
        )
        for credential, wallet in zip(issued, opened, strict=True)
    ]


def orders(
    callers: Sequence[Caller], product_id: int = ORDINARY, quantity: int = 1
) -> Iterator[bytes]:
    """Endless orders, the callers taking turns, each order with a key of its own."""
    body = b'{"product_id":%d,"denomination":25,"quantity":%d}' % (product_id, quantity)
    return wire.keyed([("POST", "/api/v1/orders", caller.headers, body) for caller in callers])
