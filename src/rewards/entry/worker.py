"""The worker process: its context is built here, and every slice adds its handlers to it."""

import asyncio
import signal
from collections.abc import Sequence

import structlog
import uvloop

from rewards.audit.sealing import AuditSealer, key_of
from rewards.catalog.catalog import Catalog
from rewards.claims.service import ClaimLinks
from rewards.core.clock import SystemClock
from rewards.entry import database, equipment
from rewards.entry.alerting import watching
from rewards.entry.delivering import delivering
from rewards.entry.equipment import Beside, Context, Equip
from rewards.entry.figures import StoredFigures, note_job
from rewards.entry.mailing import mailing
from rewards.entry.observing import observed
from rewards.entry.purchasing import purchasing
from rewards.infra import log, settings
from rewards.infra.beats import ProcessKind
from rewards.infra.changes import ChangeFeed
from rewards.infra.crypto import CHANGES_TOPIC as DATA_KEYS_TOPIC
from rewards.infra.crypto import Vault
from rewards.infra.db import Database
from rewards.infra.readiness import Part, Readiness, State
from rewards.infra.settings import Settings
from rewards.infra.worker import Worker
from rewards.pricing.service import Prices
from rewards.vendors.accounts import Accounts
from rewards.vendors.wire import open_session
from rewards.webhooks.sealing import Sealer

logger = structlog.get_logger()


def worker_of(context: Context) -> Worker:
    """One that is not equipped yet; what it does is counted."""
    settings = context.settings
    return Worker(context.dsn, settings, lease_s=settings.job_lease_s, observe=note_job)


async def work(
    context: Context,
    stop: asyncio.Event,
    equipped: Sequence[Equip],
    beside: Sequence[Beside] = (),
    worker: Worker | None = None,
) -> None:
    """Do jobs, and beside them what is no job, until `stop` is set; then end within ten seconds.

    Raises JobsUnhandled when the equipment lacks a handler for a declared name. What one of them
    raises ends them all: a worker that does half of its work looks alive.
    """
    worker = worker or worker_of(context)
    for equip in equipped:
        equip(worker, context)
    parts: Sequence[Beside] = (worker.run, *beside)
    running = [asyncio.create_task(part(stop)) for part in parts]
    ready = asyncio.create_task(worker.ready.wait())
    try:
        await asyncio.wait({*running, ready}, return_when=asyncio.FIRST_COMPLETED)
        if ready.done():
            logger.info("worker_ready")
        await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ready.cancel()
        stop.set()
        await asyncio.wait(running)
    for task in running:
        task.result()
    logger.info("worker_stopped")


async def run(chosen: Settings) -> None:
    """A worker on the configured database, or the embedded one, until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    dsn = await database.app_dsn(chosen)
    db = await Database.connect(dsn, chosen)
    feed = ChangeFeed(db)
    catalog = Catalog(db, feed)
    prices = Prices(db, feed, chosen)
    session = open_session()
    try:
        vault = await Vault.open_database(db, chosen)
        links = ClaimLinks(vault, chosen)
        accounts = Accounts(db, vault, feed, chosen, SystemClock(), session)
        bought = purchasing(db, catalog, vault, accounts, prices, SystemClock(), chosen)
        feed.subscribe(DATA_KEYS_TOPIC, lambda _: vault.refresh())
        await feed.start()
        await catalog.load()
        await prices.load()
        equipped = (
            equipment.retention,
            equipment.orders,
            equipment.stock(catalog),
            equipment.second_persons(bought.restocks),
            equipment.reports(catalog),
            equipment.rates(catalog),
            equipment.vendors(accounts),
            equipment.purchases(bought),
            equipment.reconciliation(accounts),
            equipment.events,
            equipment.claim_links(links),
            equipment.notices(mailing(db, vault, SystemClock(), chosen, links)),
            equipment.caches,
        )
        context = Context(chosen, dsn, db, SystemClock())
        worker = worker_of(context)
        figures = StoredFigures(db, catalog, context.clock)
        looks = {Part.JOBS: lambda: State.OK if worker.ready.is_set() else State.AWAY}
        readiness = Readiness(db, feed, looks, worker_silent_s=chosen.alert_worker_silent_s)
        async with (
            delivering(dsn, chosen, vault, feed, context.clock) as sender,
            observed(ProcessKind.WORKER, chosen, db, figures, readiness),
            watching(db, chosen, context.clock, bought.restocks),
        ):
            trail = AuditSealer(db, context.clock, key_of(vault))
            beside = (Sealer(db, context.clock).run, trail.run, sender.run)
            await work(context, stop, equipped, beside, worker)
    finally:
        await feed.stop()
        await session.close()
        await db.close()


def main() -> None:
    log.configure()
    uvloop.run(run(settings.from_environment()))


if __name__ == "__main__":
    main()
