"""A breach for each check of the doctor, to be planted in clean books."""

from tests.entry import books
from tests.entry.books import (
    BULK_ID,
    CANCELLED_ID,
    CLIENT,
    DELIVERED_ID,
    OWED_ID,
    PARTIAL_ID,
    REVOKED_ID,
    WAITING_ID,
)
from tests.entry.planting import Plant
from tests.entry.plants_audit import PLANTS_AUDIT
from tests.entry.plants_claims import PLANTS_CLAIMS
from tests.entry.plants_money import PLANTS_MONEY, STAFF
from tests.entry.plants_webhooks import PLANTS_WEBHOOKS

RETALLY = f"DELETE FROM order_tallies; {books.TALLY};"
DROP = "ALTER TABLE {} DROP CONSTRAINT {};"
AUDIT = (
    "UPDATE audit_entries SET facts = facts || '{}' WHERE subject_id = {} AND actor_kind = '{}';"
)
ACT = "UPDATE order_transitions SET path = '{}' WHERE order_id = {} AND seq = {};"
FEWER = "UPDATE batches SET loaded = loaded - 1, rows_read = rows_read - 1;"
MORE = "UPDATE batches SET loaded = loaded + 1, rows_read = rows_read + 1;"
UNITS = f"SELECT unit_id FROM order_items WHERE order_id = {DELIVERED_ID}"
NEW_UNIT = """
INSERT INTO units (id, product_id, denomination_minor, currency, batch_id, state, sealed,
    fingerprint, created_at)
SELECT {}, {}, 2500, 'USD', 1, '{}', sealed, int8send({}), '2026-11-20' FROM units LIMIT 1;
"""

VENDOR = """
INSERT INTO vendors (name, adapter, config, sealed, created_at, changed_at)
VALUES ('Vendor', 'sandbox', '{}', 'x', '2026-11-20', '2026-11-20');
"""
EXCHANGE = """
INSERT INTO vendor_exchanges (vendor_id, vendor_order_id, call, method, path, took_ms, at)
VALUES ({}, {}, 'read', 'GET', '/', 1, '2026-11-20');
"""

APPROVED = f"""
INSERT INTO audit_entries (at, actor_kind, action, subject_kind, subject_id)
VALUES (now(), 'SYSTEM', 'order.vendor_approved', 'order', {WAITING_ID});
"""
# An order whose day agreed: its history, its audit row, and (all but one of) its units.
RECONCILED = (
    f"UPDATE orders SET sub_status = 'RECONCILED' WHERE id = {DELIVERED_ID};"
    + ACT.format(
        "{PLACED·INITIAL,PENDING·INVENTORY_FULFILLED,DELIVERED·COMPLETED,DELIVERED·RECONCILED}",
        DELIVERED_ID,
        1,
    )
    + AUDIT.format('{"to": "DELIVERED·RECONCILED"}', DELIVERED_ID, "CLIENT")
    + RETALLY
)
COMPLETE = "UPDATE units SET state = 'COMPLETED' WHERE id IN ({});"
RUN = """
INSERT INTO reconciliation_runs (day, state, phase, next_at, started_at)
VALUES ('2026-11-20', 'RUNNING', 'ORDERS', now(), now());
"""

# `rest`: what else is told of it, as columns and as values.
PURCHASE = """
INSERT INTO vendor_orders (vendor_id, key, purpose, subject_id, position, sku, face_minor, currency,
    quantity, state, next_at, window_ends_at, created_at, {columns})
VALUES (1, {key}, '{purpose}', {subject}, {position}, 'A', 2500, 'USD', 1, '{state}', now(), now(),
    now(), {values});
"""


def purchase(
    subject: int,
    state: str,
    *,
    key: int = 1,
    purpose: str = "ORDER",
    position: int = 0,
    **rest: str,
) -> str:
    if state in ("FULFILLED", "REFUSED", "NOT_PLACED"):
        rest["settled_at"] = "now()"
    return PURCHASE.format(
        subject=subject,
        state=state,
        key=key,
        purpose=purpose,
        position=position,
        columns=", ".join(rest),
        values=", ".join(rest.values()),
    )


