"""What stands around a million orders: events, deliveries, links, mails, requests, staff."""

from collections.abc import Sequence
from datetime import datetime

from benchmarks.world import ORDINARY, World
from rewards.audit.sealing import AuditSealer, key_of
from rewards.clients import service as clients
from rewards.core.actor import SYSTEM
from rewards.core.clock import SystemClock
from rewards.infra.db import Tx
from rewards.infra.passwords import Passwords
from rewards.sandbox.vendors import DEMOS
from rewards.staff import service as staff
from rewards.staff.model import NewStaff, Role
from rewards.vendors import service as vendors
from rewards.vendors.account import NewAccount

# So many clients have an endpoint, of which every tenth fails.
ENDPOINTS = 200
SEAL_AT_ONCE = 20_000
PASSWORD = "a long and quiet password"
MEMBER = "bench-owner"
# Where no vendor listens; none is asked for anything.
NOBODY = "http://127.0.0.1:9"

# So many units come in by one file; `bench_units.batch_id` is the batch before the first.
A_BATCH = 50_000
UNIT_SOURCE = (
    """
    CREATE UNLOGGED TABLE bench_units AS
    SELECT u.batch_id, u.sealed, u.expires_at, (SELECT max(id) + 1 FROM units) AS first
    FROM units AS u LIMIT 1
    """,
    f"""
    INSERT INTO batches (source, name, status_at, state, created_at, touched_at, finished_at)
    SELECT 'FILE', 'bench ' || n, at, 'DONE', at, at, at
    FROM (SELECT max(units_before) / {A_BATCH} AS last, min(at) AS at FROM bench_made) AS made,
        generate_series(0, last + 1) AS n
    """,
)
EVENTS = """
INSERT INTO events (client_id, type, order_id, data, created_at, mail)
SELECT client_id, CASE status WHEN 'DELIVERED' THEN 'order.delivered'
        WHEN 'PARTIALLY_DELIVERED' THEN 'order.partially_delivered'
        WHEN 'PENDING' THEN 'order.created' WHEN 'FAILED' THEN 'order.failed'
        ELSE 'order.cancelled' END,
    n, jsonb_build_object('order_id', n, 'ref', 'PO-' || n, 'status', status,
        'sub_status', sub_status, 'vouchers_ready', fulfilled, 'total_vouchers', quantity),
    at, false
FROM bench_made WHERE n BETWEEN $1 AND $2 ORDER BY n
"""
LINKS = """
INSERT INTO claim_links (id, order_id, position, digest, sealed, claim_before, created_at,
    claimed_at)
SELECT nextval('claim_links_id_seq'), n, i, sha256(int8send(n * 100 + i)), int8send(n),
    at + interval '365 days', at, CASE WHEN sub_status = 'GV_LINK_CLAIMED' THEN then_at END
FROM bench_made CROSS JOIN LATERAL generate_series(1, quantity) AS i
WHERE n BETWEEN $1 AND $2 AND sub_status LIKE 'GV_LINK%'
"""
MAILS = """
WITH told AS (
    INSERT INTO notices (client_id, kind, audience, address, cause, order_id, facts, message_id,
        state, attempts, next_at, reason, created_at, finished_at)
    SELECT client_id, 'ORDER_DELIVERED', 'CUSTOMER', email, 'order-' || n, n, '{}',
        '<' || n || '@bench>', 'SENT', 1, at, NULL, at, at
    FROM bench_made WHERE n BETWEEN $1 AND $2 AND email IS NOT NULL AND status = 'DELIVERED'
    RETURNING id, created_at
)
INSERT INTO notice_attempts (notice_id, number, outcome, stage, reply_code, started_at, took_ms)
SELECT id, 1, 'ACCEPTED', 'DATA', 250, created_at, 80 FROM told
"""
# Of the last week: placing, and three looks at each order.
REQUESTS = """
INSERT INTO client_requests (slot, client_id, at, request_id, method, route, status, code, took_us,
    credential_id, address)
SELECT (at::date - date '1970-01-01') % 16, client_id, at + i * interval '1 second',
    'req_' || lpad(to_hex(n * 16 + i), 24, '0'), CASE i WHEN 0 THEN 'POST' ELSE 'GET' END,
    '/api/v1/orders' || CASE i WHEN 0 THEN '' ELSE '/{order_id}' END,
    CASE WHEN (n + i) % 50 = 0 THEN 404 ELSE 200 END,
    CASE WHEN (n + i) % 50 = 0 THEN 'ORDER_NOT_FOUND' END, 900 + n % 5000, place, '203.0.113.7'
FROM bench_made CROSS JOIN LATERAL generate_series(0, 3) AS i
WHERE n BETWEEN $1 AND $2 AND at > now() - interval '6 days 20 hours'
"""
PURCHASES = """
WITH bought AS (
    INSERT INTO vendor_orders (vendor_id, key, purpose, subject_id, sku, face_minor, currency,
        quantity, state, vendor_ref, reason, calls, next_at, window_ends_at, case_at, created_at,
        sent_at, settled_at)
    SELECT (SELECT min(id) FROM vendors), 'bench-' || n, 'ORDER', n, 'SKU', denomination_minor,
        currency, quantity, v.state, 'V' || n, v.reason, 2, then_at + interval '10 years',
        then_at + interval '1 day', v.case_at, then_at, then_at, v.settled_at
    FROM bench_made CROSS JOIN LATERAL (
        SELECT 'REFUSED' AS state, 'OUT_OF_STOCK' AS reason, NULL::timestamptz AS case_at,
            then_at AS settled_at WHERE sub_status = 'VENDOR_ORDER_FAILED'
        UNION ALL SELECT 'UNKNOWN', NULL, then_at, NULL WHERE sub_status = 'PENDING_REPROCESS'
    ) AS v
    WHERE n BETWEEN $1 AND $2
    RETURNING id, vendor_id, created_at
)
INSERT INTO vendor_exchanges (vendor_id, vendor_order_id, call, method, path, request, status,
    answer, took_ms, at)
SELECT vendor_id, id, 'place', 'POST', '/orders', repeat('{"a": 1}', 20), 500, repeat('no ', 50),
    300, created_at + i * interval '1 minute'
FROM bought CROSS JOIN LATERAL generate_series(1, 8) AS i
"""
A_CHUNK = (EVENTS, LINKS, MAILS, REQUESTS, PURCHASES)

