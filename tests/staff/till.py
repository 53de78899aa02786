"""An office where one person may move little, and a client of it with money."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from rewards.orders.model import Order
from tests.market import MovedClock
from tests.staff.office import Office, open_office

# 100.00 USD.
LIMIT_MINOR = 10_000
ABOVE = {"amount": "100.01", "note": "wire of today"}


class Till:
    """An office, and a client of it with wallets."""

    def __init__(self, office: Office, clock: MovedClock, client: int, wallet: int) -> None:
        self.office, self.clock, self.client = office, clock, client
        self.path = f"/wallets/{wallet}"
        self.wallet = wallet

    async def book(
        self, act: str, body: Any = ABOVE, status: int = 202, who: str = "finance"
    ) -> Any:
        return await self.office.ask(who, "POST", f"{self.path}/{act}", body, status)

    async def decide(self, number: int, verdict: str = "approve", body: Any = None) -> Any:
        return await self.office.ask("admin", "POST", f"/approvals/{number}/{verdict}", body)

    async def approval(self, number: int) -> Any:
        return await self.office.ask("viewer", "GET", f"/approvals/{number}")

    async def balance(self) -> int:
        return await self.office.shop.balance(self.client)

    async def sold(self, quantity: int) -> Order:
        """A delivered order of that many vouchers of 25.50 each."""
        shop = self.office.shop
        product = shop.parts.catalog.product(6) or await shop.product()
        await shop.stock(product, quantity)
        return (await shop.place_one(shop.ask(self.client, product, quantity))).order


@asynccontextmanager
async def open_till(dsn: str, home: Path) -> AsyncIterator[Till]:
    clock = MovedClock()
    # Whoever waits for a lock of a busy machine is no race of ours.
    chosen = {"money_approval_limit_minor": LIMIT_MINOR, "lock_timeout_s": 60}
    async with open_office(dsn, home, clock, **chosen) as office:
        client = await office.shop.client(minor=100_000)
        wallet = (await office.shop.wallets(client))["USD"].id
        yield Till(office, clock, client, wallet)
        assert await office.shop.broken() == {}
