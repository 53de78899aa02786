"""Every statement that writes orders, items, transitions and tallies. Batches in, rows out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from rewards.core.actor import Actor
from rewards.infra.db import Tx
from rewards.orders import model
from rewards.orders.model import IllegalStep, Item, Order, State
from rewards.orders.model_links import LinkStatus
from rewards.orders.sql_read import ORDER_COLUMNS, as_order

PATH_SEPARATOR = ","

# One round trip before placing: ids for all, and who already has the references asked for.
RESERVE_IDS = """
SELECT nextval('orders_id_seq') AS order_id,
       (SELECT o.id FROM orders AS o
        WHERE o.client_id = ask.client_id AND o.ref = ask.ref) AS twin_id
FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS ask (client_id, ref, turn)
ORDER BY ask.turn
"""

INSERT_ORDERS = """
WITH ask AS (
    SELECT * FROM unnest(
        $1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::text[],
        $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::numeric[], $12::bigint[],
        $13::bigint[], $14::text[], $15::text[], $16::bigint[], $17::int[], $18::text[],
        $19::timestamptz[], $20::text[], $21::text[], $22::text[], $23::text[], $24::text[],
        $25::text[], $26::int[], $27::int[], $28::timestamptz[], $29::timestamptz[],
        $30::text[], $31::bigint[], $36::text[], $37::timestamptz[], $39::text[]
    ) AS a (
        id, client_id, ref, transaction_id, wallet_id, currency,
        amount_minor, discount_minor, fees_minor, tax_minor, forex_rate, product_id,
        product_revision_id, product_name, product_currency, denomination_minor, quantity,
        on_partial, deliver_by, email, mobile, metadata, claim_password_hash, status,
        sub_status, items_created, fulfilled, placed_at, delivered_at,
        path, actor_id, forex_rate_source, forex_rate_at, link_type
    )
),
placed AS (
    INSERT INTO orders (
        id, client_id, ref, transaction_id, wallet_id, currency, amount_minor, discount_minor,
        fees_minor, tax_minor, forex_rate, product_id, product_revision_id, product_name,
        product_currency, denomination_minor, quantity, on_partial, deliver_by, email, mobile,
        metadata, claim_password_hash, status, sub_status, items_created, fulfilled, placed_at,
        changed_at, delivered_at, forex_rate_source, forex_rate_at, link_type
    )
    SELECT id, client_id, ref, transaction_id, wallet_id, currency, amount_minor, discount_minor,
           fees_minor, tax_minor, forex_rate, product_id, product_revision_id, product_name,
           product_currency, denomination_minor, quantity, on_partial, deliver_by, email,
           mobile::jsonb, metadata::jsonb, claim_password_hash, status, sub_status, items_created,
           fulfilled, placed_at, placed_at, delivered_at, forex_rate_source, forex_rate_at,
           link_type
    FROM ask
),
items AS (
    INSERT INTO order_items
        (order_id, position, status, unit_id, recharge_status, delivered_at, link_status)
    SELECT i.order_id, i.position,
           CASE WHEN i.unit_id IS NULL THEN 'PENDING' ELSE 'DELIVERED' END,
           i.unit_id, CASE WHEN i.recharge THEN 'PENDING' END,
           CASE WHEN i.unit_id IS NULL THEN NULL ELSE $35::timestamptz END, i.link_status
    FROM unnest($32::bigint[], $33::int[], $34::bigint[], $38::bool[], $40::text[])
        AS i (order_id, position, unit_id, recharge, link_status)
),
tallied AS (
    INSERT INTO order_tallies AS t
        (client_id, day, product_id, currency, status, sub_status, orders, amount_minor)
    SELECT client_id, (placed_at AT TIME ZONE 'UTC')::date, product_id, currency, status,
           sub_status, count(*), sum(amount_minor)
    FROM ask
    GROUP BY 1, 2, 3, 4, 5, 6
    -- Ascending keys: two transactions that share rows queue up and never deadlock.
    ORDER BY 1, 2, 3, 4, 5, 6
    ON CONFLICT ON CONSTRAINT order_tallies_pk DO UPDATE
    SET orders = t.orders + excluded.orders, amount_minor = t.amount_minor + excluded.amount_minor
)
INSERT INTO order_transitions (order_id, seq, path, actor_kind, actor_id, at)
SELECT id, 1, string_to_array(path, ','), 'CLIENT', actor_id, placed_at FROM ask
"""


@dataclass(frozen=True, slots=True)
class NewOrder:
    """A row to insert, with what only its first transition and its items need."""

    order: Order
    path: tuple[State, ...]
    claim_password_hash: str | None = field(repr=False)
    # One for each item that exists now: its unit, or None while it waits.
    unit_ids: Sequence[int | None]

    def __post_init__(self) -> None:
        _check(self.path, model.PLACED, self.order.state)

    @property
    def link_status(self) -> LinkStatus | None:
        """Of each item that has a unit: its link is made in this very transaction."""
        return LinkStatus.UNCLAIMED if self.order.link_type else None


def _check(path: tuple[State, ...], first: State, last: State) -> None:
    if (path[0], path[-1]) != (first, last):
        raise IllegalStep(f"the path from {first} to {last} is told as {path}")
    model.walk(*path)


async def reserve_ids(
    tx: Tx, asks: Sequence[tuple[int, str | None]]
) -> list[tuple[int, int | None]]:
    """For each (client, reference or None): a fresh order id, and the order that has the reference.

    Exact only after the client's wallets were locked: their lock puts one client's orders in line.
    """
    rows = await tx.fetch(RESERVE_IDS, [ask[0] for ask in asks], [ask[1] for ask in asks])
    return [(row["order_id"], row["twin_id"]) for row in rows]


def _json(value: dict[str, str] | None) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()


async def insert_orders(tx: Tx, new: Sequence[NewOrder], at: datetime) -> None:
    """Insert orders, items, first transitions and tallies: one statement for all of them."""
    orders = [row.order for row in new]
    await tx.execute(
        INSERT_ORDERS,
        [o.id for o in orders],
        [o.client_id for o in orders],
        [o.ref for o in orders],
        [o.transaction_id for o in orders],
        [o.wallet_id for o in orders],
        [o.currency for o in orders],
        [o.amount_minor for o in orders],
        [o.discount_minor for o in orders],
        [o.fees_minor for o in orders],
        [o.tax_minor for o in orders],
        [o.forex_rate for o in orders],
        [o.product_id for o in orders],
        [o.product_revision_id for o in orders],
        [o.product_name for o in orders],
        [o.product_currency for o in orders],
        [o.denomination_minor for o in orders],
        [o.quantity for o in orders],
        [o.on_partial for o in orders],
        [o.deliver_by for o in orders],
        [o.email for o in orders],
        [_json(o.mobile) for o in orders],
        [_json(o.metadata) for o in orders],
        [row.claim_password_hash for row in new],
        [o.status for o in orders],
        [o.sub_status for o in orders],
        [o.items_created for o in orders],
        [o.fulfilled for o in orders],
        [o.placed_at for o in orders],
        [o.delivered_at for o in orders],
        [PATH_SEPARATOR.join(map(str, row.path)) for row in new],
        [o.client_id for o in orders],
        [row.order.id for row in new for _ in row.unit_ids],
        [position for row in new for position in range(1, len(row.unit_ids) + 1)],
        [unit_id for row in new for unit_id in row.unit_ids],
        at,
        [o.forex_rate_source for o in orders],
        [o.forex_rate_at for o in orders],
        [row.order.recharge for row in new for _ in row.unit_ids],
        [o.link_type for o in orders],
        [row.link_status if unit_id else None for row in new for unit_id in row.unit_ids],
    )


# Ascending id: two batches that overlap queue up and never deadlock.
LOCK_ORDERS = f"""
SELECT {ORDER_COLUMNS} FROM orders AS o WHERE o.id = ANY($1::bigint[])
ORDER BY o.id FOR NO KEY UPDATE
"""

INSERT_ITEMS = """
INSERT INTO order_items (order_id, position, status, recharge_status)
SELECT ask.order_id, n, 'PENDING', CASE WHEN ask.recharge THEN 'PENDING' END
FROM unnest($1::bigint[], $2::int[], $3::bool[]) AS ask (order_id, quantity, recharge),
     generate_series(1, ask.quantity) AS n