FEED = """
INSERT INTO event_feed (client_id, sequence, event_id, sealed_at)
SELECT client_id, row_number() OVER (PARTITION BY client_id ORDER BY id), id, created_at
FROM events ORDER BY id
"""
COUNTERS = """
INSERT INTO event_counters (client_id, last_sequence)
SELECT client_id, max(sequence) FROM event_feed GROUP BY client_id
"""
SEALED = "UPDATE event_sealing SET sealed = pg_current_snapshot()"
READ = """
UPDATE notice_reading SET through_xid = pg_current_xact_id(), after_id = 0
"""
DELIVERIES = """
INSERT INTO webhook_deliveries (endpoint_id, client_id, event_id, sequence, event_type, status,
    attempts, next_at, last_status_code, last_error, created_at, finished_at)
SELECT w.id, e.client_id, e.id, f.sequence, e.type, v.status, 1, e.created_at, v.code, v.error,
    e.created_at, e.created_at + interval '1 second'
FROM events AS e JOIN event_feed AS f ON f.event_id = e.id
JOIN webhook_endpoints AS w ON w.client_id = e.client_id
CROSS JOIN LATERAL (
    SELECT 'DELIVERED' AS status, 200 AS code, NULL AS error WHERE e.id % 100 <> 0
    UNION ALL SELECT 'FAILED', 410, 'answered 410' WHERE e.id % 100 = 0
) AS v
WHERE e.order_id IS NOT NULL ORDER BY e.id
"""
ATTEMPTS = """
INSERT INTO webhook_attempts (delivery_id, number, started_at, took_ms, status_code, answer)
SELECT id, 1, created_at, 40, last_status_code, 'ok' FROM webhook_deliveries
"""
# Of each product so many units, a twelfth of them in the pool: at a million orders 5,000.
ON_SHELF = """
WITH batch AS (
    INSERT INTO batches (source, name, status_at, state, created_at, touched_at, finished_at)
    SELECT 'FILE', 'bench shelf', at, 'DONE', at, at, at
    FROM (SELECT min(at) AS at FROM bench_made) AS made
    RETURNING id, created_at
), stocked AS (
    INSERT INTO units (id, product_id, denomination_minor, currency, batch_id, state, expires_at,
        sealed, fingerprint, created_at)
    SELECT one.id, product_id, denomination_minor, currency, batch.id, 'AVAILABLE', u.expires_at,
        u.sealed, int8send(one.id), batch.created_at
    FROM (
        SELECT nextval('units_id_seq') AS id, p.*
        FROM (SELECT DISTINCT product_id, denomination_minor, currency FROM bench_made) AS p,
            generate_series(1, (SELECT count(*) FROM bench_made) / 200) AS n
    ) AS one, batch, bench_units AS u
    RETURNING id, product_id, denomination_minor, currency, expires_at
)
INSERT INTO shelf (unit_id, product_id, denomination_minor, currency, expires_at, loaded)
SELECT id, product_id, denomination_minor, currency, expires_at, id % 12 = 0 FROM stocked
"""
STOCK = """
UPDATE batches AS b SET loaded = u.units, rows_read = u.units
FROM (SELECT batch_id, count(*) AS units FROM units GROUP BY batch_id) AS u WHERE u.batch_id = b.id
"""
ONCE = (FEED, COUNTERS, SEALED, READ, DELIVERIES, ATTEMPTS, ON_SHELF, STOCK)

