"""A month of a busy house: a million orders, and all that stands around each of them, by SQL.

The rows say of one another what they would say if each order had been placed, told and audited, so
that `rewards doctor` finds nothing; only codes and link tokens are no real ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from benchmarks import million_around as around
from benchmarks.world import ADD_PRODUCT, BALANCE_MINOR, World, now
from rewards.wallets import service as wallets
from rewards.wallets.model import NewWallet, TopUp

MANY = 1_000_000
CHUNK = 50_000
DAYS = 30
USD_PRODUCTS, EUR_PRODUCTS = range(201, 251), range(251, 261)
EURO_CLIENTS = 50
TIMEOUT_S = 600.0

EUROS = """
INSERT INTO currencies (code, name, symbol, exponent) VALUES ('EUR', 'Euro', '€', 2)
    ON CONFLICT DO NOTHING
"""
IN_EUROS = "UPDATE products SET currency = 'EUR' WHERE id = ANY($1::bigint[])"

# Thousandths of all orders: up to which, where they stand, how many are ordered and what became of
# them, by which path they came there from WAITING, and who took it.
ENDS = (
    (928, "DELIVERED·COMPLETED"),
    (938, "DELIVERED·GV_LINK_UNCLAIMED"),
    (948, "DELIVERED·GV_LINK_CLAIMED"),
    (973, "CANCELLED·REFUNDED"),
    (976, "FAILED·REFUNDED"),
    (977, "CANCELLED·NOT_REFUNDED"),
    (987, "PENDING·VENDOR_ORDER_PENDING"),
    (989, "PENDING·VENDOR_ORDER_FAILED"),
    (990, "PENDING·PENDING_REPROCESS"),
    (991, "PENDING·INITIAL"),
    (1000, "PARTIALLY_DELIVERED·PARTIAL"),
)
_STATE = " ".join(f"WHEN n * 7919 % 1000 < {upto} THEN '{state}'" for upto, state in ENDS)

# A fifth of all orders are one client's, another fifth those of ten more.
MADE = f"""
CREATE UNLOGGED TABLE bench_made AS
WITH one AS (
    SELECT n, CASE {_STATE} END AS state,
        CASE WHEN n % 5 = 0 THEN 1 WHEN n % 5 = 1 THEN 2 + n / 5 % 10
            ELSE 12 + n * 7907 % (cardinality($2::bigint[]) - 11) END AS place,
        $3::timestamptz - ($1::bigint - n) * (interval '{DAYS} days' / $1::bigint) AS at
    FROM generate_series(1, $1::bigint) AS n
),
chosen AS (
    SELECT n, place, at, ($2::bigint[])[place] AS client_id,
        CASE WHEN state = 'DELIVERED·COMPLETED' AND at < $3::timestamptz - interval '1 day'
            THEN 'DELIVERED·RECONCILED' ELSE state END AS state,
        CASE WHEN state = 'PENDING·INITIAL' THEN 60 WHEN state LIKE 'PARTIALLY%' THEN 3
            WHEN n % 4 = 0 THEN 2 WHEN n % 50 = 1 THEN 5 ELSE 1 END AS quantity,
        CASE WHEN place <= {EURO_CLIENTS} AND n % 7 = 0
                THEN {EUR_PRODUCTS[0]} + n / 7 % {len(EUR_PRODUCTS)}
            WHEN n % 6 = 0 THEN {USD_PRODUCTS[0]}
            ELSE {USD_PRODUCTS[0]} + n * 104729 % {len(USD_PRODUCTS)} END AS product_id
    FROM one
),
counted AS (
    SELECT c.*, p.currency, p.revision_id, r.name AS product_name,
        d.min_minor AS denomination_minor,
        d.min_minor * c.quantity * 98 / 100 AS amount_minor,
        d.min_minor * c.quantity - d.min_minor * c.quantity * 98 / 100 AS discount_minor,
        split_part(state, '·', 1) AS status, split_part(state, '·', 2) AS sub_status,
        CASE WHEN state LIKE 'DELIVERED%' THEN quantity WHEN state LIKE 'PARTIALLY%' THEN 1
            ELSE 0 END AS fulfilled,
        CASE WHEN state ~ '^(CANCELLED|FAILED)' THEN quantity ELSE 0 END AS cancelled,
        CASE WHEN n % 100 = 50 THEN 'Orders@Bigcorp.example'
            WHEN n % 3 = 0 THEN 'buyer' || n * 31 % 50000 || '@example.com' END AS email
    FROM chosen AS c JOIN products AS p ON p.id = c.product_id
    JOIN product_revisions AS r ON r.id = p.revision_id
    JOIN denominations AS d ON d.product_id = p.id
)
SELECT c.*, w.id AS wallet_id, least(at + interval '40 minutes', $3::timestamptz) AS then_at,
    sum(fulfilled) OVER (ORDER BY n) - fulfilled AS units_before
