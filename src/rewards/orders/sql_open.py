"""How many orders wait, and for how long the oldest of them has."""

from datetime import datetime

from rewards.infra.db import Tx
from rewards.orders.model import SubStatus

OPEN = """
SELECT sub_status, count(*) AS orders, min(placed_at) AS oldest FROM orders
WHERE status IN ('PLACED', 'PENDING', 'PARTIALLY_DELIVERED') GROUP BY sub_status
"""


async def open_orders(tx: Tx) -> dict[SubStatus, tuple[int, datetime]]:
    """How many orders wait in each sub-status, and when the oldest of them was placed."""
    return {
        SubStatus(row["sub_status"]): (row["orders"], row["oldest"]) for row in await tx.fetch(OPEN)
    }
