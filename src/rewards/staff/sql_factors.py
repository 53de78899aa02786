"""Every statement that touches second factors and recovery codes, and the lock on their owner."""

from collections.abc import Sequence
from datetime import datetime

from rewards.infra.db import Tx, rows_affected
from rewards.staff.model_sessions import Factor, Person
from rewards.staff.sql import COLUMNS, as_staff

LOCK = f"""
SELECT {COLUMNS}, s.password_hash FROM staff_users AS s WHERE s.id = $1 FOR NO KEY UPDATE
"""
# After the lock, in a statement of its own: joined to the locking one it might be seen as it was
# before somebody else's commit, whom the lock was waited for.
READ = """
SELECT secret, confirmed_at IS NOT NULL AS is_on, last_step
FROM staff_second_factors WHERE staff_id = $1
"""
PUT = """
INSERT INTO staff_second_factors AS f (staff_id, secret, created_at) VALUES ($1, $2, $3)
ON CONFLICT (staff_id) DO UPDATE
    SET secret = excluded.secret, created_at = excluded.created_at, last_step = 0
    WHERE f.confirmed_at IS NULL
"""
CONFIRM = """
UPDATE staff_second_factors SET confirmed_at = $2 WHERE staff_id = $1 AND confirmed_at IS NULL
"""
# The compare-and-set that makes a code good for one use.
USE_STEP = """
UPDATE staff_second_factors SET last_step = $2 WHERE staff_id = $1 AND last_step < $2
"""
REMOVE = "DELETE FROM staff_second_factors WHERE staff_id = $1"
ADD_CODES = """
INSERT INTO staff_recovery_codes (staff_id, digest) SELECT $1, unnest($2::bytea[])
"""
USE_CODE = """
UPDATE staff_recovery_codes SET used_at = $3
WHERE staff_id = $1 AND digest = $2 AND used_at IS NULL
"""
COUNT_CODES = "SELECT count(*) FROM staff_recovery_codes WHERE staff_id = $1 AND used_at IS NULL"


async def lock(tx: Tx, staff_id: int) -> Person | None:
    """The person with their factor, the same until the transaction ends."""
    row = await tx.fetchrow(LOCK, staff_id)
    if row is None:
        return None
    kept = await tx.fetchrow(READ, staff_id)
    factor = None if kept is None else Factor(kept["secret"], kept["is_on"], kept["last_step"])
    return Person(as_staff(row), row["password_hash"], factor)


async def put(tx: Tx, staff_id: int, secret: bytes, at: datetime) -> None:
    """A factor that waits for its first code, in the place of one that did."""
    await tx.execute(PUT, staff_id, secret, at)


async def confirm(tx: Tx, staff_id: int, digests: Sequence[bytes], at: datetime) -> None:
    await tx.execute(CONFIRM, staff_id, at)
    await tx.execute(ADD_CODES, staff_id, digests)


async def use_step(tx: Tx, staff_id: int, step: int) -> bool:
    """Whether the code of this half minute was not used before; it is now."""
    return rows_affected(await tx.execute(USE_STEP, staff_id, step)) == 1


async def use_code(tx: Tx, staff_id: int, digest: bytes, at: datetime) -> bool:
    """Whether this is a recovery code that was not used before; it is now."""
    return rows_affected(await tx.execute(USE_CODE, staff_id, digest, at)) == 1


async def remove(tx: Tx, staff_id: int) -> None:
    """The factor and its recovery codes, or the one that waits."""
    await tx.execute(REMOVE, staff_id)


async def codes_left(tx: Tx, staff_id: int) -> int:
    count: int = await tx.fetchval(COUNT_CODES, staff_id)
    return count
