"""`rewards pump`: stock from the command line."""

import json

import typer

from rewards.catalog.catalog import Catalog
from rewards.core.clock import SystemClock
from rewards.entry import database
from rewards.infra.changes import ChangeFeed
from rewards.infra.db import Database
from rewards.infra.settings import Settings
from rewards.inventory import service as inventory


async def pump(settings: Settings) -> None:
    """Load waiting stock into the pool and print the report."""
    db = await Database.connect(await database.app_dsn(settings), settings)
    feed = ChangeFeed(db)
    try:
        await feed.start()
        catalog = Catalog(db, feed)
        await catalog.load()
        report = await inventory.pump(db, catalog, SystemClock())
        typer.echo(json.dumps(report.facts(), indent=2))
    finally:
        await feed.stop()
        await db.close()
