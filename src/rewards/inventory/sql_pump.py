"""The statements of the pump."""

from collections.abc import Sequence
from datetime import datetime

from rewards.infra.db import Tx, rows_affected
from rewards.inventory.model import ShelfKey
from rewards.inventory.sql import LAST_UNIT

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