FROM counted AS c JOIN wallets AS w ON w.client_id = c.client_id AND w.currency = c.currency
"""
# Every debit and refund in the order of its id, as the wallets saw them.
MOVED = """
CREATE UNLOGGED TABLE bench_moved AS
SELECT m.*, m.number + (SELECT max(id) FROM ledger_transfers) AS id,
    w.version + row_number() OVER chain AS version,
    w.balance_minor + sum(m.moved_minor) OVER chain AS balance_minor
FROM (
    SELECT n, kind, moved_minor, moved_at, client_id, wallet_id, currency,
        row_number() OVER (ORDER BY moved_at, kind, n) AS number
    FROM bench_made CROSS JOIN LATERAL (
        VALUES ('ORDER', -amount_minor, at), ('REFUND', amount_minor, then_at)
    ) AS v (kind, moved_minor, moved_at)
    WHERE kind = 'ORDER' OR state IN ('CANCELLED·REFUNDED', 'FAILED·REFUNDED')
) AS m JOIN wallets AS w ON w.id = m.wallet_id
WINDOW chain AS (PARTITION BY m.wallet_id ORDER BY m.number)
"""
KEYS = (
    "CREATE UNIQUE INDEX bench_made_key ON bench_made (n)",
    "CREATE UNIQUE INDEX bench_moved_key ON bench_moved (n, kind)",
    "ANALYZE bench_made",
    "ANALYZE bench_moved",
)
ORDERS = """
INSERT INTO orders (
    id, client_id, ref, transaction_id, wallet_id, currency, amount_minor, discount_minor,
    fees_minor, tax_minor, product_id, product_revision_id, product_name, product_currency,
    denomination_minor, quantity, on_partial, email, status, sub_status, items_created, fulfilled,
    cancelled, refunded_minor, refund_owed_minor, placed_at, changed_at, delivered_at, cancelled_at,
    link_type
)
SELECT n, o.client_id, CASE WHEN n % 1000 < 3 THEN 'shared-' || n / 1000
        ELSE 'PO-' || n END,
    t.id, o.wallet_id, o.currency, amount_minor, discount_minor, 0, 0, product_id, revision_id,
    product_name, o.currency, denomination_minor, quantity, 'KEEP', email, status, sub_status,
    CASE WHEN state = 'PENDING·INITIAL' THEN 0 ELSE quantity END, fulfilled, cancelled,
    CASE WHEN state IN ('CANCELLED·REFUNDED', 'FAILED·REFUNDED') THEN amount_minor ELSE 0 END,
    CASE WHEN sub_status = 'NOT_REFUNDED' THEN amount_minor ELSE 0 END, at,
    CASE WHEN status = 'PENDING' THEN at ELSE then_at END,
    CASE WHEN status = 'DELIVERED' THEN at END, CASE WHEN status = 'CANCELLED' THEN then_at END,
    CASE WHEN sub_status LIKE 'GV_LINK%' THEN 'PUBLIC' END
FROM bench_made AS o JOIN bench_moved AS t USING (n)
WHERE n BETWEEN $1 AND $2 AND t.kind = 'ORDER'
"""
ITEMS = """
INSERT INTO order_items (order_id, position, status, unit_id, delivered_at, link_status)
SELECT n, i, CASE WHEN i <= fulfilled THEN 'DELIVERED' WHEN cancelled > 0 THEN 'CANCELLED'
        ELSE 'PENDING' END,
    CASE WHEN i <= fulfilled THEN (SELECT first FROM bench_units) + units_before + i - 1 END,
    CASE WHEN i <= fulfilled THEN at END,
    CASE WHEN sub_status LIKE 'GV_LINK%' THEN sub_status END
FROM bench_made CROSS JOIN LATERAL generate_series(1, quantity) AS i
WHERE n BETWEEN $1 AND $2 AND state <> 'PENDING·INITIAL'
"""
UNITS = f"""
INSERT INTO units (id, product_id, denomination_minor, currency, batch_id, state, expires_at,
    sealed, fingerprint, created_at)
