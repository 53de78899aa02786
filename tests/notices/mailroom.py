"""What tests of notices start from: a shop, and the hands of a worker on its mail."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rewards.catalog.model import Product
from rewards.core.clock import SystemClock
from rewards.entry.mailing import mailing
from rewards.notices import service
from rewards.notices.model import Attempt, Notice, NoticeSettings
from rewards.notices.service import NoticeFilter
from rewards.notices.tasks import NoticeTasks
from rewards.orders.replay import Placed
from tests.shop import Shop, open_shop

CUSTOMER = "jane.doe@customer.example"
CONTACT = "ops@client.example"
MAIL_FROM = "mail@rewards.example"


LOOKS_MAX = 500
UNREAD = """
SELECT EXISTS (SELECT FROM events AS e, notice_reading AS r
    WHERE e.mail AND (e.xid, e.id) > (r.through_xid, r.after_id))
"""


@dataclass
class Mailroom:
    shop: Shop
    tasks: NoticeTasks

    def other(self, **chosen: Any) -> NoticeTasks:
        """The tasks of another worker, with settings of its own."""
        parts = self.shop.parts
        settings = parts.settings.model_copy(update=chosen)
        return mailing(parts.db, parts.vault, parts.clock, settings, parts.links)

    async def deliver(self) -> None:
        """One look of a worker: at what has happened, and at what is due."""
        await self.read_causes()
        await self.tasks.send()

    async def read_causes(self) -> None:
        """Have every event read that is committed.

        Transactions on other databases of the server, which is shared, hold the reader back.
        """
        for _ in range(LOOKS_MAX):
            await self.tasks.read_causes()
            async with self.shop.parts.db.connection() as connection:
                if not await connection.fetchval(UNREAD):
                    return
            await asyncio.sleep(0.02)
        raise AssertionError("the server never comes to rest")

    async def order(
        self, product: Product, quantity: int = 1, *, email: str | None = CUSTOMER, **facts: Any
    ) -> Placed:
        client_id = facts.pop("client_id", None) or await self.shop.client(minor=10_000_000)
        ask = self.shop.ask(client_id, product, quantity, email=email, **facts)
        return await self.shop.place_one(ask)

    async def configure(self, client_id: int, **facts: Any) -> None:
        async with self.shop.parts.db.transaction() as tx:
            chosen = NoticeSettings(client_id, **facts)
            await service.set_settings(tx, chosen, self.shop.now)

    async def notices(self, **narrow: Any) -> list[Notice]:
        """Oldest first."""
        async with self.shop.parts.db.connection() as connection:
            found = await service.find(connection, NoticeFilter(**narrow), 2**62, 1_000)
        return found[::-1]

    async def notice(self, **narrow: Any) -> Notice:
        [notice] = await self.notices(**narrow)
        return notice

    async def attempts(self, notice_id: int) -> list[Attempt]:
        async with self.shop.parts.db.connection() as connection:
            _, attempts = await service.read(connection, notice_id)
        return attempts

    async def pass_waits(self) -> None:
        """What waits for its next attempt is due now, and leases have ended."""
        async with self.shop.parts.db.transaction() as tx:
            await tx.execute(
                "UPDATE notices SET next_at = now(), leased_until = leased_until - interval '1 h'"
                " WHERE state = 'QUEUED'"
            )


@asynccontextmanager
async def open_mailroom(dsn: str, home: Path, port: int, **chosen: Any) -> AsyncIterator[Mailroom]:
    usual: dict[str, Any] = {
        "mail_host": "127.0.0.1",
        "mail_port": port,
        "mail_tls": "NONE",
        "mail_from": MAIL_FROM,
        "mail_timeout_s": 5.0,
        "mail_connections": 2,
    }
    async with open_shop(dsn, home, SystemClock(), **(usual | chosen)) as shop:
        parts = shop.parts
        tasks = mailing(parts.db, parts.vault, parts.clock, parts.settings, parts.links)
        yield Mailroom(shop, tasks)
