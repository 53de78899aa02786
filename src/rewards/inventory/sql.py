"""Every statement that touches batches, units, the shelf and blocked units."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from rewards.catalog.model import ShelfKey
from rewards.infra.db import Record, Tx, rows_affected
from rewards.inventory.model import BlockReason, Picked, StoredUnit, UnitState

# No unit id is larger, so (moment, LAST_UNIT) lies after every unit that expires by that moment.
LAST_UNIT = 2**63 - 1
# asyncpg's form of 'infinity', both ways: the one naive datetime in the system.
ENDLESS = datetime.max  # noqa: DTZ901


def end_stored(expires_at: datetime | None) -> datetime:
    return expires_at or ENDLESS


def end_read(stored: datetime) -> datetime | None:
    return stored if stored.tzinfo else None


# One pick for each distinct shelf: SKIP LOCKED does not skip rows this transaction has locked. The
# row comparison is the only lower bound on purpose: next to a second one (expires_at > now) the
# scan could begin at that one and walk all the dead entries which the start is there to avoid.
PICK_UNITS = """
SELECT ask.turn, pick.unit_id, pick.expires_at
FROM unnest(
    $1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::timestamptz[], $6::bigint[]
) WITH ORDINALITY AS ask (
    product_id, denomination_minor, currency, quantity, after_at, after_id, turn
)
CROSS JOIN LATERAL (
    SELECT s.unit_id, s.expires_at FROM shelf AS s
    WHERE s.loaded AND s.product_id = ask.product_id
        AND s.denomination_minor = ask.denomination_minor AND s.currency = ask.currency
        AND (s.expires_at, s.unit_id) > (ask.after_at, ask.after_id)
    ORDER BY s.expires_at, s.unit_id
    LIMIT ask.quantity
    FOR UPDATE SKIP LOCKED
) AS pick
"""


async def pick_units(
    tx: Tx, asks: Mapping[ShelfKey, int], after: Sequence[Picked | None], now: datetime
) -> dict[ShelfKey, list[Picked]]:
    """Lock up to so many loaded, unexpired units of each shelf, first-expiring-first.

    `after`: for each ask the place behind which to begin, which must not be expired itself, or
    None for the front.
    """
    keys = list(asks)
    rows = await tx.fetch(
        PICK_UNITS,
        *columns(keys),
        list(asks.values()),
        [end_stored(place.expires_at) if place else now for place in after],
        [place.unit_id if place else LAST_UNIT for place in after],
    )
    picked: dict[ShelfKey, list[Picked]] = {key: [] for key in keys}
    for turn, unit_id, expires_at in rows:
        picked[keys[turn - 1]].append(Picked(unit_id, end_read(expires_at)))
    return picked


def columns(keys: Sequence[ShelfKey]) -> tuple[list[int], list[int], list[str]]:
    return (
        [key.product_id for key in keys],
        [key.denomination_minor for key in keys],
        [key.currency for key in keys],
    )


# The caller holds the lock of each shelf row, which is what makes the units its own.
TAKE_UNITS = """
WITH sold AS (DELETE FROM shelf WHERE unit_id = ANY($1::bigint[]))
UPDATE units SET state = 'DELIVERED'
WHERE id = ANY($1::bigint[]) AND state = 'AVAILABLE'
RETURNING id, sealed
"""


async def take_units(tx: Tx, unit_ids: Sequence[int]) -> dict[int, bytes]:
    """Off the shelf and delivered; what each holds, sealed."""
    rows = await tx.fetch(TAKE_UNITS, unit_ids)
    return {unit_id: sealed for unit_id, sealed in rows}  # noqa: C416 - rows are no tuples to mypy


OF_SHELF = """s.product_id = ask.product_id
    AND s.denomination_minor = ask.denomination_minor AND s.currency = ask.currency"""
# The same rows that PICK_UNITS would find from the front, each shelf counted up to its own limit.
COUNT_POOL = f"""
SELECT (
    SELECT count(*) FROM (
        SELECT FROM shelf AS s
        WHERE s.loaded AND {OF_SHELF}
            AND (s.expires_at, s.unit_id) > ($5::timestamptz, {LAST_UNIT})
        ORDER BY s.expires_at LIMIT ask.most
    ) AS pool
)
FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[])
    WITH ORDINALITY AS ask (product_id, denomination_minor, currency, most, turn)
