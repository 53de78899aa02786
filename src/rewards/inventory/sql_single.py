"""The statements of acts upon single units: holding, keeping blocked and writing off."""

from collections.abc import Sequence
from datetime import datetime

from rewards.infra.db import Record, Tx

# Whoever holds its row here decides about an unsold unit; a sale under way comes first.
LOCK_SHELF = "SELECT FROM shelf WHERE unit_id = ANY($1::bigint[]) ORDER BY unit_id FOR UPDATE"
LOCK_BLOCKED = """
SELECT FROM blocked_units WHERE unit_id = ANY($1::bigint[]) ORDER BY unit_id FOR UPDATE
"""
READ_HELD = """
SELECT u.id AS unit_id, u.product_id, u.batch_id, u.state, b.reason
FROM units AS u LEFT JOIN blocked_units AS b ON b.unit_id = u.id
WHERE u.id = ANY($1::bigint[])
"""


async def hold_units(tx: Tx, unit_ids: Sequence[int]) -> list[Record]:
    await tx.execute(LOCK_SHELF, unit_ids)
    await tx.execute(LOCK_BLOCKED, unit_ids)
    return list(await tx.fetch(READ_HELD, unit_ids))


KEEP_BLOCKED = """
UPDATE blocked_units SET reason = 'STAFF', blocked_at = $2
WHERE unit_id = ANY($1::bigint[]) AND reason = 'BATCH'
RETURNING unit_id
"""


async def keep_blocked(tx: Tx, unit_ids: Sequence[int], now: datetime) -> set[int]:
    return {unit_id for (unit_id,) in await tx.fetch(KEEP_BLOCKED, unit_ids, now)}


# Whoever deletes the row owns the unit, as with a sale: who was faster leaves nothing.
WRITE_OFF_UNSOLD = """
WITH off AS (
    DELETE FROM shelf WHERE unit_id = ANY(ARRAY(
        SELECT unit_id FROM shelf WHERE unit_id = ANY($1::bigint[]) ORDER BY unit_id FOR UPDATE
    ))
    RETURNING unit_id
), freed AS (
    DELETE FROM blocked_units WHERE unit_id = ANY(ARRAY(
        SELECT unit_id FROM blocked_units WHERE unit_id = ANY($1::bigint[])
        ORDER BY unit_id FOR UPDATE
    ))
    RETURNING unit_id
), moved AS (
    UPDATE units SET state = 'REVOKED'
    WHERE id = ANY(ARRAY(SELECT unit_id FROM off UNION ALL SELECT unit_id FROM freed))
        AND state IN ('AVAILABLE', 'BLOCKED')
    RETURNING id
)
INSERT INTO units_written_off (unit_id, written_off_at)
SELECT id, $2::timestamptz FROM moved
RETURNING unit_id
"""
WRITE_OFF_RESERVED = """
WITH moved AS (
    UPDATE units SET state = 'REVOKED'
    WHERE id = ANY(ARRAY(
        SELECT id FROM units WHERE id = ANY($1::bigint[]) AND state = 'ALLOCATED'
        ORDER BY id FOR UPDATE
    )) AND state = 'ALLOCATED'
    RETURNING id
)
INSERT INTO units_written_off (unit_id, written_off_at)
SELECT id, $2::timestamptz FROM moved
RETURNING unit_id
"""


async def write_off_unsold(tx: Tx, unit_ids: Sequence[int], now: datetime) -> set[int]:
    return {unit_id for (unit_id,) in await tx.fetch(WRITE_OFF_UNSOLD, unit_ids, now)}


async def write_off_reserved(tx: Tx, unit_ids: Sequence[int], now: datetime) -> set[int]:
    return {unit_id for (unit_id,) in await tx.fetch(WRITE_OFF_RESERVED, unit_ids, now)}
