"""Puts the watch of a process together, and keeps it going beside what the process does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from rewards.alerts import telling
from rewards.alerts.readings import Readings
from rewards.alerts.telling import Teller
from rewards.alerts.watch import Watch
from rewards.core.clock import Clock
from rewards.infra.db import Database
from rewards.infra.outbound import Poster
from rewards.infra.settings import Settings
from rewards.infra.targets import Targets
from rewards.notices.relay import Relay
from rewards.restocks.service import Restocks

log = structlog.get_logger()

# After a bug the next look comes so much later.
BROKEN_S = 60.0
# A look that is under way when the process ends.
STOP_S = 0.5


@asynccontextmanager
async def watch_of(
    db: Database, settings: Settings, clock: Clock, restocks: Restocks
) -> AsyncIterator[Watch]:
    """Looks and tells with the relay and the webhook of the settings, until the block ends.

    Where staff are told is for whoever runs this to say, so that it may be within their network.
    Raises ValueError for a webhook without a secret.
    """
    telling.check(settings)
    relay = Relay(settings) if settings.mail_host else None
    async with Poster(Targets(local=True)) as poster:
        teller = Teller(db, clock, settings, poster, relay)
        yield Watch(db, clock, settings, Readings(db, settings, clock, restocks), teller)


@asynccontextmanager
async def watching(
    db: Database, settings: Settings, clock: Clock, restocks: Restocks
) -> AsyncIterator[None]:
    """Watch in the background until the block ends."""
    stop = asyncio.Event()
    async with watch_of(db, settings, clock, restocks) as watch:
        running = asyncio.create_task(_keep(watch, stop))
        try:
            yield
        finally:
            stop.set()
            _, late = await asyncio.wait({running}, timeout=STOP_S)
            for task in late:
                task.cancel()
            # A database that does not answer may hold up even that; a killed look loses nothing.
            await asyncio.wait({running}, timeout=STOP_S)


async def _keep(watch: Watch, stop: asyncio.Event) -> None:
    """A bug in a look ends neither the process nor the watch."""
    while not stop.is_set():
        try:
            await watch.run(stop)
        except Exception:
            log.exception("watch_broke")
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), BROKEN_S)