SELECT b.first + units_before + i - 1, product_id, denomination_minor, currency,
    b.batch_id + 1 + (units_before + i - 1) / {around.A_BATCH},
    CASE WHEN state = 'DELIVERED·RECONCILED' THEN 'COMPLETED' ELSE 'DELIVERED' END, b.expires_at,
    b.sealed, int8send(b.first + units_before + i - 1), at - interval '3 days'
FROM bench_made CROSS JOIN LATERAL generate_series(1, fulfilled) AS i CROSS JOIN bench_units AS b
WHERE n BETWEEN $1 AND $2
"""
TRANSFERS = """
INSERT INTO ledger_transfers (id, kind, client_id, wallet_id, amount_minor, order_id, created_at)
SELECT id, kind, client_id, wallet_id, moved_minor, n, moved_at FROM bench_moved
WHERE n BETWEEN $1 AND $2
"""
ENTRIES = """
INSERT INTO ledger_entries (transfer_id, account_id, currency, amount_minor, balance_minor, version)
SELECT m.id, v.account_id, m.currency, v.amount_minor, v.balance_minor, v.version
FROM bench_moved AS m
JOIN system_accounts AS s ON s.kind = 'SALES' AND s.currency = m.currency
CROSS JOIN LATERAL (VALUES
    (m.wallet_id, m.moved_minor, m.balance_minor::bigint, m.version),
    (s.id, -m.moved_minor, NULL, NULL)
) AS v (account_id, amount_minor, balance_minor, version)
WHERE m.n BETWEEN $1 AND $2
"""
BALANCES = """
UPDATE wallets AS w SET balance_minor = m.balance_minor, version = m.version
FROM (SELECT DISTINCT ON (wallet_id) * FROM bench_moved ORDER BY wallet_id, version DESC) AS m
WHERE m.wallet_id = w.id
"""
# What was done to each order, and by whom; the trail says the same.
_ACTS = """
FROM bench_made CROSS JOIN LATERAL (
    SELECT 1 AS seq, 'CLIENT' AS actor, client_id AS actor_id, at AS moment, 'order.placed' AS act,
        CASE WHEN status = 'DELIVERED' THEN ARRAY['PLACED·INITIAL', 'PENDING·INVENTORY_FULFILLED']
                || CASE WHEN sub_status LIKE 'GV_LINK%' THEN ARRAY['PENDING·GV_LINK_PENDING',
                    'DELIVERED·GV_LINK_UNCLAIMED'] ELSE ARRAY['DELIVERED·COMPLETED'] END
            WHEN status LIKE 'PART%' THEN
                ARRAY['PLACED·INITIAL', 'PENDING·INVENTORY_FULFILLED', state]
            WHEN state = 'PENDING·INITIAL' THEN ARRAY['PLACED·INITIAL', state]
            ELSE ARRAY['PLACED·INITIAL', 'PENDING·VENDOR_ORDER_PENDING'] END AS path
    UNION ALL
    SELECT 2, CASE WHEN state = 'DELIVERED·RECONCILED' THEN 'SYSTEM' WHEN state LIKE 'DELIV%'
            THEN 'HOLDER' ELSE 'STAFF' END,
        CASE WHEN state NOT LIKE 'DELIV%' THEN 1 + n % 5 END, then_at,
        CASE WHEN state = 'DELIVERED·RECONCILED' THEN 'order.reconciled'
            WHEN state LIKE 'DELIV%' THEN 'order.claimed'
            WHEN state LIKE 'PENDING%' THEN 'order.vendor_approved' ELSE 'order.cancelled' END,
        CASE state WHEN 'DELIVERED·RECONCILED' THEN ARRAY['DELIVERED·COMPLETED', state]
            WHEN 'DELIVERED·GV_LINK_CLAIMED' THEN ARRAY['DELIVERED·GV_LINK_UNCLAIMED', state]
            WHEN 'PENDING·VENDOR_ORDER_FAILED' THEN
                ARRAY['PENDING·VENDOR_ORDER_PENDING', 'PENDING·VENDOR_ORDER_CREATED', state]
            ELSE ARRAY['PENDING·VENDOR_ORDER_PENDING', state] END
    WHERE status IN ('CANCELLED', 'FAILED') OR sub_status IN ('RECONCILED', 'GV_LINK_CLAIMED',
        'VENDOR_ORDER_FAILED', 'PENDING_REPROCESS')
) AS acts
WHERE n BETWEEN $1 AND $2
"""
TRANSITIONS = f"""
INSERT INTO order_transitions (order_id, seq, path, actor_kind, actor_id, reason, at)
SELECT n, seq, path, actor, actor_id, CASE WHEN actor = 'STAFF' THEN 'the client asked' END, moment
{_ACTS}
"""
TRAIL = f"""
INSERT INTO audit_entries (at, actor_kind, actor_id, client_id, action, subject_kind, subject_id,
    facts, reason, request_id, address)
