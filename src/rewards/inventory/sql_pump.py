"""The statements of the pump and of the staff's stock report."""

from collections.abc import Sequence
from datetime import datetime

from rewards.infra.db import Record, Tx, rows_affected
from rewards.inventory.model import ShelfKey
from rewards.inventory.sql import LAST_UNIT, columns, end_read

# One index probe for each distinct shelf, instead of a walk over all units on them.
DISTINCT_SHELVES = """
WITH RECURSIVE waiting AS (
    (SELECT product_id, denomination_minor, currency FROM shelf WHERE NOT loaded
        ORDER BY product_id, denomination_minor, currency LIMIT 1)
    UNION ALL
    SELECT next.* FROM waiting AS w CROSS JOIN LATERAL (
        SELECT s.product_id, s.denomination_minor, s.currency FROM shelf AS s
        WHERE NOT s.loaded AND (s.product_id, s.denomination_minor, s.currency)
            > (w.product_id, w.denomination_minor, w.currency)
        ORDER BY s.product_id, s.denomination_minor, s.currency LIMIT 1
    ) AS next
), pool AS (
    (SELECT product_id, denomination_minor, currency FROM shelf WHERE loaded
        ORDER BY product_id, denomination_minor, currency LIMIT 1)
    UNION ALL
    SELECT next.* FROM pool AS p CROSS JOIN LATERAL (
        SELECT s.product_id, s.denomination_minor, s.currency FROM shelf AS s
        WHERE s.loaded AND (s.product_id, s.denomination_minor, s.currency)
            > (p.product_id, p.denomination_minor, p.currency)
        ORDER BY s.product_id, s.denomination_minor, s.currency LIMIT 1
    ) AS next
)
SELECT * FROM (SELECT * FROM waiting UNION SELECT * FROM pool) AS found
WHERE $1::bigint[] IS NULL OR product_id = ANY($1::bigint[])
ORDER BY product_id, denomination_minor, currency
"""


async def distinct_shelves(tx: Tx, product_ids: Sequence[int] | None) -> list[ShelfKey]:
    return [ShelfKey(*row) for row in await tx.fetch(DISTINCT_SHELVES, product_ids)]


# One pump a shelf at a time, so that two of them never load past the target together. Ends with the
# transaction.
LOCK_SHELF = """
SELECT pg_try_advisory_xact_lock(
    hashtextextended(format('rewards pump %s %s %s', $1::bigint, $2::bigint, $3::text), 0)
)
"""


async def lock_shelf(tx: Tx, shelf: ShelfKey) -> bool:
    return bool(await tx.fetchval(LOCK_SHELF, *shelf))


# `loaded` is written out twice because each form is the condition of one partial index.
_PICK_ENDING = """
SELECT unit_id, expires_at FROM shelf
WHERE {loaded} AND product_id = $1::bigint AND denomination_minor = $2::bigint
    AND currency = $3::text AND expires_at <= $4::timestamptz
ORDER BY expires_at, unit_id LIMIT $5::integer
FOR UPDATE SKIP LOCKED
"""
PICK_ENDING_LOADED = _PICK_ENDING.format(loaded="loaded")
PICK_ENDING_WAITING = _PICK_ENDING.format(loaded="NOT loaded")


async def pick_ending(
    tx: Tx, shelf: ShelfKey, ends_by: datetime, limit: int, *, loaded: bool
) -> list[tuple[int, datetime]]:
    """Lock units that end by a moment, the first to end first."""
    statement = PICK_ENDING_LOADED if loaded else PICK_ENDING_WAITING
    rows = await tx.fetch(statement, *shelf, ends_by, limit)
    return [(row["unit_id"], row["expires_at"]) for row in rows]


PICK_WAITING = """
SELECT s.unit_id, b.status = 'OPEN' AS sound
FROM shelf AS s JOIN units AS u ON u.id = s.unit_id JOIN batches AS b ON b.id = u.batch_id
WHERE NOT s.loaded AND s.product_id = $1::bigint AND s.denomination_minor = $2::bigint
    AND s.currency = $3::text AND (s.expires_at, s.unit_id) > ($4::timestamptz, $5::bigint)
ORDER BY s.expires_at, s.unit_id LIMIT $6::integer
FOR UPDATE OF s SKIP LOCKED
"""


async def pick_waiting(
    tx: Tx, shelf: ShelfKey, ends_after: datetime, limit: int
) -> tuple[list[int], list[int]]:
    """Lock waiting units, first-expiring-first; those of sound batches, and the others."""
    rows = await tx.fetch(PICK_WAITING, *shelf, ends_after, LAST_UNIT, limit)
    sound = [row["unit_id"] for row in rows if row["sound"]]
    return sound, [row["unit_id"] for row in rows if not row["sound"]]


LOAD_UNITS = "UPDATE shelf SET loaded = true WHERE unit_id = ANY($1::bigint[]) AND NOT loaded"


async def load_units(tx: Tx, unit_ids: Sequence[int]) -> int:
    return rows_affected(await tx.execute(LOAD_UNITS, unit_ids))


COUNT_WAITING = """
SELECT (
    SELECT count(*) FROM (
        SELECT FROM shelf AS s
        WHERE NOT s.loaded AND s.product_id = ask.product_id
            AND s.denomination_minor = ask.denomination_minor AND s.currency = ask.currency
        LIMIT $4::bigint
    ) AS waiting
)
FROM unnest($1::bigint[], $2::bigint[], $3::text[])
    WITH ORDINALITY AS ask (product_id, denomination_minor, currency, turn)
ORDER BY ask.turn
"""


async def count_waiting(tx: Tx, keys: Sequence[ShelfKey], count_max: int) -> list[int]:
    rows = await tx.fetch(COUNT_WAITING, *columns(keys), count_max)
    return [count for (count,) in rows]


READ_DEPTHS = """
SELECT product_id, denomination_minor, currency, coalesce(s.loaded, 0) AS loaded,
    coalesce(s.waiting, 0) AS waiting, coalesce(b.blocked, 0) AS blocked, s.next_expiry_at
FROM (
    SELECT product_id, denomination_minor, currency,
        count(*) FILTER (WHERE loaded AND expires_at > $2::timestamptz) AS loaded,
        count(*) FILTER (WHERE NOT loaded) AS waiting,
        min(expires_at) FILTER (WHERE loaded AND expires_at > $2::timestamptz) AS next_expiry_at
    FROM shelf WHERE $1::bigint[] IS NULL OR product_id = ANY($1::bigint[])
    GROUP BY product_id, denomination_minor, currency
) AS s
FULL JOIN (
    SELECT product_id, denomination_minor, currency, count(*) AS blocked
    FROM blocked_units WHERE $1::bigint[] IS NULL OR product_id = ANY($1::bigint[])
    GROUP BY product_id, denomination_minor, currency
) AS b USING (product_id, denomination_minor, currency)
ORDER BY product_id, denomination_minor, currency
"""


async def read_depths(
    tx: Tx, product_ids: Sequence[int] | None, now: datetime
) -> list[tuple[ShelfKey, int, int, int, datetime | None]]:
    """Shelf, loaded, waiting, blocked, next expiry."""
    return [_depth(row) for row in await tx.fetch(READ_DEPTHS, product_ids, now)]


def _depth(row: Record) -> tuple[ShelfKey, int, int, int, datetime | None]:
    key = ShelfKey(row["product_id"], row["denomination_minor"], row["currency"])
    next_expiry_at = row["next_expiry_at"]
    ends = None if next_expiry_at is None else end_read(next_expiry_at)
    return key, row["loaded"], row["waiting"], row["blocked"], ends