STOCK = """
INSERT INTO stock_orders (product_id, denomination_minor, currency, vendor_id, quantity, cost_minor,
    state, second_person, received, usable, asked_by, reason, created_at, changed_at, ended_at)
VALUES (6, 2500, 'USD', 1, {quantity}, 2500, '{state}', {second}, {came}, {came}, 1, 'why',
    '2026-11-20', '2026-11-20', {ended});
"""
# A batch of units that came with a purchase, each for 1250.
ARRIVED = """
INSERT INTO batches (source, name, state, status_at, created_at, touched_at)
VALUES ('VENDOR', 'Vendor order 1', 'DONE', now(), now(), now());
INSERT INTO units (id, product_id, denomination_minor, currency, batch_id, state, sealed,
    fingerprint, created_at, cost_minor, cost_currency)
SELECT 90 + n, 6, {face}, 'USD', (SELECT max(id) FROM batches), 'REVOKED', sealed, int8send(90 + n),
    now(), 1250, 'USD'
FROM (SELECT sealed FROM units LIMIT 1) AS u, generate_series(1, {count}) AS n;
"""
LAST_BATCH = "(SELECT max(id) FROM batches)"


def stock(state: str, *, second: bool = False, quantity: int = 1, came: int = 0) -> str:
    """A vendor, two people, and a stock order of one of them."""
    ended = "NULL" if state in ("WAITING", "ORDERED") else "now()"
    return (
        VENDOR
        + STAFF
        + STOCK.format(state=state, second=second, quantity=quantity, came=came, ended=ended)
    )


def bought(state: str = "FULFILLED", *, key: int = 1, **rest: str) -> str:
    """A purchase for that stock order."""
    return purchase(1, state, purpose="STOCK", key=key, position=key - 1, sent_at="now()", **rest)


def notice(*, state: str = "QUEUED", client: int = CLIENT) -> str:
    """Mail to a client about an order of it, tried once."""
    ended = "NULL" if state == "QUEUED" else "now()"
    return f"""
    INSERT INTO notices (client_id, kind, audience, address, cause, order_id, facts, message_id,
        state, attempts, next_at, created_at, finished_at)
    VALUES ({client}, 'ORDER_CANCELLED', 'CLIENT', 'a@client.example', 'order', {CANCELLED_ID},
        '{{}}', '<1@x>', '{state}', 1, now(), now(), {ended});
    """


def tried(number: int, outcome: str) -> str:
    return f"""
    INSERT INTO notice_attempts (notice_id, number, outcome, started_at, took_ms)
    VALUES (1, {number}, '{outcome}', now(), 1);
    """


