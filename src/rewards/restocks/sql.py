"""Every statement on `stock_orders`."""

from collections.abc import Sequence

from rewards.catalog.model import ShelfKey
from rewards.infra.db import Record, Tx
from rewards.restocks.model import StockOrder, StockState

COLUMNS = """
s.id, s.product_id, s.denomination_minor, s.currency, s.vendor_id, s.quantity, s.cost_minor,
s.state, s.second_person, s.received, s.usable, s.reference, s.asked_by, s.reason, s.message,
s.created_at, s.changed_at, s.ended_at
"""


def as_order(row: Record) -> StockOrder:
    facts = dict(row)
    shelf = ShelfKey(
        facts.pop("product_id"), facts.pop("denomination_minor"), facts.pop("currency")
    )
    return StockOrder(**(facts | {"shelf": shelf, "state": StockState(row["state"])}))


# The same reference, or the same on order there: the second finds the first and adds nothing.
INSERT = f"""
INSERT INTO stock_orders AS s (
    product_id, denomination_minor, currency, vendor_id, quantity, cost_minor, state, second_person,
    reference, asked_by, reason, created_at, changed_at
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12)
ON CONFLICT DO NOTHING
RETURNING {COLUMNS}
"""


async def insert(tx: Tx, new: StockOrder) -> StockOrder | None:
    """The row of a new order (its id is told then); None where there is one like it."""
    shelf = new.shelf
    row = await tx.fetchrow(
        INSERT,
        *(shelf.product_id, shelf.denomination_minor, shelf.currency, new.vendor_id),
        *(new.quantity, new.cost_minor, new.state, new.second_person, new.reference),
        *(new.asked_by, new.reason, new.created_at),
    )
    return None if row is None else as_order(row)


FIND_REFERENCE = f"SELECT {COLUMNS} FROM stock_orders AS s WHERE s.reference = $1"


async def find_reference(tx: Tx, reference: str) -> StockOrder | None:
    row = await tx.fetchrow(FIND_REFERENCE, reference)
    return None if row is None else as_order(row)


FIND_OPEN = f"""
SELECT {COLUMNS} FROM stock_orders AS s
WHERE s.vendor_id = $1 AND s.product_id = $2 AND s.denomination_minor = $3 AND s.currency = $4
    AND s.state IN ('WAITING', 'ORDERED')
"""


async def find_open(tx: Tx, vendor_id: int, shelf: ShelfKey) -> StockOrder | None:
    row = await tx.fetchrow(FIND_OPEN, vendor_id, *shelf)
    return None if row is None else as_order(row)


READ = f"SELECT {COLUMNS} FROM stock_orders AS s WHERE s.id = $1"


async def read(tx: Tx, stock_order_id: int) -> StockOrder | None:
    row = await tx.fetchrow(READ, stock_order_id)
    return None if row is None else as_order(row)


LOCK = f"{READ} FOR NO KEY UPDATE"


async def lock(tx: Tx, stock_order_id: int) -> StockOrder | None:
    row = await tx.fetchrow(LOCK, stock_order_id)
    return None if row is None else as_order(row)


LIST = f"""
SELECT {COLUMNS} FROM stock_orders AS s
WHERE ($1::text[] IS NULL OR s.state = ANY($1)) AND ($2::bigint IS NULL OR s.product_id = $2)
    AND s.id < $3
ORDER BY s.id DESC LIMIT $4
"""


async def find(
    tx: Tx, states: Sequence[StockState] | None, product_id: int | None, before_id: int, limit: int
) -> list[StockOrder]:
    """Newest first."""
    rows = await tx.fetch(LIST, states, product_id, before_id, limit)
    return [as_order(row) for row in rows]


# Compare-and-set under the row's lock.
MOVE = """
UPDATE stock_orders SET state = $3, received = $4, usable = $5, message = $6, changed_at = $7,
    ended_at = $8
WHERE id = $1 AND state = $2
"""


async def move(tx: Tx, before: StockOrder, after: StockOrder) -> None:
    """Store what changed of an order that this transaction has locked."""
    done = await tx.execute(
        MOVE,
        *(before.id, before.state, after.state, after.received, after.usable, after.message),
        *(after.changed_at, after.ended_at),
    )
    assert done == "UPDATE 1", "a stock order moves under its lock"


ON_ORDER = """
SELECT product_id, denomination_minor, currency, sum(quantity - usable)::bigint AS units
FROM stock_orders
WHERE state IN ('WAITING', 'ORDERED') AND usable < quantity
GROUP BY product_id, denomination_minor, currency
"""


async def on_order(tx: Tx) -> dict[ShelfKey, int]:
    """Units still to come, by shelf."""
    rows = await tx.fetch(ON_ORDER)
    return {ShelfKey(*row[:3]): row["units"] for row in rows}
