"""Every statement on what was said on the wire, and on finding the purchase a message speaks of."""

from datetime import datetime

from rewards.infra.db import Record, Tx, rows_affected
from rewards.vendors.kept import ExchangeFilter, KeptExchange
from rewards.vendors.wire import Exchange

ADD = """
INSERT INTO vendor_exchanges (
    vendor_id, vendor_order_id, call, method, path, request, status, answer, problem, took_ms, at
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
"""
READ = """
SELECT e.id, e.vendor_order_id, e.call, e.method, e.path, e.request, e.status, e.answer, e.problem,
    e.took_ms, e.at
FROM vendor_exchanges AS e
WHERE e.vendor_id = $1 AND e.id < $2
    AND ($3::bigint IS NULL OR e.vendor_order_id = $3)
    AND ($4::bigint IS NULL OR e.vendor_order_id IN (
        SELECT o.id FROM vendor_orders AS o
        WHERE o.purpose IN ('ORDER', 'RECHARGE') AND o.subject_id = $4))
    AND ($5::integer IS NULL OR e.status = $5)
    AND (NOT $6 OR e.problem IS NOT NULL)
ORDER BY e.id DESC LIMIT $7
"""
# Without bodies: who wants those asks for them.
OF_PURCHASES = """
SELECT e.id, e.vendor_order_id, e.call, e.method, e.path, NULL AS request, e.status,
    NULL AS answer, e.problem, e.took_ms, e.at
FROM vendor_exchanges AS e
WHERE e.vendor_order_id IN (
    SELECT o.id FROM vendor_orders AS o
    WHERE o.purpose IN ('ORDER', 'RECHARGE') AND o.subject_id = $1)
ORDER BY e.id LIMIT $2
"""
# What was said of a purchase that is not settled is evidence until it is.
FORGET = """
DELETE FROM vendor_exchanges WHERE id = ANY(ARRAY(
    SELECT e.id FROM vendor_exchanges AS e
    WHERE e.at < $1 AND NOT EXISTS (
        SELECT FROM vendor_orders AS o WHERE o.id = e.vendor_order_id AND o.settled_at IS NULL)
    ORDER BY e.at LIMIT $2))
"""
FIND_OPEN = """
SELECT id FROM vendor_orders
WHERE vendor_id = $1 AND settled_at IS NULL AND (key = $2 OR vendor_ref = $3)
ORDER BY id LIMIT $4
"""


async def add(tx: Tx, vendor_id: int, exchange: Exchange, at: datetime) -> None:
    await tx.execute(
        ADD,
        vendor_id,
        exchange.purchase_id,
        exchange.call,
        exchange.method,
        exchange.path,
        exchange.request,
        exchange.status,
        exchange.answer,
        exchange.problem,
        exchange.took_ms,
        at,
    )


async def read(
    tx: Tx, vendor_id: int, narrow: ExchangeFilter, before_id: int, limit: int
) -> list[KeptExchange]:
    rows = await tx.fetch(
        READ,
        vendor_id,
        before_id,
        narrow.purchase_id,
        narrow.order_id,
        narrow.status,
        narrow.failed,
        limit,
    )
    return [_kept(row) for row in rows]


async def of_order(tx: Tx, order_id: int, limit: int) -> list[KeptExchange]:
    """What was said about the purchases of one order, oldest first, without bodies."""
    return [_kept(row) for row in await tx.fetch(OF_PURCHASES, order_id, limit)]


def _kept(row: Record) -> KeptExchange:
    exchange = Exchange(
        call=row["call"],
        method=row["method"],
        path=row["path"],
        request=row["request"],
        status=row["status"],
        answer=row["answer"],
        problem=row["problem"],
        took_ms=row["took_ms"],
        purchase_id=row["vendor_order_id"],
    )
    return KeptExchange(row["id"], row["at"], exchange)


async def forget(tx: Tx, before: datetime, limit: int) -> int:
    return rows_affected(await tx.execute(FORGET, before, limit))


async def find_open(
    tx: Tx, vendor_id: int, key: str | None, vendor_ref: str | None, limit: int
) -> list[int]:
    """Ids of unsettled purchases under our key or the vendor's reference."""
    rows = await tx.fetch(FIND_OPEN, vendor_id, key, vendor_ref, limit)
    return [row["id"] for row in rows]