HOOKS = """
INSERT INTO webhook_endpoints (client_id, name, url, secret, status, failing_since, created_at,
    updated_at)
SELECT c, 'Shop', 'https://hooks.example.com/' || c, '\\x00', 'ENABLED',
    CASE WHEN c % 10 = 3 THEN $2::timestamptz - interval '3 hours' END, $2, $2
FROM unnest($1::bigint[]) AS c
"""
# What people of the staff left behind: requests for a second person, findings, files, alerts.
APPROVALS = """
INSERT INTO approvals (kind, subject_kind, subject_id, amount_minor, currency, state, requested_by,
    reason, requested_at, expires_at, decided_by, decided_at)
SELECT 'TOPUP', 'wallet', n, 100000, 'USD', v.state, 1, 'for the campaign', $1, $1 + '1 day',
    v.by, v.at
FROM generate_series(1, 5000) AS n CROSS JOIN LATERAL (
    SELECT 'REQUESTED' AS state, NULL::bigint AS by, NULL::timestamptz AS at WHERE n % 50 = 0
    UNION ALL SELECT 'REJECTED', 2, $1 WHERE n % 50 <> 0
) AS v
"""
RUNS = """
INSERT INTO reconciliation_runs (day, state, phase, next_at, started_at, ended_at)
SELECT $1::timestamptz::date - n, 'DONE', 'UNITS', $1, $1, $1 FROM generate_series(1, 30) AS n
"""
DRIFTS = """
INSERT INTO drifts (run_id, day, kind, subject_kind, subject, ours, theirs, found_at)
SELECT r.id, r.day, 'LEDGER_DIFFERS', 'order', (r.id * 100 + n)::text, '{"a": 1}', '{"a": 2}', $1
FROM reconciliation_runs AS r, generate_series(1, 40) AS n
"""
ALERTS = """
INSERT INTO alerts (kind, subject, level, facts, raised_at, seen_at, cleared_at)
SELECT 'ORDERS_STUCK', 'bench ' || n, n, '{}', $1::timestamptz - n * interval '1 minute', $1,
    $1
FROM generate_series(1, 5000) AS n
"""
REPORTS = """
INSERT INTO reports (kind, parameters, asked_by, state, asked_at, ended_at, expires_at)
SELECT 'ORDERS', '{}', 1 + n % 5, 'EXPIRED', $1, $1, $1 FROM generate_series(1, 500) AS n
"""
STOCK_ORDERS = """
INSERT INTO stock_orders (product_id, denomination_minor, currency, vendor_id, quantity, cost_minor,
    state, second_person, asked_by, reason, created_at, changed_at, ended_at)
SELECT 201 + n % 50, 2500, 'USD', v.id, 100, 240000, 'FAILED', false, 1, 'runs out', $1, $1, $1
FROM vendors AS v, generate_series(1, 200) AS n
"""
LEFT_BEHIND = (APPROVALS, RUNS, DRIFTS, ALERTS, REPORTS)


async def prepare(world: World, client_ids: Sequence[int], at: datetime) -> None:
    """Stock, staff who can sign in as `<role>@example.com`, endpoints, a vendor, one member."""
    await world.lay_in(ORDINARY, 500)
    passwords = Passwords()
    asks = [NewStaff(f"{role}@example.com", role, PASSWORD) for role in Role]
    digests = await passwords.digests([ask.password for ask in asks])
    login = await clients.prepare_login(passwords, client_ids[0], MEMBER, PASSWORD)
    async with world.db.transaction() as tx:
        await staff.create_staff(tx, asks, digests, at)
        await tx.execute(HOOKS, list(client_ids[:ENDPOINTS]), at)
        for statement in LEFT_BEHIND:
            await tx.execute(statement, at)
        await _vendor(tx, world, at)
        await tx.execute(STOCK_ORDERS, at)
        await clients.add_login(tx, login, at)


async def _vendor(tx: Tx, world: World, at: datetime) -> None:
    demo = DEMOS[0]
    new = NewAccount("Bench vendor", demo.adapter, demo.config_at(NOBODY), demo.secrets)
    await vendors.create(tx, world.vault, new, SYSTEM, at, loopback=True)


async def seal(world: World) -> None:
    """Give each entry of the trail its place and its signature, as a worker would."""
    clock = SystemClock()
    sealer = AuditSealer(world.db, clock, key_of(world.vault), batch_max=SEAL_AT_ONCE)
    await sealer.drain()
