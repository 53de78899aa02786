"""Taking units from the pool: the hot path of an order (spec.md §4, D10)."""

from collections.abc import Sequence
from datetime import datetime

from rewards.catalog.model import ShelfKey
from rewards.core.clock import Clock
from rewards.infra.db import Database, Tx
from rewards.inventory import sql, sql_shelves
from rewards.inventory.hints import PoolHints
from rewards.inventory.model import Need, Picked, Taken, asked, deal

# What one call may ask for: a full desk batch of the largest realtime orders.
UNITS_MAX = 100_000
DEPTH_MAX = 10_000


async def allocate(
    tx: Tx, needs: Sequence[Need], now: datetime, hints: PoolHints | None = None
) -> list[list[Taken]]:
    """Take units for each need, in order of asking, first-expiring-first; DELIVERED from now on.

    Answers one list for each need: as many units as it asked, fewer (or none) where the pool is
    short, none where it is short and the need wants all or nothing. Never an expired unit, never
    one that another transaction holds: those are skipped, not waited for. Two statements whatever
    the needs, one when nothing was picked, one more when a hint was stale.

    `hints`: one PoolHints a process and database, kept by whoever allocates all day; without it
    each pick walks over the dead entries of all sales since the last vacuum.
    """
    asks = asked(needs)
    if not asks:
        return []
    assert sum(asks.values()) <= UNITS_MAX, "a batch has a limit"
    picked = await _pick(tx, asks, now, hints)
    hands = deal(picked, needs)
    if hints is not None:
        # What was picked and not dealt stays in front of the next pick.
        for need, hand in zip(needs, hands, strict=True):
            if hand:
                hints.moved(need.shelf, hand[-1])
    unit_ids = [unit.unit_id for hand in hands for unit in hand]
    if not unit_ids:
        return [[] for _ in needs]
    sealed = await sql.take_units(tx, unit_ids)
    assert len(sealed) == len(unit_ids), "a locked shelf row is an available unit"
    return [[Taken(unit_id, at, sealed[unit_id]) for unit_id, at in hand] for hand in hands]


async def _pick(
    tx: Tx, asks: dict[ShelfKey, int], now: datetime, hints: PoolHints | None
) -> dict[ShelfKey, list[Picked]]:
    if hints is None:
        return await sql.pick_units(tx, asks, [None] * len(asks), now)
    places = [hints.after(shelf, now) for shelf in asks]
    picked = await sql.pick_units(tx, asks, places, now)
    stale = {}
    for (shelf, quantity), place in zip(asks.items(), places, strict=True):
        if place is not None and len(picked[shelf]) < quantity:
            stale[shelf] = quantity
            hints.forget(shelf)
    if stale:
        # What the first try locked is ours and is found again, so the second answer replaces it.
        picked |= await sql.pick_units(tx, stale, [None] * len(stale), now)
    return picked


async def depth(
    tx: Tx, keys: Sequence[ShelfKey], now: datetime, count_max: int | Sequence[int] = DEPTH_MAX
) -> list[int]:
    """Units that `allocate` could take from each shelf now, counted up to `count_max`: one for
    all of them, or one for each.

    The same predicate as placing uses; rows another transaction holds at this moment are counted.
    """
    most = [count_max] * len(keys) if isinstance(count_max, int) else count_max
    return await sql.count_pool(tx, keys, most, now) if keys else []


async def product_depth(
    tx: Tx, product_ids: Sequence[int], now: datetime, count_max: int = 1
) -> list[int]:
    """Like `depth`, over all shelves of each product; by default only whether there is one unit."""
    return await sql.count_product_pool(tx, product_ids, now, count_max) if product_ids else []


async def depths(
    tx: Tx, known: Sequence[ShelfKey], now: datetime, limit: int
) -> dict[ShelfKey, int]:
    """The depth of these shelves, and of others that have units in the pool; at most `limit`.

    Counted up to DEPTH_MAX: for a look every few seconds, however large the pool is.
    """
    keys = list(dict.fromkeys([*known, *await sql_shelves.find(tx, sql_shelves.IN_POOL, limit)]))[
        :limit
    ]
    return dict(zip(keys, await depth(tx, keys, now), strict=True))


class PoolReader:
    """The depth of the pool for whoever has no transaction: the catalogue's `delivery_time`."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def depth(self, keys: Sequence[ShelfKey]) -> list[int]:
        """Units ready for sale for each key, in order, counted up to DEPTH_MAX."""
        async with self._db.connection() as connection:
            return await depth(connection, keys, self._clock.now())

    async def product_depth(self, product_ids: Sequence[int]) -> dict[int, int]:
        """1 for each product with a unit ready for sale, of any denomination, else 0."""
        async with self._db.connection() as connection:
            found = await product_depth(connection, product_ids, self._clock.now())
        return dict(zip(product_ids, found, strict=True))
