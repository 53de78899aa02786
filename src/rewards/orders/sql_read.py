"""Every statement that reads orders, their items, history and tallies; nothing here writes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from rewards.catalog.model import LinkType
from rewards.infra.db import Record, Tx
from rewards.orders.model import (
    BULK,
    Item,
    ItemStatus,
    OnPartial,
    Order,
    RechargeStatus,
    Status,
    SubStatus,
)
from rewards.orders.model_links import LinkStatus

ORDER_COLUMNS = """
    o.id, o.client_id, o.ref, o.transaction_id, o.wallet_id, o.currency, o.amount_minor,
    o.discount_minor, o.fees_minor, o.tax_minor, o.forex_rate, o.forex_rate_source, o.forex_rate_at,
    o.product_id, o.product_revision_id, o.product_name, o.product_currency, o.denomination_minor,
    o.quantity, o.on_partial, o.deliver_by, o.email, o.mobile, o.metadata, o.status, o.sub_status,
    o.items_created, o.fulfilled, o.cancelled, o.revoked, o.refunded_minor, o.refund_owed_minor,
    o.placed_at, o.changed_at, o.delivered_at, o.cancelled_at, o.link_type
"""

READ_ORDERS = f"SELECT {ORDER_COLUMNS} FROM orders AS o WHERE o.id = ANY($1::bigint[])"

READ_CLIENTS_ORDER = f"SELECT {ORDER_COLUMNS} FROM orders AS o WHERE o.client_id = $1 AND o.id = $2"

READ_ITEMS = """
SELECT order_id, position, status, unit_id, recharge_status, delivered_at, link_status
FROM order_items
WHERE order_id = ANY($1::bigint[]) AND ($2::text IS NULL OR status = $2)
ORDER BY order_id, position
"""

STEP_COLUMNS = "h.seq, h.path, h.actor_kind, h.actor_id, h.reason, h.at"

READ_HISTORY = f"""
SELECT {STEP_COLUMNS}
FROM order_transitions AS h WHERE h.order_id = $1 ORDER BY h.seq
"""

# The order beside each act upon it: one statement less for whoever shows both.
READ_WITH_HISTORY = f"""
SELECT {ORDER_COLUMNS}, {STEP_COLUMNS}
FROM orders AS o JOIN order_transitions AS h ON h.order_id = o.id
WHERE o.id = $1 ORDER BY h.seq
"""

# Every bulk order of a client that has its items and still waits for some of them. Bulk is what was
# placed as such: the quantity does not tell, since products have thresholds of their own.
OPEN_BULK_UNITS = """
SELECT o.client_id, sum(o.quantity - o.fulfilled - o.cancelled)::bigint AS units
FROM orders AS o
WHERE o.client_id = ANY($1::bigint[]) AND o.status IN ('PENDING', 'PARTIALLY_DELIVERED')
    AND o.items_created > 0 AND EXISTS (
        SELECT FROM order_transitions AS h
        WHERE h.order_id = o.id AND h.seq = 1 AND h.path[cardinality(h.path)] = $2
    )
GROUP BY o.client_id
"""

# Only the conditions asked for are written: `$2 IS NULL OR …` would hide indexes from the planner.
LIST_CONDITIONS = {
    "status": "o.status = ",
    "sub_status": "o.sub_status = ",
    "product_id": "o.product_id = ",
    "ref": "o.ref = ",
    "placed_from": "o.placed_at >= ",
    "placed_to": "o.placed_at < ",
}

# Whole days come from the tallies: a total without counting a million rows.
COUNT_TALLIES = """
SELECT coalesce(sum(orders), 0)::bigint FROM order_tallies
WHERE client_id = $1
    AND ($2::text IS NULL OR status = $2)
    AND ($3::text IS NULL OR sub_status = $3)
    AND ($4::bigint IS NULL OR product_id = $4)
"""

SUMMARY = """
SELECT status, sub_status, product_id, currency,
       sum(orders)::bigint AS orders, sum(amount_minor)::bigint AS amount_minor
