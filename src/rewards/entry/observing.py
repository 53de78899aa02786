"""What every process does besides its work, so that others can see how it is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from rewards.entry.figures import StoredFigures
from rewards.infra import lag
from rewards.infra.beats import GOODBYE_S, Heart, ProcessKind
from rewards.infra.db import Database
from rewards.infra.metrics import Gauge
from rewards.infra.readiness import Readiness
from rewards.infra.scraping import telling
from rewards.infra.settings import Settings

BUILD = Gauge(
    "build_info", "1 for the version that runs, and what this process is.", "version", "process"
)


@asynccontextmanager
async def observed(
    kind: ProcessKind,
    settings: Settings,
    db: Database,
    stored: StoredFigures,
    readiness: Readiness,
) -> AsyncIterator[None]:
    """Until the block ends: beat, watch how late the loop is, and answer at the port of the
    settings."""
    BUILD.set(1, version("starship-rewards"), kind.lower())
    ending = asyncio.Event()
    lagging = asyncio.create_task(lag.watch())
    beating = asyncio.create_task(Heart(db, kind).run(ending))
    try:
        async with telling(settings, stored.refresh, readiness):
            yield
    finally:
        lagging.cancel()
        ending.set()
        # A beat that a database which does not answer holds up is not waited for.
        await asyncio.wait({lagging, beating}, timeout=GOODBYE_S)
        beating.cancel()
        await stored.close()
        await readiness.close()