"""

# Compare-and-set: an item that is not in `source` any more stays as it is.
MOVE_ITEMS = """
UPDATE order_items AS i
SET status = ask.target, unit_id = coalesce(ask.unit_id, i.unit_id),
    delivered_at = coalesce(i.delivered_at, ask.delivered_at),
    recharge_status = ask.recharge_status, link_status = ask.link_status
FROM unnest(
    $1::bigint[], $2::int[], $3::text[], $4::text[], $5::bigint[], $6::timestamptz[], $7::text[],
    $8::text[], $9::text[]
) AS ask (order_id, position, source, target, unit_id, delivered_at, recharge_status,
    link_source, link_status)
WHERE i.order_id = ask.order_id AND i.position = ask.position AND i.status = ask.source
    AND i.link_status IS NOT DISTINCT FROM ask.link_source
"""

# The only statement that changes an order's status: compare-and-set, with its history row.
MOVE_ORDERS = """
WITH ask AS (
    SELECT * FROM unnest(
        $1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::int[], $7::int[],
        $8::int[], $9::int[], $10::bigint[], $11::bigint[], $12::timestamptz[], $13::timestamptz[],
        $14::timestamptz[], $15::text[], $16::text[], $17::bigint[], $18::text[]
    ) AS a (
        id, from_status, from_sub_status, status, sub_status, items_created, fulfilled, cancelled,
        revoked, refunded_minor, refund_owed_minor, changed_at, delivered_at,
        cancelled_at, path, actor_kind, actor_id, reason
    )
),
moved AS (
    UPDATE orders AS o
    SET status = ask.status, sub_status = ask.sub_status, items_created = ask.items_created,
        fulfilled = ask.fulfilled, cancelled = ask.cancelled, revoked = ask.revoked,
        refunded_minor = ask.refunded_minor, refund_owed_minor = ask.refund_owed_minor,
        changed_at = ask.changed_at, delivered_at = ask.delivered_at,
        cancelled_at = ask.cancelled_at
    FROM ask
    WHERE o.id = ask.id AND o.status = ask.from_status AND o.sub_status = ask.from_sub_status
    RETURNING o.id, o.client_id, o.product_id, o.currency, o.amount_minor, o.placed_at
),
step AS (
    SELECT m.client_id, (m.placed_at AT TIME ZONE 'UTC')::date AS day, m.product_id, m.currency,
           s.status, s.sub_status, sum(s.sign) AS orders,
           sum(s.sign * m.amount_minor) AS amount_minor
    FROM moved AS m JOIN ask USING (id)
    CROSS JOIN LATERAL (
        VALUES (ask.from_status, ask.from_sub_status, -1), (ask.status, ask.sub_status, 1)
    ) AS s (status, sub_status, sign)
    GROUP BY 1, 2, 3, 4, 5, 6
    HAVING sum(s.sign) <> 0 OR sum(s.sign * m.amount_minor) <> 0
),
tallied AS (
    INSERT INTO order_tallies AS t
        (client_id, day, product_id, currency, status, sub_status, orders, amount_minor)
    SELECT * FROM step ORDER BY 1, 2, 3, 4, 5, 6
    ON CONFLICT ON CONSTRAINT order_tallies_pk DO UPDATE
    SET orders = t.orders + excluded.orders, amount_minor = t.amount_minor + excluded.amount_minor
)
INSERT INTO order_transitions (order_id, seq, path, actor_kind, actor_id, reason, at)
SELECT ask.id, 1 + (SELECT max(seq) FROM order_transitions AS h WHERE h.order_id = ask.id),
       string_to_array(ask.path, ','), ask.actor_kind, ask.actor_id, ask.reason, ask.changed_at