FROM order_tallies
WHERE client_id = $1 AND ($2::date IS NULL OR day >= $2) AND ($3::date IS NULL OR day <= $3)
GROUP BY status, sub_status, product_id, currency
HAVING sum(orders) > 0
ORDER BY status, sub_status, product_id, currency
"""

DUE_DEADLINES = """
SELECT id FROM orders
WHERE deliver_by <= $1 AND status IN ('PLACED', 'PENDING', 'PARTIALLY_DELIVERED') AND id > $2
ORDER BY id LIMIT $3
"""

# Younger ones may still be with the worker that was told of them.
WAITING_IN = """
SELECT id FROM orders
WHERE status IN ('PLACED', 'PENDING', 'PARTIALLY_DELIVERED') AND sub_status = $1 AND changed_at < $2
    AND id > $3
ORDER BY id LIMIT $4
"""

WAITING_FOR_STOCK = """
SELECT o.id FROM orders AS o
WHERE o.status IN ('PENDING', 'PARTIALLY_DELIVERED')
    AND o.sub_status = ANY($1::text[]) AND o.id > $2
ORDER BY o.id LIMIT $3
"""

WAITING_FOR_PRODUCTS = """
SELECT o.id FROM orders AS o
WHERE o.status IN ('PENDING', 'PARTIALLY_DELIVERED') AND o.sub_status = ANY($1::text[])
    AND o.product_id = ANY($2::bigint[]) AND o.id > $3
ORDER BY o.id LIMIT $4
"""

REFUNDS_OWED = "SELECT id FROM orders WHERE refund_owed_minor > 0 AND id > $1 ORDER BY id LIMIT $2"

STUCK = """
SELECT count(*) AS orders, min(placed_at) AS oldest FROM orders
WHERE status = 'PENDING' AND sub_status = ANY($1::text[]) AND placed_at < $2
"""


def as_order(row: Record | dict[str, Any]) -> Order:
    """A row of ORDER_COLUMNS as its value."""
    fields = dict(row)
    fields["status"] = Status(fields["status"])
    fields["sub_status"] = SubStatus(fields["sub_status"])
    fields["on_partial"] = OnPartial(fields["on_partial"])
    if fields["link_type"] is not None:
        fields["link_type"] = LinkType(fields["link_type"])
    return Order(**fields)


async def read_orders(tx: Tx, order_ids: Sequence[int]) -> dict[int, Order]:
    """The orders that exist, by id."""
    return {row["id"]: as_order(row) for row in await tx.fetch(READ_ORDERS, list(order_ids))}


async def read_clients_order(tx: Tx, client_id: int, order_id: int) -> Order | None:
    """The order if it is this client's; another client's order is as absent as an unknown one."""
    row = await tx.fetchrow(READ_CLIENTS_ORDER, client_id, order_id)
    return as_order(row) if row else None


async def read_items(
    tx: Tx, order_ids: Sequence[int], status: ItemStatus | None = None
) -> dict[int, list[Item]]:
    """Items by order, in order of position; an order without items has an empty list."""
    found: dict[int, list[Item]] = {order_id: [] for order_id in order_ids}
    for row in await tx.fetch(READ_ITEMS, list(order_ids), status):
        item = Item(
            row["order_id"],
            row["position"],
            ItemStatus(row["status"]),
            row["unit_id"],
            None if row["recharge_status"] is None else RechargeStatus(row["recharge_status"]),
            row["delivered_at"],
            None if row["link_status"] is None else LinkStatus(row["link_status"]),
        )
        found[item.order_id].append(item)
    return found


@dataclass(frozen=True, slots=True)
class Step:
    """A row of an order's history."""

    seq: int
    path: list[str]
    actor_kind: str
    actor_id: int | None
    reason: str | None
    at: datetime


async def read_history(tx: Tx, order_id: int) -> list[Step]:
    return [Step(**dict(row)) for row in await tx.fetch(READ_HISTORY, order_id)]


async def read_with_history(tx: Tx, order_id: int) -> tuple[Order, list[Step]] | None:
    """An order and every act upon it, the first of which placed it; None where there is none."""
    rows = [dict(row) for row in await tx.fetch(READ_WITH_HISTORY, order_id)]
    if not rows:
        return None
    steps = [Step(*(row.pop(name) for name in Step.__dataclass_fields__)) for row in rows]
    return as_order(rows[0]), steps


