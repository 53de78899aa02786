"""The statements on batches, on their rejected rows, and on all units of one batch."""

from collections.abc import Sequence
from datetime import datetime

from rewards.infra.db import Record, Tx
from rewards.inventory.model import (
    Batch,
    BatchSource,
    BatchState,
    BatchStatus,
    Reject,
    UnitState,
)

OPEN_BATCH = """
INSERT INTO batches (source, name, state, staff_id, status_at, created_at, touched_at, finished_at,
    rows_expected)
VALUES (
    $1, $2, $3::text, $4, $5::timestamptz, $5::timestamptz, $5::timestamptz,
    CASE WHEN $3::text = 'DONE' THEN $5::timestamptz END, $6
)
RETURNING id
"""


async def open_batch(
    tx: Tx,
    source: BatchSource,
    name: str,
    state: BatchState,
    staff_id: int | None,
    now: datetime,
    rows_expected: int | None = None,
) -> int:
    asked = (source, name, state, staff_id, now, rows_expected)
    batch_id: int = await tx.fetchval(OPEN_BATCH, *asked)
    return batch_id


BATCH_COLUMNS = """
id, source, name, status, state, rows_read, rows_expected, loaded, duplicate, invalid, error,
staff_id, created_at, touched_at, finished_at
"""
READ_BATCHES = f"SELECT {BATCH_COLUMNS} FROM batches WHERE id = ANY($1::bigint[])"
LIST_BATCHES = f"""
SELECT {BATCH_COLUMNS} FROM batches WHERE id < $1::bigint ORDER BY id DESC LIMIT $2::integer
"""


async def read_batches(tx: Tx, batch_ids: Sequence[int]) -> dict[int, Batch]:
    return {row["id"]: _batch(row) for row in await tx.fetch(READ_BATCHES, batch_ids)}


async def list_batches(tx: Tx, before_id: int, limit: int) -> list[Batch]:
    return [_batch(row) for row in await tx.fetch(LIST_BATCHES, before_id, limit)]


def _batch(row: Record) -> Batch:
    return Batch(
        batch_id=row["id"],
        source=BatchSource(row["source"]),
        name=row["name"],
        status=BatchStatus(row["status"]),
        state=BatchState(row["state"]),
        rows_read=row["rows_read"],
        rows_expected=row["rows_expected"],
        loaded=row["loaded"],
        duplicate=row["duplicate"],
        invalid=row["invalid"],
        error=row["error"],
        staff_id=row["staff_id"],
        created_at=row["created_at"],
        touched_at=row["touched_at"],
        finished_at=row["finished_at"],
    )


# Files with the same codes in another order would deadlock. Ends with the transaction.
LOCK_PRODUCTS = """
SELECT pg_advisory_xact_lock(hashtextextended('rewards import ' || product_id, 0))
FROM unnest($1::bigint[]) AS product_id
"""


async def lock_products(tx: Tx, product_ids: Sequence[int]) -> None:
    """One import at a time adds to a product; give the ids in ascending order."""
    await tx.execute(LOCK_PRODUCTS, product_ids)


# An import that a sweeper has given up finds no row and stops.
MOVE_ON_BATCH = """
UPDATE batches SET rows_read = rows_read + $2, loaded = loaded + $3, duplicate = duplicate + $4,
    invalid = invalid + $5, touched_at = $6
WHERE id = $1 AND state = 'IMPORTING'
RETURNING id
"""
ADD_REJECTS = """
INSERT INTO batch_rejects (batch_id, row_number, outcome, reason)
SELECT $1::bigint, new.row_number, new.outcome, new.reason
FROM unnest($2::integer[], $3::text[], $4::text[]) AS new (row_number, outcome, reason)
"""


async def move_on(
    tx: Tx, batch_id: int, *, loaded: int, rejects: Sequence[Reject], now: datetime
) -> bool:
    """Add one chunk to the batch's counts and report; False when it is no longer importing."""
    duplicate = sum(reject.outcome == "DUPLICATE" for reject in rejects)
    invalid = len(rejects) - duplicate
    rows_read = loaded + len(rejects)
    going = await tx.fetchval(MOVE_ON_BATCH, batch_id, rows_read, loaded, duplicate, invalid, now)
    if going and rejects:
        await tx.execute(
            ADD_REJECTS,
            batch_id,
            [reject.row_number for reject in rejects],
            [reject.outcome for reject in rejects],
            [reject.reason for reject in rejects],
        )
    return going is not None