SELECT moment, actor, actor_id, client_id, act, 'order', n,
    jsonb_build_object('from', path[1], 'to', path[cardinality(path)], 'currency', currency,
        'quantity', quantity, 'fulfilled', fulfilled, 'amount_minor', amount_minor),
    CASE WHEN actor = 'STAFF' THEN 'the client asked' END,
    CASE WHEN actor <> 'SYSTEM' THEN 'req_' || lpad(to_hex(n * 2 + seq), 24, '0') END,
    CASE WHEN actor <> 'SYSTEM' THEN '203.0.113.' || place % 250 END
{_ACTS}
"""
TALLIES = """
INSERT INTO order_tallies (client_id, day, product_id, currency, status, sub_status, orders,
    amount_minor)
SELECT client_id, (placed_at AT TIME ZONE 'UTC')::date, product_id, currency, status, sub_status,
    count(*), sum(amount_minor)
FROM orders GROUP BY 1, 2, 3, 4, 5, 6
"""
IDEMPOTENCY = """
INSERT INTO idempotency_keys (client_id, route, key, fingerprint, answer, created_at)
SELECT client_id, 'POST /api/v1/orders', 'key-' || lpad(n::text, 12, '0'), sha256(int8send(n)),
    jsonb_build_object('order_id', n, 'status', status, 'sub_status', sub_status,
        'fulfilled', fulfilled), at
FROM bench_made WHERE n BETWEEN $1 AND $2 AND n % 2 = 0
"""
A_CHUNK = (ORDERS, ITEMS, UNITS, TRANSFERS, ENTRIES, TRANSITIONS, TRAIL, IDEMPOTENCY)
SEQUENCES = """
SELECT setval('orders_id_seq', (SELECT max(id) FROM orders)),
    setval('units_id_seq', (SELECT max(id) FROM units)),
    setval('ledger_transfers_id_seq', (SELECT max(id) FROM ledger_transfers))
"""


@dataclass(frozen=True, slots=True)
class Filled:
    """What a case asks for: how many orders there are, whose most are, and until when."""

    orders: int
    client_id: int
    at: datetime


async def fill(world: World, many: int = MANY) -> Filled:
    """Fill the world, which has no orders yet; a million takes some minutes."""
    at = now()
    client_ids = [caller.client_id for caller in world.callers]
    await _reference(world, client_ids, at)
    await _run(world, MADE, many, client_ids, at)
    for statement in (MOVED, *around.UNIT_SOURCE, *KEYS):
        await _run(world, statement)
    for first in range(1, many + 1, CHUNK):
        for statement in (*A_CHUNK, *around.A_CHUNK):
            await _run(world, statement, first, min(first + CHUNK - 1, many))
    for statement in (BALANCES, TALLIES, SEQUENCES, *around.ONCE):
        await _run(world, statement)
    for statement in ("DROP TABLE bench_made, bench_moved, bench_units",):
        await _run(world, statement)
    await around.seal(world)
    await world.settle()
    return Filled(many, client_ids[0], at)


async def _reference(world: World, client_ids: Sequence[int], at: datetime) -> None:
    """Products and wallets in two currencies, a batch of stock, staff, endpoints, a vendor."""
    async with world.db.transaction() as tx:
        await tx.execute(EUROS)
        for product_id in (*USD_PRODUCTS, *EUR_PRODUCTS):
            await tx.execute(ADD_PRODUCT, product_id, 1_000 * (1 + product_id % 5), False)
        await tx.execute(IN_EUROS, list(EUR_PRODUCTS))
        euros = [NewWallet(client_id, "EUR") for client_id in client_ids[:EURO_CLIENTS]]
        opened = await wallets.open_wallets(tx, euros, at)
        await wallets.top_up(tx, [TopUp(w.id, BALANCE_MINOR, "bench") for w in opened], at)
    await around.prepare(world, client_ids, at)


async def _run(world: World, statement: str, *given: object) -> None:
    async with world.db.transaction() as tx:
        await tx.execute("SET LOCAL synchronous_commit = off")
        await tx.execute("SET LOCAL statement_timeout = 0")
        await tx.execute(statement, *given, timeout=TIMEOUT_S)
