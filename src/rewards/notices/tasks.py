"""What the worker does for notices; each may run twice, and be killed at any point."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from rewards.core.clock import Clock
from rewards.infra.crypto import Vault
from rewards.infra.db import Database, Tx
from rewards.infra.settings import Settings
from rewards.notices import service, sql
from rewards.notices.composing import ClaimLinks, Composer
from rewards.notices.relay import Relay
from rewards.notices.sending import BATCH_MAX, LEASE_SLACK_S, Sending

# Transactions of one run; the next run goes on.
ROUND_MAX = 100
# As long as events are kept; addresses are people's.
KEPT = timedelta(days=90)
FORGET_MAX = 1_000


@dataclass(frozen=True, slots=True)
class NoticeTasks:
    """The tasks of one worker process."""

    db: Database
    clock: Clock
    settings: Settings
    sending: Sending

    @classmethod
    def over(
        cls, db: Database, vault: Vault, clock: Clock, settings: Settings, links: ClaimLinks
    ) -> "NoticeTasks":
        """With the relay of the settings; none where they name none."""
        sending = Sending(
            db,
            clock,
            Composer(db, vault, clock, settings, links),
            Relay(settings) if settings.mail_host else None,
            settings.mail_connections,
            BATCH_MAX * settings.mail_timeout_s + settings.mail_connect_s + LEASE_SLACK_S,
        )
        return cls(db, clock, settings, sending)

    async def read_causes(self) -> None:
        """Queue notices of what has happened; those that tell of it are sent by another job."""

        async def work(tx: Tx) -> bool:
            return await service.read_causes(tx, self.settings, self.clock.now())

        for _ in range(ROUND_MAX):
            if not await self.db.run(work):
                break

    async def read_endpoints(self) -> None:
        """Queue notices of endpoints that have failed for long, or were switched off."""
        after_id: int | None = 0

        async def work(tx: Tx) -> int | None:
            assert after_id is not None
            return await service.read_endpoints(tx, self.settings, after_id, self.clock.now())

        for _ in range(ROUND_MAX):
            after_id = await self.db.run(work)
            if after_id is None:
                break

    async def send(self) -> int:
        """Send what is due; how many were tried."""
        return await self.sending.send_due()

    async def forget(self) -> None:
        """Drop notices that ended 90 days ago, and where they went."""
        for _ in range(ROUND_MAX):
            before = self.clock.now() - KEPT
            if not await self.db.run(partial(_forget, before)):
                break


async def _forget(before: datetime, tx: Tx) -> int:
    return await sql.forget(tx, before, FORGET_MAX)