FINISH_BATCH = """
UPDATE batches SET state = $2, error = $3, touched_at = $4, finished_at = $4
WHERE id = $1 AND state = 'IMPORTING'
"""


async def finish_batch(
    tx: Tx, batch_id: int, state: BatchState, error: str | None, now: datetime
) -> None:
    await tx.execute(FINISH_BATCH, batch_id, state, error, now)


FAIL_DEAD_IMPORTS = """
UPDATE batches SET state = 'FAILED', error = $3, finished_at = $1
WHERE state = 'IMPORTING' AND touched_at < $2
RETURNING id
"""


async def fail_dead_imports(
    tx: Tx, now: datetime, touched_before: datetime, error: str
) -> list[int]:
    rows = await tx.fetch(FAIL_DEAD_IMPORTS, now, touched_before, error)
    return [batch_id for (batch_id,) in rows]


READ_REJECTS = """
SELECT row_number, outcome, reason FROM batch_rejects
WHERE batch_id = $1 AND row_number > $2 ORDER BY row_number LIMIT $3::integer
"""


async def read_rejects(tx: Tx, batch_id: int, after_row: int, limit: int) -> list[Reject]:
    rows = await tx.fetch(READ_REJECTS, batch_id, after_row, limit)
    return [Reject(row["row_number"], row["outcome"], row["reason"]) for row in rows]


# A recalled batch stays recalled.
SET_BATCH_STATUS = """
UPDATE batches SET status = $2, status_at = $3
WHERE id = ANY(ARRAY(SELECT id FROM batches WHERE id = ANY($1::bigint[]) ORDER BY id FOR UPDATE))
    AND status <> 'RECALLED' AND status <> $2
RETURNING id
"""


async def set_batch_status(
    tx: Tx, batch_ids: Sequence[int], status: BatchStatus, now: datetime
) -> set[int]:
    return {row["id"] for row in await tx.fetch(SET_BATCH_STATUS, batch_ids, status, now)}


BATCH_UNITS = """
SELECT id, state FROM units
WHERE batch_id = $1 AND id > $2 AND state = ANY($3::text[])
ORDER BY id LIMIT $4::integer
"""


async def batch_units(
    tx: Tx, batch_id: int, after_id: int, states: Sequence[UnitState], limit: int
) -> list[tuple[int, UnitState]]:
    rows = await tx.fetch(BATCH_UNITS, batch_id, after_id, states, limit)
    return [(row["id"], UnitState(row["state"])) for row in rows]


COUNT_UNITS = "SELECT state, count(*) FROM units WHERE batch_id = $1 GROUP BY state"

SOLD_FROM = """
SELECT id FROM units
WHERE id = ANY($2::bigint[]) AND batch_id = $1 AND state IN ('DELIVERED', 'COMPLETED')
"""


async def count_units(tx: Tx, batch_id: int) -> dict[UnitState, int]:
    return {UnitState(state): count for state, count in await tx.fetch(COUNT_UNITS, batch_id)}


async def sold_from(tx: Tx, batch_id: int, unit_ids: Sequence[int]) -> set[int]:
    return {unit_id for (unit_id,) in await tx.fetch(SOLD_FROM, batch_id, list(unit_ids))}


# Whoever changes the status waits until this transaction ends.
HOLD_STATUS = "SELECT status FROM batches WHERE id = $1 FOR SHARE"


async def hold_status(tx: Tx, batch_id: int) -> BatchStatus | None:
    status = await tx.fetchval(HOLD_STATUS, batch_id)
    return None if status is None else BatchStatus(status)


BLOCKED_BY_BATCH = """
SELECT unit_id FROM blocked_units
WHERE unit_id = ANY($1::bigint[]) AND reason = 'BATCH' ORDER BY unit_id
"""


async def blocked_by_batch(tx: Tx, unit_ids: Sequence[int]) -> list[int]:
    """Those that are blocked because of their batch, not for a reason of their own."""
    return [row["unit_id"] for row in await tx.fetch(BLOCKED_BY_BATCH, unit_ids)]
