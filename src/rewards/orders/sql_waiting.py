"""The statements that count what waits, by why and since when."""

from collections.abc import Sequence
from datetime import datetime

from rewards.infra.db import Record, Tx
from rewards.orders.sql_search import FIRST_SINCE_HALVES

# Where each of some times begins among the ids, then one walk over the open orders' own index.
_BOUNDS = f"""
WITH bounds AS (
    SELECT array_agg(coalesce(first.low, 0) ORDER BY t.at) AS ids
    FROM unnest($1::timestamptz[]) AS t (at)
    LEFT JOIN LATERAL ({FIRST_SINCE_HALVES.format(at="t.at")}) AS first ON true
)
"""
COUNT = f"""
{_BOUNDS}
SELECT o.sub_status, width_bucket(o.id, b.ids) AS band, count(*) AS orders, min(o.id) AS oldest_id
FROM orders AS o CROSS JOIN bounds AS b
WHERE o.status IN ('PLACED', 'PENDING', 'PARTIALLY_DELIVERED')
GROUP BY o.sub_status, band
ORDER BY o.sub_status, band
"""


async def count(tx: Tx, starts: Sequence[datetime]) -> list[Record]:
    """Open orders by sub-status and band: 0 before the first of `starts`, in rising order, and so
    on; the id of the oldest."""
    return list(await tx.fetch(COUNT, list(starts)))


# All but what is delivered, which nearly all orders are: of the few an index knows the state.
UNSERVED = f"""
{_BOUNDS}
SELECT 'OPEN' AS status, o.sub_status, width_bucket(o.id, b.ids) AS band, count(*) AS orders
FROM orders AS o CROSS JOIN bounds AS b
WHERE o.status IN ('PLACED', 'PENDING', 'PARTIALLY_DELIVERED') AND o.id >= b.ids[1]
GROUP BY o.sub_status, band
UNION ALL
SELECT o.status, NULL, width_bucket(o.id, b.ids) AS band, count(*)
FROM orders AS o CROSS JOIN bounds AS b
WHERE o.status IN ('CANCELLED', 'FAILED') AND o.id >= b.ids[1]
GROUP BY o.status, band
"""


async def unserved(tx: Tx, starts: Sequence[datetime]) -> list[Record]:
    """Orders that are not DELIVERED by state and band, from 1 on, as `count` tells bands: of closed
    ones the status, of open ones the sub-status."""
    return list(await tx.fetch(UNSERVED, list(starts)))
