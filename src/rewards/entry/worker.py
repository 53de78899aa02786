"""The worker process: its context is built here, and every slice adds its handlers to it."""

import asyncio
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias

import structlog
import uvloop

from rewards.core.clock import Clock, SystemClock
from rewards.infra import idempotency, jobs, log, settings
from rewards.infra.db import Database
from rewards.infra.postgres import ensure_server
from rewards.infra.settings import Settings
from rewards.infra.worker import Worker

logger = structlog.get_logger()

RETENTION = jobs.declare("infra.retention")
RETENTION_EVERY_S = 3_600
JOB_LOG_KEPT = timedelta(days=7)
FORGET_ROUND_MAX = 100


@dataclass(frozen=True, slots=True)
class Context:
    """What handlers are built with. `db` is theirs; the queue has connections of its own."""

    settings: Settings
    dsn: str
    db: Database
    clock: Clock


# Registers a slice's handlers and schedules.
Equip: TypeAlias = Callable[[Worker, Context], None]


def retention(worker: Worker, context: Context) -> None:
    """Forget what nobody may ask for any more: job logs after 7 days, replays after 30."""

    async def forget(_payloads: Sequence[Mapping[str, Any]]) -> None:
        now = context.clock.now()
        for _ in range(FORGET_ROUND_MAX):
            async with context.db.transaction() as tx:
                if not await jobs.forget(tx, now - JOB_LOG_KEPT):
                    break
        async with context.db.transaction() as tx:
            await idempotency.forget(tx, now - idempotency.KEPT_FOR)

    worker.register(RETENTION, forget)
    worker.schedule(RETENTION, RETENTION_EVERY_S)


EQUIPMENT: tuple[Equip, ...] = (retention,)


async def work(
    context: Context, stop: asyncio.Event, equipment: Sequence[Equip] = EQUIPMENT
) -> None:
    """Do jobs until `stop` is set, then end within ten seconds; the API's `--with-worker` too.

    Raises JobsUnhandled when the equipment lacks a handler for a declared name.
    """
    worker = Worker(context.dsn, context.settings)
    for equip in equipment:
        equip(worker, context)
    running = asyncio.create_task(worker.run(stop))
    ready = asyncio.create_task(worker.ready.wait())
    try:
        await asyncio.wait({running, ready}, return_when=asyncio.FIRST_COMPLETED)
        if ready.done():
            logger.info("worker_ready")
        await running
    finally:
        ready.cancel()
        stop.set()
        await asyncio.wait({running})
    logger.info("worker_stopped")


async def run(chosen: Settings) -> None:
    """A worker on the configured database, or the embedded one, until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    dsn = chosen.database_url.get_secret_value()
    if not dsn:
        dsn = (await ensure_server(chosen.home)).app_dsn
    db = await Database.connect(dsn, chosen)
    try:
        await work(Context(chosen, dsn, db, SystemClock()), stop)
    finally:
        await db.close()


def main() -> None:
    log.configure()
    uvloop.run(run(settings.from_environment()))


if __name__ == "__main__":
    main()
