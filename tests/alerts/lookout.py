"""A shop with its watch, and two ears: an SMTP server and a receiver of webhooks."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from uuid import uuid4

from rewards.alerts import sql
from rewards.alerts.model import Alert, AlertFilter, AlertKind
from rewards.alerts.watch import Watch
from rewards.core.clock import Clock
from rewards.entry.alerting import watch_of
from rewards.infra.http import ID_MAX
from tests.notices.postoffice import PostOffice, post_office
from tests.shop import Shop, open_shop
from tests.webhooks.receiver import Heard, Receiver, receiving

PEOPLE = ("night@example.com", "day@example.com")
KEY = b"k" * 32
SECRET = "whsec_" + base64.b64encode(KEY).decode()
HOOK = "staff"


@dataclass
class Lookout:
    """`look` is a whole turn of the watch."""

    shop: Shop
    watch: Watch
    office: PostOffice
    receiver: Receiver

    async def look(self, *, slow: bool = False) -> None:
        """Read, decide, write, and tell what is due, whosever turn it is."""
        turn = uuid4()
        await self.write("UPDATE alert_watch SET turn = $1", turn)
        assert await self.watch.look(turn, slow=slow) is not None
        await self.watch.teller.tell_due()

    async def write(self, query: str, *values: object) -> None:
        async with self.shop.parts.db.transaction() as tx:
            await tx.execute(query, *values)

    async def rows(self, query: str) -> list[Any]:
        async with self.shop.parts.db.connection() as connection:
            return list(await connection.fetch(query))

    async def alerts(
        self, kind: AlertKind | None = None, *, still: bool | None = None
    ) -> list[Alert]:
        """Oldest first."""
        async with self.shop.parts.db.connection() as connection:
            found = await sql.find(connection, AlertFilter(kind, still), ID_MAX, 100)
        return found[::-1]

    async def tellings(self) -> list[tuple[str, str, str]]:
        """What, by which channel, and how it stands, in the order they were queued."""
        found = await self.rows("SELECT what, channel, state FROM alert_tellings ORDER BY id")
        return [tuple(row) for row in found]

    def mails(self) -> list[EmailMessage]:
        return self.office.taken

    def posts(self) -> list[Heard]:
        return self.receiver.heard[HOOK]


@asynccontextmanager
async def open_lookout(
    dsn: str, home: Path, clock: Clock | None = None, **chosen: Any
) -> AsyncIterator[Lookout]:
    """Nobody but those who look is at work: a worker that beats is put there for them."""
    async with post_office() as office, receiving() as receiver:
        usual: dict[str, Any] = {
            "mail_host": "127.0.0.1",
            "mail_port": office.port,
            "mail_tls": "NONE",
            "mail_timeout_s": 2.0,
            "mail_from": "alerts@rewards.example",
            "alert_mail_to": PEOPLE,
            "alert_webhook_url": receiver.url(HOOK),
            "alert_webhook_secret": SECRET,
        }
        async with open_shop(dsn, home, clock, **(usual | chosen)) as shop:
            parts = shop.parts
            async with watch_of(parts.db, parts.settings, parts.clock, parts.restocks) as watch:
                lookout = Lookout(shop, watch, office, receiver)
                await lookout.write(
                    "INSERT INTO process_beats (id, kind, host, pid, version, started_at, beat_at)"
                    " VALUES (gen_random_uuid(), 'WORKER', 'here', 1, '0',"
                    " now() - interval '1 h', now() + interval '1 h')"
                )
                for state in ("event_sealing", "audit_sealing"):
                    await lookout.write(f"UPDATE {state} SET sealed = pg_current_snapshot()")
                yield lookout
