"""Every statement that touches in whose hands accounts of the staff were."""

from collections.abc import Collection, Sequence
from datetime import datetime

from rewards.infra.db import Tx

PUT = """
INSERT INTO staff_hands AS h (staff_id, by_id, at)
SELECT unnest($1::bigint[]), $2, $3
ON CONFLICT ON CONSTRAINT staff_hands_pkey DO UPDATE SET at = greatest(h.at, excluded.at)
"""

# Each person is in their own; whoever held a holder could have used that account as well.
READ = """
WITH RECURSIVE held (staff_id, holder_id) AS (
    SELECT id, id FROM unnest($1::bigint[]) AS a (id)
    UNION
    SELECT held.staff_id, h.by_id
    FROM held JOIN staff_hands AS h ON h.staff_id = held.holder_id AND h.at > $2
)
SELECT staff_id, holder_id FROM held
"""


async def put(tx: Tx, staff_ids: Sequence[int], by_id: int, at: datetime) -> None:
    await tx.execute(PUT, staff_ids, by_id, at)


async def read(tx: Tx, staff_ids: Collection[int], since: datetime) -> dict[int, set[int]]:
    """Who held each of these since then, themselves included."""
    found: dict[int, set[int]] = {staff_id: set() for staff_id in staff_ids}
    for row in await tx.fetch(READ, list(staff_ids), since):
        found[row["staff_id"]].add(row["holder_id"])
    return found
