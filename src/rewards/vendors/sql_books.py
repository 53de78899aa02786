"""The statements by which purchases are compared with a vendor's books; nothing here writes."""

from collections.abc import Sequence
from datetime import datetime

from rewards.infra.db import Tx
from rewards.vendors.model import Purchase
from rewards.vendors.sql_purchases import COLUMNS, as_purchase

VENDORS_OF = """
SELECT v.id FROM vendors AS v
WHERE v.status = 'ACTIVE' OR EXISTS (
    SELECT FROM vendor_orders AS o
    WHERE o.vendor_id = v.id AND o.settled_at >= $1 AND o.settled_at < $2
)
ORDER BY v.id
"""


async def vendors_of(tx: Tx, since: datetime, until: datetime) -> list[int]:
    return [row["id"] for row in await tx.fetch(VENDORS_OF, since, until)]


# What was called off before it was sent, no vendor has heard of.
SETTLED = f"""
SELECT {COLUMNS} FROM vendor_orders AS v
WHERE v.vendor_id = $1 AND v.settled_at >= $2 AND v.settled_at < $3 AND v.sent_at IS NOT NULL
    AND v.id > $4
ORDER BY v.id LIMIT $5
"""


async def settled(
    tx: Tx, vendor_id: int, since: datetime, until: datetime, after_id: int, limit: int
) -> list[Purchase]:
    rows = await tx.fetch(SETTLED, vendor_id, since, until, after_id, limit)
    return [as_purchase(row) for row in rows]


NAMED = f"""
SELECT {COLUMNS} FROM vendor_orders AS v
WHERE v.vendor_id = $1 AND (v.key = ANY($2::text[]) OR v.vendor_ref = ANY($3::text[]))
"""


async def named(tx: Tx, vendor_id: int, keys: Sequence[str], refs: Sequence[str]) -> list[Purchase]:
    return [as_purchase(row) for row in await tx.fetch(NAMED, vendor_id, keys, refs)]


READ_MANY = f"SELECT {COLUMNS} FROM vendor_orders AS v WHERE v.id = ANY($1::bigint[])"


async def read(tx: Tx, purchase_ids: Sequence[int]) -> list[Purchase]:
    return [as_purchase(row) for row in await tx.fetch(READ_MANY, list(purchase_ids))]


FULFILLED = f"""
SELECT {COLUMNS} FROM vendor_orders AS v
WHERE v.purpose IN ('ORDER', 'RECHARGE') AND v.subject_id = ANY($1::bigint[])
    AND v.state = 'FULFILLED'
ORDER BY v.id
"""


async def fulfilled(tx: Tx, order_ids: Sequence[int]) -> list[Purchase]:
    return [as_purchase(row) for row in await tx.fetch(FULFILLED, list(order_ids))]


BOUGHT_BATCHES = """
SELECT batch_id, vendor_id FROM vendor_orders WHERE batch_id = ANY($1::bigint[])
"""


async def bought_batches(tx: Tx, batch_ids: Sequence[int]) -> dict[int, int]:
    rows = await tx.fetch(BOUGHT_BATCHES, list(batch_ids))
    return {row["batch_id"]: row["vendor_id"] for row in rows}
