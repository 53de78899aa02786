"""What is left to buy with at each vendor, and how fast it is spent."""

from datetime import datetime

from rewards.infra.db import Tx
from rewards.vendors.kept import Standing

# Spent is what was bought and delivered, in the currency of the balance.
STANDING = """
SELECT v.id AS vendor_id, v.name AS vendor, b.currency, b.balance_minor, b.read_at,
    coalesce((
        SELECT sum(o.cost_minor) FROM vendor_orders AS o
        WHERE o.vendor_id = v.id AND o.created_at >= $1 AND o.state = 'FULFILLED'
            AND o.cost_currency = b.currency
    ), 0)::bigint AS spent_minor
FROM vendors AS v JOIN vendor_balances AS b ON b.vendor_id = v.id
WHERE v.status = 'ACTIVE' ORDER BY v.id, b.currency
"""
BALANCES = """
SELECT v.id AS vendor_id, v.name AS vendor, b.currency, b.balance_minor, b.read_at,
    0::bigint AS spent_minor
FROM vendors AS v JOIN vendor_balances AS b ON b.vendor_id = v.id
WHERE v.status = 'ACTIVE' ORDER BY v.id, b.currency
"""


async def read(tx: Tx, since: datetime | None) -> list[Standing]:
    """Of every active vendor; without a time nothing that was spent is summed up."""
    rows = await (tx.fetch(BALANCES) if since is None else tx.fetch(STANDING, since))
    return [Standing(**dict(row)) for row in rows]
