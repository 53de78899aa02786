"""The statements that count what waits, by why and since when."""

from collections.abc import Sequence
from datetime import date, datetime

from rewards.infra.db import Record, Tx
from rewards.orders.sql_search import BUYERS, FIRST_SINCE_HALVES

# Where each of some times begins among the ids, then one walk over the open orders' own index.
COUNT = f"""
WITH bounds AS (
    SELECT array_agg(coalesce(first.low, 0) ORDER BY t.at) AS ids
    FROM unnest($1::timestamptz[]) AS t (at)
    LEFT JOIN LATERAL ({FIRST_SINCE_HALVES.format(at="t.at")}) AS first ON true
)
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


# Of each client the last days alone: the tallies of all days are nearly as many as the orders.
DAYS = f"""
{BUYERS}
SELECT t.day, t.status, sum(t.orders)::bigint AS orders
FROM buyers AS b
CROSS JOIN LATERAL (
    SELECT day, status, orders FROM order_tallies
    WHERE client_id = b.client_id AND day >= $1
) AS t
GROUP BY t.day, t.status HAVING sum(t.orders) > 0
ORDER BY t.day, t.status
"""


async def days(tx: Tx, first: date) -> list[Record]:
    """How many orders of each day stand in which status now."""
    return list(await tx.fetch(DAYS, first))