PLANTS = {
    "i6_append_only_tables_are_guarded": Plant(
        "ALTER TABLE ledger_entries DISABLE TRIGGER ledger_entries_append_only", "ledger_entries"
    ),
    "i6_nobody_may_rewrite_history": Plant(
        "GRANT UPDATE ON order_transitions TO pg_monitor", "order_transitions"
    ),
    "i7_order_is_debited_once_and_in_full": Plant(
        f"UPDATE orders SET amount_minor = amount_minor + 1 WHERE id = {DELIVERED_ID}; {RETALLY}",
        DELIVERED_ID,
    ),
    "i7_transaction_of_an_order_is_its_debit": Plant(
        f"UPDATE orders SET transaction_id = 1 WHERE id = {DELIVERED_ID}", DELIVERED_ID
    ),
    "i7_order_and_its_debit_tell_one_rate": Plant(
        "ALTER TABLE ledger_transfers DISABLE TRIGGER USER;"
        "UPDATE ledger_transfers SET forex_rate = 1.5, source_currency = 'USD'"
        f" WHERE kind = 'ORDER' AND order_id = {DELIVERED_ID};"
        "ALTER TABLE ledger_transfers ENABLE TRIGGER USER",
        DELIVERED_ID,
    ),
    "i7_order_has_a_rate_where_currencies_differ": Plant(
        "ALTER TABLE ledger_transfers DISABLE TRIGGER USER;"
        "UPDATE ledger_transfers SET forex_rate = 1.5, source_currency = 'USD'"
        f" WHERE kind = 'ORDER' AND order_id = {DELIVERED_ID};"
        "ALTER TABLE ledger_transfers ENABLE TRIGGER USER;"
        f"UPDATE orders SET forex_rate = 1.5 WHERE id = {DELIVERED_ID}",
        DELIVERED_ID,
    ),
    "i7_refunds_of_an_order_are_booked": Plant(
        "UPDATE orders SET refunded_minor = refunded_minor - 1, refund_owed_minor = 1"
        f" WHERE id = {PARTIAL_ID}",
        PARTIAL_ID,
    ),
    "i7_refund_is_the_price_of_what_went_back": Plant(
        f"UPDATE orders SET refund_owed_minor = 1 WHERE id = {PARTIAL_ID}", PARTIAL_ID
    ),
    "i7_owed_refund_is_told": Plant(
        f"UPDATE orders SET sub_status = 'REFUNDED' WHERE id = {OWED_ID};"
        + ACT.format("{PENDING·VENDOR_ORDER_PENDING,CANCELLED·REFUNDED}", OWED_ID, 2)
        + AUDIT.format('{"to": "CANCELLED·REFUNDED"}', OWED_ID, "STAFF")
        + RETALLY,
        OWED_ID,
    ),
    "i8_reference_names_one_order": Plant(
        DROP.format("orders", "orders_ref_key")
        + f"UPDATE orders SET ref = 'REF-1' WHERE id = {WAITING_ID}",
        DELIVERED_ID,
    ),
    "i8_order_has_one_idempotency_key": Plant(
        "INSERT INTO idempotency_keys SELECT client_id, route, 'key-00002', fingerprint, answer,"
        " created_at FROM idempotency_keys",
        DELIVERED_ID,
    ),
    "i8_idempotency_key_names_an_order_of_its_client": Plant(
        "UPDATE idempotency_keys SET client_id = 2", DELIVERED_ID
    ),
    "i9_unit_is_sold_once": Plant(
        f"DROP INDEX order_items_unit_key; DELETE FROM units WHERE id = (SELECT max(unit_id) FROM"
        f" ({UNITS}) AS u); {FEWER}"
        f"UPDATE order_items SET unit_id = (SELECT min(unit_id) FROM ({UNITS}) AS u)"
        f" WHERE order_id = {DELIVERED_ID}",
        f"SELECT min(unit_id) FROM ({UNITS}) AS u",
    ),
    "i9_replaced_unit_is_nobodys": Plant(
        NEW_UNIT.format(77, 6, "ALLOCATED", 77)
        + MORE
        + f"INSERT INTO order_replacements SELECT 77, order_id, position, unit_id, now()"
        f" FROM order_items WHERE order_id = {DELIVERED_ID} AND position = 1",
        77,
    ),
    "i9_replacement_is_the_items": Plant(
        NEW_UNIT.format(77, 6, "REVOKED", 77)
        + MORE
        + f"INSERT INTO order_replacements VALUES (77, {DELIVERED_ID}, 1, 999, now())",
        999,
    ),
    "i10_delivered_item_has_its_unit": Plant(
        f"DELETE FROM units WHERE id = (SELECT max(unit_id) FROM ({UNITS}) AS u); {FEWER}",
        DELIVERED_ID,
    ),
    "i10_unit_state_fits_its_item": Plant(
        "UPDATE units SET state = 'ALLOCATED'"
        f" WHERE id = (SELECT max(unit_id) FROM ({UNITS}) AS u)",
        DELIVERED_ID,
    ),
    "i10_unit_is_what_was_ordered": Plant(
        "UPDATE units SET denomination_minor = 2501"
        f" WHERE id = (SELECT max(unit_id) FROM ({UNITS}) AS u)",
        DELIVERED_ID,
    ),
    "i10_delivered_unit_has_an_item": Plant(NEW_UNIT.format(77, 6, "DELIVERED", 77) + MORE, 77),
    "i10_counters_of_an_order_count_its_items": Plant(
        f"UPDATE order_items SET status = 'FAILED' WHERE order_id = {WAITING_ID} AND position = 1",
        WAITING_ID,
    ),
    "i10_units_of_a_reconciled_order_are_completed": Plant(
        RECONCILED + COMPLETE.format(f"SELECT min(unit_id) FROM ({UNITS}) AS u"), DELIVERED_ID
    ),
    "i10_completed_unit_was_reconciled": Plant(
        COMPLETE.format(f"SELECT min(unit_id) FROM ({UNITS}) AS u"),
        f"SELECT min(unit_id) FROM ({UNITS}) AS u",
    ),
    "i11_unit_was_good_when_sold": Plant(
        "UPDATE units SET expires_at = '2026-11-21 11:59:59Z'"
        f" WHERE id = (SELECT max(unit_id) FROM ({UNITS}) AS u)",
        DELIVERED_ID,
    ),
    "i15_history_counts_up": Plant(
        f"UPDATE order_transitions SET seq = 2 WHERE order_id = {WAITING_ID}", WAITING_ID
    ),
    "i15_history_begins_at_placed": Plant(
        ACT.format("{PENDING·PROCESSING,PENDING·VENDOR_ORDER_PENDING}", WAITING_ID, 1)
        + AUDIT.format('{"from": "PENDING·PROCESSING"}', WAITING_ID, "CLIENT"),
        WAITING_ID,
    ),
    "i15_history_walks_legal_steps": Plant(
        ACT.format("{PLACED·INITIAL,DELIVERED·COMPLETED}", DELIVERED_ID, 1), DELIVERED_ID
    ),
    "i15_history_is_unbroken": Plant(
        ACT.format("{PENDING·PROCESSING,CANCELLED·REFUNDED}", CANCELLED_ID, 2)
        + AUDIT.format('{"from": "PENDING·PROCESSING"}', CANCELLED_ID, "STAFF"),
        CANCELLED_ID,
    ),
    "i15_history_ends_where_the_order_is": Plant(
        f"UPDATE orders SET sub_status = 'VENDOR_ORDER_FAILED' WHERE id = {WAITING_ID}; {RETALLY}",
        WAITING_ID,
    ),
    "i15_transition_is_audited_once": Plant(
        f"DELETE FROM audit_entries WHERE subject_id = {REVOKED_ID} AND actor_kind = 'STAFF'",
        REVOKED_ID,
    ),
    "i16_status_of_an_order_fits_its_counters": Plant(
        NEW_UNIT.format(77, 6, "DELIVERED", 77)
        + NEW_UNIT.format(78, 6, "DELIVERED", 78)
        + MORE
        + MORE
        + "UPDATE order_items SET status = 'DELIVERED', unit_id = 76 + position,"
        f" delivered_at = '2026-11-21 12:00Z' WHERE order_id = {WAITING_ID};"
        f"UPDATE orders SET fulfilled = 2 WHERE id = {WAITING_ID}",
        WAITING_ID,
    ),
    "i16_tallies_count_the_orders": Plant(
        "UPDATE order_tallies SET orders = orders + 1 WHERE sub_status = 'NOT_REFUNDED'", CLIENT
    ),
    "i18_vendor_order_lease_ends": Plant(
        VENDOR
        + APPROVED
        + purchase(
            WAITING_ID,
            "SENDING",
            sent_at="now()",
            lease="gen_random_uuid()",
            leased_until="now() - interval '2 hours'",
        ),
        1,
    ),
    "i19_one_open_vendor_order_for_a_subject": Plant(
        VENDOR
        + APPROVED
        + purchase(WAITING_ID, "ACCEPTED", sent_at="now()")
        + purchase(WAITING_ID, "READY", key=2, position=1, sent_at="NULL"),
        1,
    ),
    "i19_recharge_is_bought_once": Plant(
        VENDOR
        + APPROVED
        + purchase(WAITING_ID, "FULFILLED", purpose="RECHARGE", position=1, sent_at="now()")
        + purchase(WAITING_ID, "FULFILLED", purpose="RECHARGE", position=1, sent_at="now()", key=2),
        WAITING_ID,
    ),
    "i19_recharge_that_is_a_pin_has_it": Plant(
        VENDOR
        + APPROVED
        + purchase(
            *(WAITING_ID, "FULFILLED"),
            purpose="RECHARGE",
            position=1,
            sent_at="now()",
            received="1",
            quarantined="1",
        )
        + "UPDATE order_items SET recharge_status = 'RECHARGED'"
        f" WHERE order_id = {WAITING_ID} AND position = 1",
        WAITING_ID,
    ),
    "i19_vendor_order_was_sent_before_it_ended": Plant(
        VENDOR + APPROVED + purchase(WAITING_ID, "FULFILLED", sent_at="NULL"), 1
    ),
    "i19_order_at_a_vendor_has_a_purchase": Plant(
        f"UPDATE orders SET sub_status = 'VENDOR_ORDER_CREATED' WHERE id = {WAITING_ID};"
        + ACT.format(
            "{PLACED·INITIAL,PENDING·VENDOR_ORDER_PENDING,PENDING·VENDOR_ORDER_CREATED}",
            WAITING_ID,
            1,
        )
        + AUDIT.format('{"to": "PENDING·VENDOR_ORDER_CREATED"}', WAITING_ID, "CLIENT")
        + RETALLY,
        WAITING_ID,
    ),
    "i19_codes_of_a_vendor_order_are_units": Plant(
        VENDOR
        + APPROVED
        + purchase(WAITING_ID, "FULFILLED", sent_at="now()", received="1", batch_id="99"),
        1,
    ),
    "i19_purchase_for_an_order_was_approved": Plant(
        VENDOR
        + purchase(WAITING_ID, "FULFILLED", sent_at="now()")
        + APPROVED.replace("now()", "now() + interval '1 minute'"),
        1,
    ),
    "i19_purchase_is_what_was_ordered": Plant(
        VENDOR
        + APPROVED
        + purchase(WAITING_ID, "FULFILLED", sent_at="now()").replace(" 2500,", " 2501,"),
        1,
    ),
    "i19_purchases_of_a_reconciled_order_were_compared": Plant(
        VENDOR
        + RECONCILED
        + APPROVED.replace(f"{WAITING_ID});", f"{DELIVERED_ID});")
        + COMPLETE.format(UNITS)
        + purchase(DELIVERED_ID, "FULFILLED", sent_at="now()"),
        DELIVERED_ID,
    ),
    "i19_compared_purchase_is_settled": Plant(
        RUN + "INSERT INTO reconciled_purchases SELECT 77, id, 1, true, now()"
        " FROM reconciliation_runs",
        77,
    ),
    "reconciliation_explained_drift_is_audited_once": Plant(
        RUN + "INSERT INTO drifts (run_id, day, kind, subject_kind, subject, ours, theirs, state,"
        " found_at, explained_by, explained_at, note) SELECT id, day, 'LEDGER_DIFFERS', 'order',"
        " '1', '{}', '{}', 'EXPLAINED', now(), 1, now(), 'seen' FROM reconciliation_runs",
        "SELECT id FROM drifts",
    ),
    "i19_stock_is_ordered_while_a_purchase_is_open": Plant(stock("ORDERED"), 1),
    "i19_purchase_for_stock_is_what_was_ordered": Plant(
        stock("FAILED") + bought("REFUSED").replace("2500", "2501"), 1
    ),
    "i19_no_more_stock_is_bought_than_ordered": Plant(
        stock("RECEIVED", came=1)
        + ARRIVED.format(face=2500, count=1)
        + bought(received="1", batch_id=LAST_BATCH, remaining="1"),
        1,
    ),
    "i19_stock_order_counts_what_came": Plant(
        stock("RECEIVED", came=2)
        + ARRIVED.format(face=2500, count=1)
        + bought(received="1", batch_id=LAST_BATCH),
        1,
    ),
    "i19_units_are_of_the_shelf_that_was_ordered": Plant(
        stock("RECEIVED", came=1)
        + ARRIVED.format(face=2501, count=1)
        + bought(received="1", batch_id=LAST_BATCH),
        91,
    ),
    "i19_units_cost_what_the_vendor_charged": Plant(
        stock("RECEIVED", quantity=2, came=2)
        + ARRIVED.format(face=2500, count=2)
        + bought(received="2", batch_id=LAST_BATCH, cost_minor="2499", cost_currency="'USD'"),
        1,
    ),
    "approval_was_given_for_dear_stock": Plant(
        stock("RECEIVED", second=True, came=1)
        + ARRIVED.format(face=2500, count=1)
        + bought(received="1", batch_id=LAST_BATCH),
        1,
    ),
    "approval_was_asked_for_waiting_stock": Plant(stock("WAITING", second=True), 1),
    "orphan_item": Plant("INSERT INTO order_items VALUES (99, 1, 'PENDING')", 99),
    "orphan_transition": Plant(
        "INSERT INTO order_transitions (order_id, seq, path, actor_kind, at)"
        " VALUES (99, 1, '{PLACED·INITIAL}', 'SYSTEM', now())",
        99,
    ),
    "orphan_order_without_client_or_wallet": Plant(
        "UPDATE orders SET currency = 'EUR', product_currency = 'EUR'"
        f" WHERE id = {BULK_ID}; {RETALLY}",
        BULK_ID,
    ),
    "orphan_order_without_product": Plant(
        f"UPDATE orders SET product_revision_id = 99 WHERE id = {BULK_ID}", BULK_ID
    ),
    "orphan_vendor_product": Plant(
        VENDOR + "INSERT INTO vendor_products (product_id, vendor_id, sku) VALUES (99, 1, 'A')", 99
    ),
    "orphan_exchange": Plant(EXCHANGE.format(77, "NULL"), "SELECT id FROM vendor_exchanges"),
    "vendor_exchange_is_of_its_vendors_purchase": Plant(
        VENDOR + EXCHANGE.format(1, 77), "SELECT id FROM vendor_exchanges"
    ),
    "orphan_transfer": Plant(
        f"DELETE FROM orders WHERE id = {OWED_ID}; DELETE FROM order_items WHERE order_id ="
        f" {OWED_ID}; DELETE FROM order_transitions WHERE order_id = {OWED_ID};"
        f"DELETE FROM events WHERE order_id = {OWED_ID};"
        f"DELETE FROM audit_entries WHERE subject_id = {OWED_ID}; {RETALLY}",
        f"SELECT id FROM ledger_transfers WHERE order_id = {OWED_ID}",
    ),
    "orphan_event": Plant(
        "INSERT INTO events (client_id, type, order_id, data, created_at)"
        " VALUES (1, 'order.created', 99, '{\"order_id\": 99}', now())",
        "SELECT max(id) FROM events",
    ),
    "orphan_audit_row": Plant(
        "INSERT INTO audit_entries (at, actor_kind, action, subject_kind, subject_id)"
        " VALUES (now(), 'SYSTEM', 'order.looked_at', 'order', 99)",
        "SELECT max(id) FROM audit_entries",
    ),
    "i17_event_for_mail_was_read": Plant(
        "UPDATE events SET mail = true WHERE id = (SELECT min(id) FROM events);"
        "INSERT INTO job_schedules (name, next_at, last_at)"
        " VALUES ('notices.causes', now(), 'infinity')",
        "SELECT min(id) FROM events",
    ),
    "i17_notice_was_sent_when_a_server_took_it": Plant(notice(state="SENT"), 1),
    "i17_notice_counts_its_attempts": Plant(notice() + tried(2, "DEFERRED"), 1),
    "i17_notice_is_of_its_order_and_customer": Plant(notice(client=2), 1),
    "i18_notice_is_leased_by_somebody_alive": Plant(
        notice() + "UPDATE notices SET lease = gen_random_uuid(),"
        " leased_until = now() - interval '1 hour'",
        1,
    ),
    "orphan_unit": Plant(NEW_UNIT.format(77, 99, "ALLOCATED", 77) + MORE, 77),
    "no_worker_is_silent": Plant(
        "INSERT INTO process_beats (id, kind, host, pid, version, started_at, beat_at)"
        " VALUES ('00000000-0000-0000-0000-000000000007', 'WORKER', 'a', 1, '1',"
        " now() - interval '1 h', now() - interval '10 min')",
        "00000000-0000-0000-0000-000000000007",
    ),
    "alerts_are_told": Plant(
        "INSERT INTO alerts (kind, subject, level, facts, raised_at, seen_at)"
        " VALUES ('JOBS_LATE', 'job a', 1, '{}', now(), now());"
        " INSERT INTO alert_tellings (alert_id, what, channel, target, next_at)"
        " VALUES (1, 'RAISED', 'WEBHOOK', '', now() - interval '7 h')",
        1,
    ),
    **PLANTS_WEBHOOKS,
    **PLANTS_AUDIT,
    **PLANTS_MONEY,
    **PLANTS_CLAIMS,
}
