"""Imports stock files: rows in, units and a report out (spec.md §4)."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import BinaryIO

from rewards.core.clock import Clock
from rewards.core.errors import Unavailable
from rewards.infra.crypto import Vault
from rewards.infra.db import Database, Tx
from rewards.inventory import files, sql_batches
from rewards.inventory.model import (
    Batch,
    BatchClosed,
    BatchNotFound,
    BatchSource,
    BatchState,
    FileRefused,
    NewUnit,
    Products,
    Reject,
    RowProblem,
    UnitState,
)
from rewards.inventory.rows import RowReader
from rewards.inventory.units import add_units

CHUNK_ROWS = 2_000
ROWS_MAX = 5_000_000
# An import moves its batch with every chunk, which takes a tenth of a second.
DEAD_AFTER = timedelta(minutes=5)
TWICE = "the product has this code already"
INTERRUPTED = "the import was interrupted; import the same file again to load the rest"


@dataclass(slots=True)
class _Chunk:
    units: list[NewUnit] = field(default_factory=list)
    row_numbers: list[int] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.units) + len(self.rejects)


async def open_import(
    tx: Tx,
    name: str,
    now: datetime,
    staff_id: int | None = None,
    rows_expected: int | None = None,
) -> int:
    """A batch for one file, IMPORTING from now on; returns its id, under which to watch it.

    `rows_expected`: about how many rows come, where that is known; it decides nothing.
    """
    source, state = BatchSource.FILE, BatchState.IMPORTING
    return await sql_batches.open_batch(tx, source, name, state, staff_id, now, rows_expected)


async def run_import(
    db: Database,
    vault: Vault,
    products: Products,
    clock: Clock,
    batch_id: int,
    file: BinaryIO,
) -> Batch:
    """Read a CSV or XLSX file into an open batch; returns the batch as it ended.

    Each chunk of rows is one transaction with its units, rejects and counts, so the progress can be
    watched and what was counted is stored. Units arrive AVAILABLE and wait for a pump. A file that
    cannot be read leaves the batch FAILED with the reason in `error`. Killed half-way, the batch is
    FAILED by `fail_dead_imports`; the same file in a new batch then loads the rest, since what is
    there already is found as DUPLICATE. Raises BatchNotFound, and BatchClosed when the batch is not
    importing (any more).

    `file` must be seekable and is not closed; it holds codes in the clear, so give an unlinked or
    short-lived temporary file.
    """
    batch = await read_batch(db, batch_id)
    if batch.state is not BatchState.IMPORTING:
        raise BatchClosed
    now = clock.now()
    error: str | None = INTERRUPTED
    try:
        reading = files.rows(file)
        reader = await asyncio.to_thread(_read_header, reading, products, now)
        await _load(db, vault, clock, batch_id, reader, reading)
        error = None
    except FileRefused as refused:
        error = refused.message
    finally:
        state = BatchState.FAILED if error else BatchState.DONE
        # Without a database the sweeper will do it.
        with suppress(Unavailable):
            await _finish(db, vault, batch_id, state, error, clock.now())
    return await read_batch(db, batch_id)


async def read_batch(db: Database, batch_id: int) -> Batch:
    """A batch and its counts, which grow while it is imported. Raises BatchNotFound."""
    async with db.connection() as connection:
        found = await sql_batches.read_batches(connection, [batch_id])
    if batch_id not in found:
        raise BatchNotFound
    return found[batch_id]


async def fail_dead_imports(tx: Tx, now: datetime) -> list[int]:
    """Give up the batches whose import has not moved for DEAD_AFTER; their ids."""
    return await sql_batches.fail_dead_imports(tx, now, now - DEAD_AFTER, INTERRUPTED)


async def read_rejects(
    tx: Tx, batch_id: int, after_row: int = 0, limit: int = 1000
) -> list[Reject]:
    """The rows that did not become units, by row number; every other row was loaded."""
    return await sql_batches.read_rejects(tx, batch_id, after_row, limit)


async def _finish(
    db: Database,
    vault: Vault,
    batch_id: int,
    state: BatchState,
    error: str | None,
    now: datetime,
) -> None:
    async with db.transaction() as tx:
        await sql_batches.finish_batch(tx, batch_id, state, error, now)
    # Stores how much the data key has sealed.
    await vault.refresh()


def _read_header(reading: Iterator[files.Row], products: Products, now: datetime) -> RowReader:
    first = next(reading, None)
    if first is None:
        raise FileRefused("the file is empty")
    _, cells = first
    if isinstance(cells, RowProblem):
        raise FileRefused(f"the header has {cells}")
    return RowReader(cells, products, now)


def _read_chunk(reading: Iterator[files.Row], reader: RowReader) -> _Chunk:
    chunk = _Chunk()
    for number, cells in reading:
        if number > ROWS_MAX:
            raise FileRefused(f"the file has more than {ROWS_MAX} rows")
        try:
            if isinstance(cells, RowProblem):
                raise cells
            chunk.units.append(reader.unit(cells))
            chunk.row_numbers.append(number)
        except RowProblem as problem:
            chunk.rejects.append(Reject(number, "INVALID", str(problem)))
        if len(chunk) == CHUNK_ROWS:
            break
    return chunk


async def _load(
    db: Database,
    vault: Vault,
    clock: Clock,
    batch_id: int,
    reader: RowReader,
    reading: Iterator[files.Row],
) -> None:
    """Store one chunk while the next is read: parsing and PostgreSQL work side by side."""
    chunk = await asyncio.to_thread(_read_chunk, reading, reader)
    while len(chunk):
        # Both are waited for, so that nobody closes the file under the thread.
        stored, ahead = await asyncio.gather(
            db.run(partial(_store, vault, batch_id, chunk, clock.now())),
            asyncio.to_thread(_read_chunk, reading, reader),
            return_exceptions=True,
        )
        if isinstance(stored, BaseException):
            raise stored
        if isinstance(ahead, BaseException):
            raise ahead
        chunk = ahead


async def _store(vault: Vault, batch_id: int, chunk: _Chunk, now: datetime, tx: Tx) -> None:
    await sql_batches.lock_products(tx, sorted({unit.shelf.product_id for unit in chunk.units}))
    added = await add_units(tx, vault, batch_id, chunk.units, UnitState.AVAILABLE, now)
    rejects = chunk.rejects + [
        Reject(number, "DUPLICATE", TWICE)
        for one, number in zip(added, chunk.row_numbers, strict=True)
        if not isinstance(one, int)
    ]
    loaded = len(chunk) - len(rejects)
    going = await sql_batches.move_on(tx, batch_id, loaded=loaded, rejects=rejects, now=now)
    if not going:
        raise BatchClosed