FROM ask JOIN moved USING (id)
RETURNING order_id
"""


async def lock_orders(tx: Tx, order_ids: Iterable[int]) -> dict[int, Order]:
    """The orders that exist, by id, locked until the transaction ends."""
    rows = await tx.fetch(LOCK_ORDERS, sorted(set(order_ids)))
    return {row["id"]: as_order(row) for row in rows}


async def create_items(tx: Tx, orders: Sequence[Order]) -> None:
    """Create the waiting items of orders that have none yet."""
    if orders:
        await tx.execute(
            INSERT_ITEMS,
            [o.id for o in orders],
            [o.quantity for o in orders],
            [o.recharge for o in orders],
        )


async def move_items(tx: Tx, moves: Sequence[tuple[Item, Item]]) -> None:
    """Apply (before, after) pairs of locked orders' items; each must still be as it was."""
    if not moves:
        return
    status = await tx.execute(
        MOVE_ITEMS,
        [after.order_id for _, after in moves],
        [after.position for _, after in moves],
        [before.status for before, _ in moves],
        [after.status for _, after in moves],
        [after.unit_id for _, after in moves],
        [after.delivered_at for _, after in moves],
        [after.recharge_status for _, after in moves],
        [before.link_status for before, _ in moves],
        [after.link_status for _, after in moves],
    )
    if status != f"UPDATE {len(moves)}":
        raise IllegalStep("an item is not where its act began: it was not read under a lock")


@dataclass(frozen=True, slots=True)
class Move:
    """An act upon a locked order: the row before, the row after, and the states between.

    None can be made that the lifecycle does not allow.
    """

    before: Order
    after: Order
    path: tuple[State, ...]
    actor: Actor
    reason: str | None

    def __post_init__(self) -> None:
        _check(self.path, self.before.state, self.after.state)


async def move_orders(tx: Tx, moves: Sequence[Move]) -> None:
    """Write each act with its transition row and tallies: one statement for all of them."""
    if not moves:
        return
    moved = await tx.fetch(
        MOVE_ORDERS,
        [m.after.id for m in moves],
        [m.before.status for m in moves],
        [m.before.sub_status for m in moves],
        [m.after.status for m in moves],
        [m.after.sub_status for m in moves],
        [m.after.items_created for m in moves],
        [m.after.fulfilled for m in moves],
        [m.after.cancelled for m in moves],
        [m.after.revoked for m in moves],
        [m.after.refunded_minor for m in moves],
        [m.after.refund_owed_minor for m in moves],
        [m.after.changed_at for m in moves],
        [m.after.delivered_at for m in moves],
        [m.after.cancelled_at for m in moves],
        [PATH_SEPARATOR.join(map(str, m.path)) for m in moves],
        [m.actor.kind for m in moves],
        [m.actor.id for m in moves],
        [m.reason for m in moves],
    )
    if len(moved) != len(moves):
        raise IllegalStep("an order is not where its act began: it was not read under a lock")
