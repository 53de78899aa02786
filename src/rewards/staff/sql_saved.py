"""Every statement on saved searches."""

from collections.abc import Mapping
from datetime import datetime

from rewards.infra.db import Record, Tx
from rewards.staff.model_saved import SavedSearch

COLUMNS = "s.id, s.staff_id, u.username, s.name, s.query, s.shared, s.created_at"
OF = f"SELECT {COLUMNS} FROM saved_searches AS s JOIN staff_users AS u ON u.id = s.staff_id"

# The owner's row stands for all they keep: of two that save at once one comes after the other.
LOCK_OWNER = "SELECT id FROM staff_users WHERE id = $1 FOR NO KEY UPDATE"
COUNT = "SELECT count(*) FROM saved_searches WHERE staff_id = $1"
ADD = """
INSERT INTO saved_searches (staff_id, name, query, shared, created_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT ON CONSTRAINT saved_searches_name_key DO NOTHING
RETURNING id
"""
READ = f"{OF} WHERE s.id = $1"
LIST = f"{OF} WHERE s.staff_id = $1 OR s.shared ORDER BY s.staff_id <> $1, s.name, s.id LIMIT $2"
DELETE = "DELETE FROM saved_searches WHERE id = $1"


def _as_saved(row: Record) -> SavedSearch:
    return SavedSearch(**dict(row))


async def count(tx: Tx, staff_id: int) -> int:
    """How many one person keeps; nobody adds to them until the transaction ends."""
    await tx.execute(LOCK_OWNER, staff_id)
    return int(await tx.fetchval(COUNT, staff_id))


async def add(
    tx: Tx, staff_id: int, name: str, query: Mapping[str, str], *, shared: bool, at: datetime
) -> int | None:
    """The id of the new one; None where the person has one of that name."""
    added: int | None = await tx.fetchval(ADD, staff_id, name, dict(query), shared, at)
    return added


async def read(tx: Tx, saved_id: int) -> SavedSearch | None:
    row = await tx.fetchrow(READ, saved_id)
    return None if row is None else _as_saved(row)


async def of_person(tx: Tx, staff_id: int, limit: int) -> list[SavedSearch]:
    """Their own by name, then those that others share."""
    return [_as_saved(row) for row in await tx.fetch(LIST, staff_id, limit)]


async def delete(tx: Tx, saved_id: int) -> None:
    await tx.execute(DELETE, saved_id)
