"""Every statement that touches what products' flags bought in nobody's name."""

from collections.abc import Collection, Sequence
from datetime import datetime

from rewards.infra.db import Tx, rows_affected
from rewards.orders.model import Order
from rewards.orders.vendor_limit import Spent, lacking_minor

# Two orders of one client at the same time: the second one sees the first.
LOCK_CLIENTS = """
SELECT pg_advisory_xact_lock(hashtextextended('rewards flagged ' || client_id, 0))
FROM unnest($1::bigint[]) AS client_id
"""

SPENT = """
SELECT client_id, currency, sum(amount_minor)::bigint AS amount_minor FROM flagged_purchases
WHERE client_id = ANY($1::bigint[]) AND at > $2
GROUP BY client_id, currency ORDER BY client_id, currency
"""

ADD = """
INSERT INTO flagged_purchases (client_id, amount_minor, currency, at)
SELECT client_id, amount_minor, currency, $4
FROM unnest($1::bigint[], $2::bigint[], $3::text[]) AS ask (client_id, amount_minor, currency)
"""

FORGET = """
DELETE FROM flagged_purchases WHERE id = ANY(ARRAY(
    SELECT id FROM flagged_purchases WHERE at < $1 ORDER BY id LIMIT $2
))
"""


async def lock_clients(tx: Tx, client_ids: Collection[int]) -> None:
    await tx.execute(LOCK_CLIENTS, sorted(client_ids))


async def spent(tx: Tx, client_ids: Collection[int], since: datetime) -> Spent:
    """The sums (minor units, currency) of each of these."""
    found: Spent = {client_id: [] for client_id in client_ids}
    for row in await tx.fetch(SPENT, list(client_ids), since):
        found[row["client_id"]].append((row["amount_minor"], row["currency"]))
    return found


async def add(tx: Tx, orders: Sequence[Order], at: datetime) -> None:
    await tx.execute(
        ADD,
        [order.client_id for order in orders],
        [lacking_minor(order) for order in orders],
        [order.product_currency for order in orders],
        at,
    )


async def forget(tx: Tx, before: datetime, limit: int) -> int:
    return rows_affected(await tx.execute(FORGET, before, limit))
