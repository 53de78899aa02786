"""Sums of what is asked for, by shelf, over all clients."""

from datetime import datetime

from rewards.catalog.model import ShelfKey
from rewards.infra.db import Tx
from rewards.infra.hours import Spans, spanned

# The index on the time is coarse: it finds the pages of those days, which lie side by side.
ASKED_FOR = f"""
SELECT date_trunc('hour', placed_at, 'UTC') AS hour, product_id, denomination_minor,
    product_currency, sum(quantity)::bigint AS units
FROM orders
WHERE ({spanned("placed_at")}) AND sub_status <> 'BULK_LIMIT_EXCEEDED' AND mobile IS NULL
GROUP BY hour, product_id, denomination_minor, product_currency
"""
PLACED = f"""
SELECT date_trunc('hour', placed_at, 'UTC') AS hour, count(*) AS orders FROM orders
WHERE {spanned("placed_at")} GROUP BY hour
"""

WAITED_FOR = """
SELECT product_id, denomination_minor, product_currency,
    sum(quantity - fulfilled - cancelled)::bigint AS units
FROM orders
WHERE status IN ('PLACED', 'PENDING', 'PARTIALLY_DELIVERED') AND mobile IS NULL
GROUP BY product_id, denomination_minor, product_currency
"""


async def asked_for(tx: Tx, spans: Spans) -> dict[datetime, dict[ShelfKey, tuple[int, ...]]]:
    """Units of each shelf, by the hour."""
    found: dict[datetime, dict[ShelfKey, tuple[int, ...]]] = {}
    for row in await tx.fetch(ASKED_FOR, *spans):
        found.setdefault(row["hour"], {})[ShelfKey(*row[1:4])] = (row["units"],)
    return found


async def placed(tx: Tx, spans: Spans) -> dict[datetime, dict[None, tuple[int, ...]]]:
    """How many orders, by the hour."""
    return {row["hour"]: {None: (row["orders"],)} for row in await tx.fetch(PLACED, *spans)}


async def waited_for(tx: Tx) -> dict[ShelfKey, int]:
    return {ShelfKey(*row[:3]): row["units"] for row in await tx.fetch(WAITED_FOR)}
