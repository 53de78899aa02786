"""Stock: how fast a file of units comes in, and how fast the pump loads them into the pool."""

import csv
import io
from collections.abc import Iterable
from tempfile import TemporaryFile
from time import perf_counter
from typing import BinaryIO

from benchmarks.bench import Bench, WrongAnswers
from benchmarks.report import Figure
from benchmarks.world import WAREHOUSE, fresh_units, now
from rewards.catalog.catalog import Catalog
from rewards.core.clock import SystemClock
from rewards.infra.changes import ChangeFeed
from rewards.inventory import service as inventory
from rewards.inventory.model import NewUnit

UNITS = 50_000
HEADER = ("product_id", "denomination", "currency", "expires_at", "code", "pin")
LATER = "2099-12-31"


async def stock(bench: Bench) -> list[Figure]:
    """A CSV file read, checked, sealed and stored, then pumped; against TPC-B transactions."""
    world, clock = bench.world, SystemClock()
    yard = (await bench.yardstick()).per_second
    catalog = Catalog(world.db, ChangeFeed(world.db))
    await catalog.load()
    async with world.db.transaction() as tx:
        batch_id = await inventory.open_import(tx, "bench.csv", now())
    with TemporaryFile() as file:
        _write(file, fresh_units(WAREHOUSE, UNITS))
        began_s = perf_counter()
        batch = await inventory.run_import(world.db, world.vault, catalog, clock, batch_id, file)
        imported = UNITS / (perf_counter() - began_s)
    _expect(batch.loaded, batch.error or f"{batch.invalid} invalid, {batch.duplicate} duplicate")
    began_s = perf_counter()
    report = await inventory.pump(world.db, catalog, clock, [WAREHOUSE])
    pumped = UNITS / (perf_counter() - began_s)
    _expect(sum(shelf.loaded for shelf in report.shelves), "pumped")
    tps = "TPC-B/s, 8 clients"
    return [
        Figure("stock", "units imported from CSV", imported, "/s", yard, tps),
        Figure("stock", "units pumped", pumped, "/s", yard, tps),
    ]


def _write(file: BinaryIO, units: Iterable[NewUnit]) -> None:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    rows = csv.writer(text)
    rows.writerow(HEADER)
    for unit in units:
        rows.writerow((WAREHOUSE, "25.00", "USD", LATER, unit.fields["code"], unit.fields["pin"]))
    text.detach()
    file.seek(0)


def _expect(units: int, otherwise: str) -> None:
    if units != UNITS:
        raise WrongAnswers(f"{units} units of {UNITS}: {otherwise}")
