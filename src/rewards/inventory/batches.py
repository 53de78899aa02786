"""Batches of units: where they came from, and taking a whole one off the shelf."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from rewards.infra import jobs
from rewards.infra.crypto import KeyUnknown, Vault
from rewards.infra.db import Database, Tx
from rewards.infra.jobs import JobAsk
from rewards.inventory import sql, sql_batches
from rewards.inventory.model import (
    Batch,
    BatchClosed,
    BatchNotFound,
    BatchSource,
    BatchState,
    BatchStatus,
    BlockReason,
    UnitState,
)
from rewards.inventory.units import PLACE, block, unblock

BLOCK_JOB = jobs.declare("inventory.block_batch")
CHUNK_UNITS = 1_000
# A sale of one of these waits meanwhile.
RESEAL_UNITS = 200
CHUNKS_MAX = 100_000


async def open_batch(
    tx: Tx, source: BatchSource, name: str, now: datetime, staff_id: int | None = None
) -> int:
    """A batch that is no file: one vendor purchase, or what the sandbox mints. Returns its id.

    Its counts stay zero: they are the report of a file, and would make one row hot for all who
    add to it.
    """
    return await sql_batches.open_batch(tx, source, name, BatchState.DONE, staff_id, now)


async def list_batches(tx: Tx, before_id: int = 2**63 - 1, limit: int = 50) -> list[Batch]:
    """Newest first; the next page begins before the last one's id."""
    return await sql_batches.list_batches(tx, before_id, limit)


async def batch_units(
    tx: Tx,
    batch_id: int,
    states: Sequence[UnitState] = tuple(UnitState),
    after_id: int = 0,
    limit: int = 1000,
) -> list[tuple[int, UnitState]]:
    """The units of a batch in these states by id, a page at a time: a recall asks who has them."""
    return await sql_batches.batch_units(tx, batch_id, after_id, states, limit)


async def count_units(tx: Tx, batch_id: int) -> dict[UnitState, int]:
    """How many units of the batch are in which state; states that none is in are left out."""
    return await sql_batches.count_units(tx, batch_id)


async def sold_from(tx: Tx, batch_id: int, unit_ids: Sequence[int]) -> set[int]:
    """Those of these units that came with the batch and belong to an item of an order now."""
    return await sql_batches.sold_from(tx, batch_id, unit_ids)


async def block_batch(db: Database, batch_id: int, now: datetime, *, recall: bool = False) -> int:
    """Take every unit of a batch that is not sold off the shelf; returns how many this call took.

    From its first transaction on no pump loads one of them; when it returns none is for sale. Safe
    to run again after a kill. `recall` is for good. Raises BatchNotFound, BatchClosed (recalled).
    """
    status = BatchStatus.RECALLED if recall else BatchStatus.BLOCKED
    async with db.transaction() as tx:
        await set_batch_status(tx, batch_id, status, now)
    return await block_unsold(db, batch_id, now)


def block_job(batch_id: int) -> JobAsk:
    """Has a worker block what is left unsold of a batch that is out of sale."""
    return JobAsk(BLOCK_JOB, {"batch_id": batch_id})


async def block_unsold(db: Database, batch_id: int, now: datetime) -> int:
    """Block the unsold units of a batch that is out of sale; how many this call blocked.

    Stops where somebody opens the batch again meanwhile. Safe to run again after a kill.
    """
    blocked, after_id = 0, 0
    for _ in range(CHUNKS_MAX):
        async with db.transaction() as tx:
            if await sql_batches.hold_status(tx, batch_id) in (None, BatchStatus.OPEN):
                break
            states = (UnitState.AVAILABLE,)
            units = await batch_units(tx, batch_id, states, after_id, CHUNK_UNITS)
            if not units:
                break
            unit_ids = [unit_id for unit_id, _ in units]
            blocked += sum(await block(tx, unit_ids, BlockReason.BATCH, now))
            after_id = unit_ids[-1]
    return blocked


async def unblock_batch(db: Database, batch_id: int, now: datetime) -> int:
    """Open a blocked batch again; what was blocked for its sake waits for the next pump.

    Units that were blocked for a reason of their own stay so. Returns how many came back. Raises
    BatchNotFound, and BatchClosed for a recalled batch.
    """
    async with db.transaction() as tx:
        await set_batch_status(tx, batch_id, BatchStatus.OPEN, now)
    back, after_id = 0, 0
    for _ in range(CHUNKS_MAX):
        async with db.transaction() as tx:
            states = (UnitState.BLOCKED,)
            units = await batch_units(tx, batch_id, states, after_id, CHUNK_UNITS)
            if not units:
                break
            unit_ids = [unit_id for unit_id, _ in units]
            mine = await sql_batches.blocked_by_batch(tx, unit_ids)
            back += sum(await unblock(tx, mine))
            after_id = unit_ids[-1]
    return back


async def set_batch_status(tx: Tx, batch_id: int, status: BatchStatus, now: datetime) -> bool:
    """From its commit on no pump loads a unit of a batch that is not OPEN; none is moved by it.

    Whether that changed it: having the status already is no change. Raises BatchNotFound,
    BatchClosed (recalled).
    """
    if await sql_batches.set_batch_status(tx, [batch_id], status, now):
        return True
    known = (await sql_batches.read_batches(tx, [batch_id])).get(batch_id)
    if known is None:
        raise BatchNotFound
    if known.status is not status:
        raise BatchClosed
    return False


async def reseal(db: Database, vault: Vault, after_id: int = 0) -> int:
    """Seal every unit that is under a rotated data key anew, in order of id; returns how many.

    Sales go on: it holds few units for a moment and skips those that others hold, so run it until
    it returns 0; a run that was killed is simply run again. Once every process has learned the new
    key and it returns 0, no unit is under an old one.
    """
    await vault.refresh()
    done = 0
    for _ in range(CHUNKS_MAX):
        try:
            moved, last_id = await db.run(partial(_reseal_chunk, vault, after_id))
        except KeyUnknown:
            # Another process began a newer key since. It is learned while no unit is held: who
            # has locks waits for no second connection.
            await vault.refresh()
            moved, last_id = await db.run(partial(_reseal_chunk, vault, after_id))
        if last_id is None:
            break
        done, after_id = done + moved, last_id
    await vault.refresh()
    return done


async def _reseal_chunk(vault: Vault, after_id: int, tx: Tx) -> tuple[int, int | None]:
    """How many were sealed anew, and the last that was looked at; None when there are no more."""
    units = await sql.stale_units(tx, after_id, vault.active_header(PLACE), RESEAL_UNITS)
    if not units:
        return 0, None
    fresh = [
        (unit_id, vault.seal(PLACE, unit_id, vault.open(PLACE, unit_id, sealed)))
        for unit_id, sealed in units
    ]
    return await sql.reseal_units(tx, fresh), units[-1][0]
