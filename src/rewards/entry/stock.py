"""`rewards pump` and `rewards stock import`: stock from the command line."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import typer
from rich.console import Console

from rewards.audit import service as audit
from rewards.audit.model import AuditFact
from rewards.catalog.catalog import Catalog
from rewards.core.actor import SYSTEM
from rewards.core.clock import SystemClock
from rewards.core.errors import Unavailable
from rewards.entry import database
from rewards.infra.changes import ChangeFeed
from rewards.infra.crypto import Vault
from rewards.infra.db import Database, Tx
from rewards.infra.settings import Settings
from rewards.inventory import service as inventory
from rewards.inventory.model import Batch, BatchState, Reject

LOADED, NOT_READ, SOME_REJECTED = 0, 1, 2
# More of them are at GET /admin/api/v1/inventory/batches/{id}/rejects.
REJECTS_SHOWN_MAX = 1_000
LOOK_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Store:
    """A database and the catalogue in it."""

    db: Database
    catalog: Catalog
    clock: SystemClock


@asynccontextmanager
async def _open_store(settings: Settings) -> AsyncIterator[Store]:
    db = await Database.connect(await database.app_dsn(settings), settings)
    feed = ChangeFeed(db)
    try:
        await feed.start()
        catalog = Catalog(db, feed)
        await catalog.load()
        yield Store(db, catalog, SystemClock())
    finally:
        await feed.stop()
        await db.close()


async def pump(settings: Settings) -> None:
    """Load waiting stock into the pool and print the report."""
    async with _open_store(settings) as store:
        report = await inventory.pump(store.db, store.catalog, store.clock)
        typer.echo(json.dumps(report.facts(), indent=2))


async def import_file(settings: Settings, path: Path, name: str) -> int:
    """Import a CSV or XLSX file as a batch, saying how far it is; the exit code.

    0: every row became a unit. 1: the file cannot be read, and what came before that place is
    loaded. 2: some rows were duplicate or invalid, each is named. Repeating it loads what is
    missing, since what is there is found as duplicate.
    """
    try:
        file = path.open("rb")
    except OSError as gone:
        typer.echo(f"{path}: {gone.strerror or 'cannot be read'}", err=True)
        return NOT_READ
    with file:
        async with _open_store(settings) as store:
            batch = await _import(store, settings, file, name or path.name)
            async with store.db.connection() as connection:
                rejects = await inventory.read_rejects(
                    connection, batch.batch_id, limit=REJECTS_SHOWN_MAX
                )
    return _report(batch, rejects)


async def _import(store: Store, settings: Settings, file: BinaryIO, name: str) -> Batch:
    vault = await Vault.open_database(store.db, settings)

    async def begin(tx: Tx) -> int:
        at = store.clock.now()
        batch_id = await inventory.open_import(tx, name, at)
        fact = AuditFact(
            SYSTEM, None, "batch.import_started", "batch", batch_id, {"name": name, "file": name}
        )
        await audit.record(tx, [fact], at)
        return batch_id

    batch_id = await store.db.run(begin)
    running = asyncio.create_task(
        inventory.run_import(store.db, vault, store.catalog, store.clock, batch_id, file)
    )
    # Only for eyes, and not worth the import: a pipe gets the report alone.
    with Console(stderr=True).status(f"batch {batch_id}: reading") as shown:
        while not (await asyncio.wait({running}, timeout=LOOK_EVERY_S))[0]:
            with suppress(Unavailable):
                batch = await inventory.read_batch(store.db, batch_id)
                shown.update(f"batch {batch_id}: {batch.rows_read:,} rows, {batch.loaded:,} loaded")
    return await running


def _report(batch: Batch, rejects: Sequence[Reject]) -> int:
    for reject in rejects:
        typer.echo(f"row {reject.row_number}: {reject.outcome}: {reject.reason}", file=sys.stderr)
    rejected = batch.duplicate + batch.invalid
    if rejected > len(rejects):
        typer.echo(f"and {rejected - len(rejects)} more rows", file=sys.stderr)
    counts = {"rows": batch.rows_read, "loaded": batch.loaded}
    counts |= {"duplicate": batch.duplicate, "invalid": batch.invalid}
    typer.echo(json.dumps({"batch_id": batch.batch_id, "state": batch.state, **counts}, indent=2))
    if batch.state is not BatchState.DONE:
        typer.echo(f"the file was not read to its end: {batch.error}", file=sys.stderr)
        return NOT_READ
    return SOME_REJECTED if rejected else LOADED