async def open_bulk_units(tx: Tx, client_ids: Sequence[int]) -> dict[int, int]:
    """Units that open bulk orders with items still wait for, by client."""
    rows = await tx.fetch(OPEN_BULK_UNITS, list(client_ids), str(BULK))
    return {row["client_id"]: row["units"] for row in rows}


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFilter:
    """What a list is narrowed to; None leaves a field open. Times: from inclusive, to exclusive."""

    client_id: int
    status: Status | None = None
    sub_status: SubStatus | None = None
    product_id: int | None = None
    ref: str | None = None
    placed_from: datetime | None = None
    placed_to: datetime | None = None

    def where(self) -> tuple[str, list[object]]:
        """The conditions asked for, and the values of their parameters, numbered from 1."""
        conditions = ["o.client_id = $1"]
        values: list[object] = [self.client_id]
        for name, condition in LIST_CONDITIONS.items():
            value = getattr(self, name)
            if value is not None:
                values.append(value)
                conditions.append(f"{condition}${len(values)}")
        return " AND ".join(conditions), values


async def list_orders(
    tx: Tx,
    narrow: OrderFilter,
    *,
    before: tuple[datetime, int] | None,
    limit: int,
    offset: int,
) -> list[Order]:
    """Newest first; `before` is the (placed_at, id) of the last order already seen."""
    where, values = narrow.where()
    if before:
        values += before
        where += f" AND (o.placed_at, o.id) < (${len(values) - 1}, ${len(values)})"
    statement = (
        f"SELECT {ORDER_COLUMNS} FROM orders AS o WHERE {where}"
        f" ORDER BY o.placed_at DESC, o.id DESC LIMIT ${len(values) + 1} OFFSET ${len(values) + 2}"
    )
    return [as_order(row) for row in await tx.fetch(statement, *values, limit, offset)]


async def count_orders(tx: Tx, narrow: OrderFilter) -> int:
    """How many orders the filter matches, exactly."""
    if narrow.ref is None and narrow.placed_from is None and narrow.placed_to is None:
        facts = (narrow.client_id, narrow.status, narrow.sub_status, narrow.product_id)
        total: int = await tx.fetchval(COUNT_TALLIES, *facts)
    else:
        where, values = narrow.where()
        total = await tx.fetchval(f"SELECT count(*) FROM orders AS o WHERE {where}", *values)
    return total


async def summary(
    tx: Tx, client_id: int, first_day: date | None, last_day: date | None
) -> list[Record]:
    """Orders and amounts by status, sub-status, product and currency over whole UTC days."""
    rows: list[Record] = await tx.fetch(SUMMARY, client_id, first_day, last_day)
    return rows


async def due_deadlines(tx: Tx, now: datetime, after_id: int, limit: int) -> list[int]:
    """Open orders whose deliver_by has passed, in id order from `after_id` on."""
    return [row["id"] for row in await tx.fetch(DUE_DEADLINES, now, after_id, limit)]


async def waiting_in(
    tx: Tx, sub_status: SubStatus, before: datetime, after_id: int, limit: int
) -> list[int]:
    """Open orders in a sub-status since before `before`, in id order from `after_id` on."""
    return [row["id"] for row in await tx.fetch(WAITING_IN, sub_status, before, after_id, limit)]


async def waiting_for_stock(
    tx: Tx, sub_statuses: Sequence[SubStatus], after_id: int, limit: int
) -> list[int]:
    """Open orders that a look into the pool could help, in id order from `after_id` on."""
    rows = await tx.fetch(WAITING_FOR_STOCK, list(sub_statuses), after_id, limit)
    return [row["id"] for row in rows]


async def waiting_for_products(
    tx: Tx, sub_statuses: Sequence[str], product_ids: Sequence[int], after_id: int, limit: int
) -> list[int]:
    """Ids of orders of these products that wait in one of the sub-statuses."""
    rows = await tx.fetch(WAITING_FOR_PRODUCTS, sub_statuses, product_ids, after_id, limit)
    return [row["id"] for row in rows]


async def refunds_owed(tx: Tx, after_id: int, limit: int) -> list[int]:
    """Orders whose refund could not be booked yet, in id order from `after_id` on."""
    return [row["id"] for row in await tx.fetch(REFUNDS_OWED, after_id, limit)]


async def stuck(
    tx: Tx, sub_statuses: Sequence[SubStatus], before: datetime
) -> tuple[int, datetime | None]:
    """How many orders wait since before `before`, and since when the oldest does."""
    row = await tx.fetchrow(STUCK, list(sub_statuses), before)
    assert row is not None, "an aggregate has one row"
    return row["orders"], row["oldest"]
