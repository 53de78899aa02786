"""Every statement on the notes that staff write about orders: added to, and read."""

from dataclasses import dataclass
from datetime import datetime

from rewards.infra.db import Record, Tx


@dataclass(frozen=True, slots=True)
class Note:
    """What one person wrote about an order, for colleagues alone."""

    id: int
    order_id: int
    staff_id: int
    username: str
    text: str
    created_at: datetime


ADD = """
WITH added AS (
    INSERT INTO order_notes (order_id, staff_id, text, created_at) VALUES ($1, $2, $3, $4)
    RETURNING id, order_id, staff_id, text, created_at
)
SELECT n.id, n.order_id, n.staff_id, u.username, n.text, n.created_at
FROM added AS n JOIN staff_users AS u ON u.id = n.staff_id
"""
OF_ORDER = """
SELECT n.id, n.order_id, n.staff_id, u.username, n.text, n.created_at
FROM order_notes AS n JOIN staff_users AS u ON u.id = n.staff_id
WHERE n.order_id = $1 AND n.id < $2
ORDER BY n.id DESC LIMIT $3
"""


def _as_note(row: Record) -> Note:
    return Note(**dict(row))


async def add(tx: Tx, order_id: int, staff_id: int, text: str, at: datetime) -> Note:
    row = await tx.fetchrow(ADD, order_id, staff_id, text, at)
    assert row is not None, "whoever writes works here"
    return _as_note(row)


async def of_order(tx: Tx, order_id: int, before_id: int, limit: int) -> list[Note]:
    """Newest first."""
    return [_as_note(row) for row in await tx.fetch(OF_ORDER, order_id, before_id, limit)]
