"""The statement that adds up a client's orders by day; nothing here writes."""

from datetime import date

from rewards.infra.db import Record, Tx

# From the tallies: as many rows as there are products a day, however many orders.
DAILY = """
SELECT day, currency, sum(orders)::bigint AS orders, sum(amount_minor)::bigint AS amount_minor,
    coalesce(sum(orders) FILTER (WHERE status = 'DELIVERED'), 0)::bigint AS delivered,
    coalesce(sum(orders) FILTER (WHERE status IN ('CANCELLED', 'FAILED')), 0)::bigint AS closed
FROM order_tallies
WHERE client_id = $1 AND day >= $2 AND day <= $3
GROUP BY day, currency
HAVING sum(orders) > 0
ORDER BY day, currency
"""


async def daily(tx: Tx, client_id: int, first_day: date, last_day: date) -> list[Record]:
    return list(await tx.fetch(DAILY, client_id, first_day, last_day))
