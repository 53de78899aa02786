"""Processes that know vendors: accounts over one database, and simulators for them to talk to."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rewards.core.actor import SYSTEM
from rewards.core.clock import Clock, SystemClock
from rewards.infra.changes import ChangeFeed
from rewards.infra.crypto import Vault
from rewards.infra.db import Database
from rewards.infra.settings import Settings
from rewards.vendors import service
from rewards.vendors.account import Account, AccountChange, NewAccount
from rewards.vendors.accounts import Accounts
from rewards.vendors.simulators.book import Book, SimClock, SimProduct
from rewards.vendors.simulators.sandbox import SandboxSimulator
from rewards.vendors.tasks import VendorTasks
from rewards.vendors.wire import open_session
from tests.vendors.conftest import now

SECRET = "a-key-that-nobody-may-read-4711"
PRODUCTS = (
    SimProduct("AMZ-25", "Amazon 25", "USD", 2_500, 2_500, (2_500,)),
    SimProduct("ANY_YEN", "100 % any", "JPY", 100, 50_000),
)


@dataclass
class Office:
    """One process."""

    db: Database
    vault: Vault
    feed: ChangeFeed
    clock: Clock
    accounts: Accounts
    tasks: VendorTasks

    async def add(
        self,
        url: str,
        name: str = "Sandbox",
        secrets: Mapping[str, str] | None = None,
        **config: str,
    ) -> Account:
        new = NewAccount(
            name, "sandbox", {"base_url": url, **config}, secrets or {"api_key": SECRET}
        )
        async with self.db.transaction() as tx:
            return await service.create(
                tx, self.vault, new, SYSTEM, self.clock.now(), loopback=True
            )

    async def change(self, vendor_id: int, **wanted: Any) -> Account:
        async with self.db.transaction() as tx:
            return await service.change(
                *(tx, self.vault, vendor_id, AccountChange(**wanted), SYSTEM, self.clock.now()),
                loopback=True,
            )

    async def rows(self, statement: str, *args: object) -> list[dict[str, Any]]:
        async with self.db.connection() as connection:
            return [dict(row) for row in await connection.fetch(statement, *args)]


@asynccontextmanager
async def opened(db: Database, home: Path, clock: Clock | None = None) -> AsyncIterator[Office]:
    clock = clock or SystemClock()
    settings = Settings(home=home, environment="test", vendor_loopback=True, vendor_timeout_s=1.0)
    vault = await Vault.open_database(db, settings)
    feed = ChangeFeed(db)
    async with open_session() as session:
        accounts = Accounts(db, vault, feed, settings, clock, session)
        await feed.start()
        yield Office(db, vault, feed, clock, accounts, VendorTasks(db, accounts, clock))
        await feed.stop()


def simulator(*products: SimProduct) -> SandboxSimulator:
    return SandboxSimulator(Book(SimClock(now), products or PRODUCTS))
