"""The pump: validates what waits on the shelf and loads it into the pool (spec.md §4)."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from rewards.core.clock import Clock
from rewards.infra.db import Database, Tx
from rewards.inventory import sql, sql_pump, sql_shelves
from rewards.inventory.model import (
    BlockReason,
    Products,
    PumpReport,
    ShelfKey,
    ShelfPumped,
)

# Each chunk is one short transaction.
CHUNK_UNITS = 2_000
CHUNKS_MAX = 10_000
COUNTED_MAX = 1_000_000
SHELVES_MAX = 100_000
LIFE_DAYS_MAX = 36_500


async def pump(
    db: Database, products: Products, clock: Clock, product_ids: Sequence[int] | None = None
) -> PumpReport:
    """Fill the pool of these products, or of all, up to each product's target a shelf.

    First what is expired, or has less than the product's minimum life left, is blocked, loaded or
    not. Then the waiting units that end first are loaded; those of a blocked or recalled batch are
    blocked instead. It skips what others hold and never makes a sale wait. Two pumps at once share
    the work: a shelf that another one has at this moment is left to it (`busy`).

    `report.arrived` are the shelves that got stock, for whoever tells waiting orders of it
    (`orders.stock_arrived`). Inactive products are swept but not loaded.
    """
    async with db.connection() as connection:
        shelves = await sql_shelves.find(connection, sql_shelves.FOR_SALE, SHELVES_MAX)
    done = [
        await _pump_shelf(db, products, clock, shelf)
        for shelf in shelves
        if product_ids is None or shelf.product_id in product_ids
    ]
    return PumpReport(clock.now(), done)


async def _pump_shelf(
    db: Database, products: Products, clock: Clock, shelf: ShelfKey
) -> ShelfPumped:
    product = products.product(shelf.product_id)
    days = min(product.minimum_life_days, LIFE_DAYS_MAX) if product else 0
    target = product.pool_target if product and product.active else 0
    did = ShelfPumped(shelf, target)
    for loaded in (True, False):
        for _ in range(CHUNKS_MAX):
            work = partial(_sweep, shelf, clock.now(), timedelta(days=days), loaded)
            found, expired, short_lived = await db.run(work)
            did.expired += expired
            did.short_lived += short_lived
            if found < CHUNK_UNITS:
                break
    for _ in range(CHUNKS_MAX):
        chunk = await db.run(partial(_load, did.shelf, target, clock.now(), timedelta(days=days)))
        if chunk is None:
            did.busy = True
            break
        did.loaded += chunk.loaded
        did.held_back += chunk.held_back
        if not chunk.more:
            break
    async with db.connection() as connection:
        [left] = await sql_shelves.count_units(connection, [shelf], [COUNTED_MAX], clock.now())
    did.depth, did.waiting = left.loaded, left.waiting
    return did


async def _sweep(
    shelf: ShelfKey, now: datetime, life: timedelta, loaded: bool, tx: Tx
) -> tuple[int, int, int]:
    """Block a chunk of what ends too soon; how many were found, expired, and short of life."""
    found = await sql_pump.pick_ending(tx, shelf, now + life, CHUNK_UNITS, loaded=loaded)
    over = [unit_id for unit_id, end in found if end <= now]
    short = [unit_id for unit_id, end in found if end > now]
    expired = await sql.block_units(tx, over, BlockReason.EXPIRED, now) if over else ()
    short_lived = await sql.block_units(tx, short, BlockReason.SHORT_LIFE, now) if short else ()
    return len(found), len(expired), len(short_lived)


class _Chunk(NamedTuple):
    loaded: int
    held_back: int
    more: bool


async def _load(
    shelf: ShelfKey, target: int, now: datetime, life: timedelta, tx: Tx
) -> _Chunk | None:
    """Load a chunk; None when another pump has the shelf."""
    if not await sql_pump.lock_shelf(tx, shelf):
        return None
    [depth] = await sql.count_pool(tx, [shelf], [target], now)
    want = min(CHUNK_UNITS, target - depth)
    if want <= 0:
        return _Chunk(0, 0, more=False)
    sound, unsound = await sql_pump.pick_waiting(tx, shelf, now + life, want)
    loaded = await sql_pump.load_units(tx, sound) if sound else 0
    held_back = await sql.block_units(tx, unsound, BlockReason.BATCH, now) if unsound else ()
    return _Chunk(loaded, len(held_back), more=len(sound) + len(unsound) == want)
