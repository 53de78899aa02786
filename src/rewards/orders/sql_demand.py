"""Sums of what is asked for, by shelf, over all clients."""

from collections.abc import Sequence
from datetime import datetime

from rewards.catalog.model import ShelfKey
from rewards.infra.db import Record, Tx

# The index on the time is coarse: it finds the pages of those days, which lie side by side.
ASKED_FOR = """
SELECT product_id, denomination_minor, product_currency, sum(quantity)::bigint AS units
FROM orders
WHERE placed_at >= $1 AND placed_at < $2 AND sub_status <> 'BULK_LIMIT_EXCEEDED' AND mobile IS NULL
GROUP BY product_id, denomination_minor, product_currency
"""

WAITED_FOR = """
SELECT product_id, denomination_minor, product_currency,
    sum(quantity - fulfilled - cancelled)::bigint AS units
FROM orders
WHERE status IN ('PLACED', 'PENDING', 'PARTIALLY_DELIVERED') AND mobile IS NULL
GROUP BY product_id, denomination_minor, product_currency
"""


async def asked_for(tx: Tx, since: datetime, until: datetime) -> dict[ShelfKey, int]:
    return _by_shelf(await tx.fetch(ASKED_FOR, since, until))


async def waited_for(tx: Tx) -> dict[ShelfKey, int]:
    return _by_shelf(await tx.fetch(WAITED_FOR))


def _by_shelf(rows: Sequence[Record]) -> dict[ShelfKey, int]:
    return {ShelfKey(*row[:3]): row["units"] for row in rows}