ORDER BY ask.turn
"""


async def count_pool(
    tx: Tx, keys: Sequence[ShelfKey], most: Sequence[int], now: datetime
) -> list[int]:
    rows = await tx.fetch(COUNT_POOL, *columns(keys), most, now)
    return [count for (count,) in rows]


COUNT_PRODUCT_POOL = """
SELECT (
    SELECT count(*) FROM (
        SELECT FROM shelf AS s
        WHERE s.loaded AND s.product_id = ask.product_id AND s.expires_at > $2::timestamptz
        LIMIT $3::bigint
    ) AS pool
)
FROM unnest($1::bigint[]) WITH ORDINALITY AS ask (product_id, turn)
ORDER BY ask.turn
"""


async def count_product_pool(
    tx: Tx, product_ids: Sequence[int], now: datetime, count_max: int
) -> list[int]:
    rows = await tx.fetch(COUNT_PRODUCT_POOL, product_ids, now, count_max)
    return [count for (count,) in rows]


# Ids come first: the seal of a unit binds its id.
NEXT_UNIT_IDS = "SELECT nextval('units_id_seq') FROM generate_series(1, $1::integer)"


async def next_unit_ids(tx: Tx, count: int) -> list[int]:
    return [unit_id for (unit_id,) in await tx.fetch(NEXT_UNIT_IDS, count)]


# In order of id: units that are sold together lie together, which makes a sale a fifth faster.
ADD_UNITS = """
WITH fresh AS (
    INSERT INTO units (
        id, product_id, denomination_minor, currency, expires_at, cost_minor, cost_currency,
        sealed, fingerprint, batch_id, state, created_at
    )
    SELECT new.*, $10::bigint, $11::text, $12::timestamptz
    FROM unnest(
        $1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::timestamptz[], $6::bigint[],
        $7::text[], $8::bytea[], $9::bytea[]
    ) AS new (
        id, product_id, denomination_minor, currency, expires_at, cost_minor, cost_currency,
        sealed, fingerprint
    )
    ORDER BY new.id
    ON CONFLICT (product_id, fingerprint) DO NOTHING
    RETURNING id, product_id, denomination_minor, currency, expires_at
), shelved AS (
    INSERT INTO shelf (unit_id, product_id, denomination_minor, currency, expires_at, loaded)
    SELECT id, product_id, denomination_minor, currency, expires_at, $13::boolean
    FROM fresh WHERE $11::text = 'AVAILABLE' ORDER BY id
), blocked AS (
    INSERT INTO blocked_units
        (unit_id, product_id, denomination_minor, currency, reason, blocked_at)
    SELECT id, product_id, denomination_minor, currency, 'SUSPECT', $12::timestamptz
    FROM fresh WHERE $11::text = 'BLOCKED'
)
SELECT id FROM fresh
"""


async def add_units(
    tx: Tx,
    rows: Sequence[tuple[int, ShelfKey, datetime | None, int | None, str | None, bytes, bytes]],
    *,
    batch_id: int,
    state: UnitState,
    loaded: bool,
    now: datetime,
) -> set[int]:
    """Insert (id, shelf, end, cost, its currency, sealed, fingerprint); the ids that were new."""
    if not rows:
        return set()
    ids, keys, ends, costs, cost_currencies, sealed, fingerprints = zip(*rows, strict=True)
    fresh = await tx.fetch(
        ADD_UNITS,
        ids,
        *columns(keys),
        [end_stored(end) for end in ends],
        costs,
        cost_currencies,
        sealed,
        fingerprints,
        batch_id,
        state,
        now,
        loaded,
    )
    return {unit_id for (unit_id,) in fresh}


READ_UNITS = """
SELECT id, product_id, denomination_minor, currency, batch_id, state, expires_at, sealed
FROM units WHERE id = ANY($1::bigint[])
"""


async def read_units(tx: Tx, unit_ids: Sequence[int]) -> dict[int, StoredUnit]:
    rows = await tx.fetch(READ_UNITS, unit_ids)
    return {row["id"]: _stored(row) for row in rows}


def _stored(row: Record) -> StoredUnit:
    return StoredUnit(
        row["id"],
        ShelfKey(row["product_id"], row["denomination_minor"], row["currency"]),
        row["batch_id"],
        UnitState(row["state"]),
        end_read(row["expires_at"]),
        row["sealed"],
    )


# Only between states without a shelf row. The inner query locks in id order and waits; the outer
# one looks at the state again, in the row as it is then.
MOVE_UNITS = """
UPDATE units SET state = $3::text
WHERE id = ANY(ARRAY(
    SELECT id FROM units WHERE id = ANY($1::bigint[]) AND state = ANY($2::text[])
    ORDER BY id FOR UPDATE
)) AND state = ANY($2::text[])
RETURNING id, expires_at, sealed
"""


async def move_units(
    tx: Tx, unit_ids: Sequence[int], sources: Sequence[UnitState], target: UnitState
) -> dict[int, tuple[datetime | None, bytes]]:
    """Those that were in one of `sources` and are in `target` now, with end of life and seal."""
    assert not {UnitState.AVAILABLE, UnitState.BLOCKED} & {*sources, target}
    rows = await tx.fetch(MOVE_UNITS, unit_ids, sources, target)
    return {row["id"]: (end_read(row["expires_at"]), row["sealed"]) for row in rows}


# Whoever deletes the shelf row owns the unit: a sale that was faster leaves nothing to block.
BLOCK_UNITS = """
WITH off AS (
    DELETE FROM shelf WHERE unit_id = ANY(ARRAY(
        SELECT unit_id FROM shelf WHERE unit_id = ANY($1::bigint[]) ORDER BY unit_id FOR UPDATE
    ))
    RETURNING unit_id, product_id, denomination_minor, currency
), moved AS (
    UPDATE units SET state = 'BLOCKED'
    WHERE id = ANY(ARRAY(SELECT unit_id FROM off)) AND state = 'AVAILABLE'
)
INSERT INTO blocked_units (unit_id, product_id, denomination_minor, currency, reason, blocked_at)
SELECT unit_id, product_id, denomination_minor, currency, $2::text, $3::timestamptz FROM off
RETURNING unit_id
"""


async def block_units(
    tx: Tx, unit_ids: Sequence[int], reason: BlockReason, now: datetime
) -> set[int]:
    return {unit_id for (unit_id,) in await tx.fetch(BLOCK_UNITS, unit_ids, reason, now)}


UNBLOCK_UNITS = """
WITH back AS (
    DELETE FROM blocked_units WHERE unit_id = ANY(ARRAY(
        SELECT unit_id FROM blocked_units WHERE unit_id = ANY($1::bigint[])
        ORDER BY unit_id FOR UPDATE
    ))
    RETURNING unit_id
), moved AS (
    UPDATE units SET state = 'AVAILABLE'
    WHERE id = ANY(ARRAY(SELECT unit_id FROM back)) AND state = 'BLOCKED'
    RETURNING id, product_id, denomination_minor, currency, expires_at
)
INSERT INTO shelf (unit_id, product_id, denomination_minor, currency, expires_at)
SELECT id, product_id, denomination_minor, currency, expires_at FROM moved
RETURNING unit_id
"""


async def unblock_units(tx: Tx, unit_ids: Sequence[int]) -> set[int]:
    return {unit_id for (unit_id,) in await tx.fetch(UNBLOCK_UNITS, unit_ids)}


RELEASE_UNITS = """
WITH moved AS (
    UPDATE units SET state = 'AVAILABLE'
    WHERE id = ANY(ARRAY(
        SELECT id FROM units WHERE id = ANY($1::bigint[]) AND state = 'ALLOCATED'
        ORDER BY id FOR UPDATE
    )) AND state = 'ALLOCATED'
    RETURNING id, product_id, denomination_minor, currency, expires_at
)
INSERT INTO shelf (unit_id, product_id, denomination_minor, currency, expires_at)
SELECT id, product_id, denomination_minor, currency, expires_at FROM moved
RETURNING unit_id
"""


async def release_units(tx: Tx, unit_ids: Sequence[int]) -> set[int]:
    return {unit_id for (unit_id,) in await tx.fetch(RELEASE_UNITS, unit_ids)}


# Walks the primary key; what is under the active key already is passed over.
STALE_UNITS = """
SELECT id, sealed FROM units
WHERE id > $1::bigint AND substring(sealed FOR $3::integer) <> $2::bytea
ORDER BY id LIMIT $4::integer
FOR NO KEY UPDATE SKIP LOCKED
"""
# No index covers the column, so this is a HOT update.
RESEAL_UNITS = """
UPDATE units SET sealed = new.fresh
FROM unnest($1::bigint[], $2::bytea[]) AS new (id, fresh)
WHERE units.id = new.id AND units.id = ANY($1::bigint[])
"""


async def stale_units(tx: Tx, after_id: int, header: bytes, limit: int) -> list[tuple[int, bytes]]:
    rows = await tx.fetch(STALE_UNITS, after_id, header, len(header), limit)
    return [(row["id"], row["sealed"]) for row in rows]


async def reseal_units(tx: Tx, fresh: Sequence[tuple[int, bytes]]) -> int:
    ids, sealed = zip(*fresh, strict=True)
    return rows_affected(await tx.execute(RESEAL_UNITS, ids, sealed))
