"""What must hold between orders and everybody else's tables: one SELECT for each rule.

`rewards doctor` runs them in a read-only transaction. They, and those about vendors in
sql_vendor_checks.py, are the one place where a statement joins tables of several slices
(docs/adr/0003): the hot tables carry no foreign keys, so a reader on the outside must say what the
keys would have said. Nothing here may write.

Each name begins with the invariant it proves; each statement returns the rows that break it, and
its first column names the row.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from rewards.orders.facts import LOOKED
from rewards.orders.model import NEXT, PLACED
from rewards.orders.sql_vendor_checks import CHECKS as VENDOR_CHECKS


def _texts(values: Iterable[object]) -> str:
    return ", ".join(f"'{value}'" for value in values)


STEPS = tuple(f"{source} {target}" for source, targets in NEXT.items() for target in targets)

ORDER_DEBITED_ONCE = """
SELECT o.id AS subject, o.amount_minor, count(t.id) AS debits, sum(-e.amount_minor) AS debited_minor
FROM orders AS o
LEFT JOIN ledger_transfers AS t ON t.order_id = o.id AND t.kind = 'ORDER'
LEFT JOIN ledger_entries AS e ON e.transfer_id = t.id AND e.account_id = o.wallet_id
GROUP BY o.id
HAVING count(t.id) <> 1 OR coalesce(sum(-e.amount_minor), 0) <> o.amount_minor
"""

TRANSACTION_IS_THE_DEBIT = """
SELECT o.id AS subject, o.transaction_id, t.kind, t.order_id
FROM orders AS o
LEFT JOIN ledger_transfers AS t ON t.id = o.transaction_id
WHERE (t.kind, t.order_id) IS DISTINCT FROM ('ORDER', o.id)
"""

# Both say what was charged: the order by the document, the ledger line by the money.
ORDER_AND_DEBIT_TELL_ONE_RATE = """
SELECT o.id AS subject, o.forex_rate, t.forex_rate AS booked_rate, t.source_currency
FROM orders AS o
JOIN ledger_transfers AS t ON t.id = o.transaction_id AND t.order_id = o.id
WHERE t.forex_rate IS DISTINCT FROM o.forex_rate
    OR t.source_currency IS DISTINCT FROM
        CASE WHEN o.forex_rate IS NOT NULL THEN o.product_currency END
"""

RATE_WHERE_CURRENCIES_DIFFER = """
SELECT id AS subject, product_currency, currency, forex_rate
FROM orders
WHERE (forex_rate IS NOT NULL) <> (product_currency <> currency)
"""

REFUNDS_ARE_BOOKED = """
SELECT o.id AS subject, o.refunded_minor, coalesce(booked.amount_minor, 0) AS booked_minor
FROM orders AS o
LEFT JOIN (
    SELECT t.order_id, sum(e.amount_minor) AS amount_minor
    FROM ledger_transfers AS t
    JOIN ledger_entries AS e ON e.transfer_id = t.id AND e.account_id = t.wallet_id
    WHERE t.kind = 'REFUND'
    GROUP BY t.order_id
) AS booked ON booked.order_id = o.id
WHERE o.refunded_minor <> coalesce(booked.amount_minor, 0)
"""

# However the returns were split, they add up to this share, rounded down (pricing.returned_share).
REFUND_IS_THE_PRICE_OF_WHAT_WENT_BACK = """
SELECT id AS subject, amount_minor, quantity, cancelled, revoked, refunded_minor, refund_owed_minor
FROM orders
WHERE refunded_minor + refund_owed_minor
    <> div(amount_minor * (cancelled + revoked)::numeric, quantity::numeric)
    OR refunded_minor + refund_owed_minor > amount_minor
"""

OWED_REFUND_IS_TOLD = """
SELECT id AS subject, status, sub_status, refund_owed_minor
FROM orders
WHERE (refund_owed_minor > 0 AND status IN ('CANCELLED', 'FAILED'))
    <> (sub_status = 'NOT_REFUNDED')
"""

ONE_ORDER_FOR_ONE_REFERENCE = """
SELECT min(id) AS subject, client_id, count(*) AS orders
FROM orders
GROUP BY client_id, ref
HAVING count(*) > 1
"""

ONE_KEY_FOR_ONE_ORDER = """
SELECT k.order_id AS subject, count(*) AS keys
FROM (
    SELECT (answer ->> 'order_id')::bigint AS order_id
    FROM idempotency_keys WHERE answer ? 'order_id'
) AS k
GROUP BY k.order_id
HAVING count(*) > 1
"""

KEY_NAMES_AN_ORDER_OF_ITS_CLIENT = """
SELECT (k.answer ->> 'order_id')::bigint AS subject, k.client_id, o.client_id AS order_client_id
FROM idempotency_keys AS k
LEFT JOIN orders AS o ON o.id = (k.answer ->> 'order_id')::bigint
WHERE k.answer ? 'order_id' AND o.client_id IS DISTINCT FROM k.client_id
"""

UNIT_SOLD_ONCE = """
SELECT unit_id AS subject, count(*) AS items
FROM order_items
WHERE unit_id IS NOT NULL
GROUP BY unit_id
HAVING count(*) > 1
"""

ITEM_HAS_ITS_UNIT = """
SELECT i.order_id AS subject, i.position, i.status, i.unit_id
FROM order_items AS i
LEFT JOIN units AS u ON u.id = i.unit_id
WHERE ((i.unit_id IS NOT NULL) <> (i.status IN ('DELIVERED', 'REVOKED'))
        AND i.recharge_status IS NULL)
    OR (i.unit_id IS NOT NULL AND u.id IS NULL)
"""

UNIT_STATE_FITS_ITEM = """
SELECT i.order_id AS subject, i.position, i.unit_id, i.status, u.state
FROM order_items AS i
JOIN units AS u ON u.id = i.unit_id
WHERE NOT (
    (i.status = 'DELIVERED' AND u.state IN ('DELIVERED', 'COMPLETED'))
    OR (i.status = 'REVOKED' AND u.state = 'REVOKED')
)
"""

UNIT_IS_WHAT_WAS_ORDERED = """
SELECT i.order_id AS subject, i.position, i.unit_id
FROM order_items AS i
JOIN orders AS o ON o.id = i.order_id
JOIN units AS u ON u.id = i.unit_id
WHERE (u.product_id, u.denomination_minor, u.currency)
    IS DISTINCT FROM (o.product_id, o.denomination_minor, o.product_currency)
"""

DELIVERED_UNIT_HAS_AN_ITEM = """
SELECT u.id AS subject, u.state
FROM units AS u
WHERE u.state IN ('DELIVERED', 'COMPLETED')
    AND NOT EXISTS (SELECT FROM order_items AS i WHERE i.unit_id = u.id)
"""

REPLACED_UNIT_IS_NOBODYS = """
SELECT r.unit_id AS subject, r.order_id, r.position, u.state
FROM order_replacements AS r
LEFT JOIN units AS u ON u.id = r.unit_id
WHERE u.state IS DISTINCT FROM 'REVOKED'
    OR EXISTS (SELECT FROM order_items AS i WHERE i.unit_id = r.unit_id)
"""

# What replaced a unit is the item's, or was replaced as well.
REPLACEMENT_IS_THE_ITEMS = """
SELECT r.replaced_by AS subject, r.order_id, r.position
FROM order_replacements AS r
WHERE NOT EXISTS (
    SELECT FROM order_items AS i
    WHERE (i.order_id, i.position, i.unit_id) = (r.order_id, r.position, r.replaced_by)
) AND NOT EXISTS (
    SELECT FROM order_replacements AS later
    WHERE (later.order_id, later.position, later.unit_id) = (r.order_id, r.position, r.replaced_by)
)
"""

# Not held against the unit's own beginning: that is another process's clock.
UNIT_WAS_GOOD_WHEN_SOLD = """
SELECT i.order_id AS subject, i.position, i.unit_id, i.delivered_at, u.expires_at
FROM order_items AS i
JOIN units AS u ON u.id = i.unit_id
WHERE i.delivered_at >= u.expires_at
"""

COUNTERS_COUNT_ITEMS = """
SELECT o.id AS subject, o.items_created, o.fulfilled, o.cancelled, o.revoked,
    count(i.order_id) AS items
FROM orders AS o
LEFT JOIN order_items AS i ON i.order_id = o.id
GROUP BY o.id
HAVING count(i.order_id) <> o.items_created
    OR count(*) FILTER (WHERE i.status IN ('DELIVERED', 'REVOKED')) <> o.fulfilled
    OR count(*) FILTER (WHERE i.status = 'REVOKED') <> o.revoked
    OR (o.items_created > 0
        AND count(*) FILTER (WHERE i.status IN ('CANCELLED', 'FAILED')) <> o.cancelled)
    OR min(i.position) <> 1 OR max(i.position) <> o.quantity
"""

STATUS_FITS_COUNTERS = """
SELECT id AS subject, status, quantity, fulfilled, cancelled
FROM orders
WHERE CASE status
    WHEN 'DELIVERED' THEN fulfilled = 0 OR fulfilled + cancelled <> quantity
    WHEN 'PARTIALLY_DELIVERED' THEN fulfilled = 0 OR fulfilled + cancelled = quantity
    WHEN 'CANCELLED' THEN fulfilled + cancelled <> quantity
    WHEN 'FAILED' THEN fulfilled + cancelled <> quantity
    -- Its links are all that is missing.
    ELSE (fulfilled + cancelled = quantity) <> (sub_status = 'GV_LINK_PENDING')
END
"""

TALLIES_COUNT_ORDERS = """
SELECT client_id AS subject, day, product_id, currency, status, sub_status,
    t.orders AS tallied, c.orders AS counted
FROM order_tallies AS t
FULL JOIN (
    SELECT client_id, (placed_at AT TIME ZONE 'UTC')::date AS day, product_id, currency, status,
        sub_status, count(*) AS orders, sum(amount_minor) AS amount_minor
    FROM orders GROUP BY 1, 2, 3, 4, 5, 6
) AS c USING (client_id, day, product_id, currency, status, sub_status)
WHERE (coalesce(t.orders, 0), coalesce(t.amount_minor, 0))
    <> (coalesce(c.orders, 0), coalesce(c.amount_minor, 0))
"""

HISTORY_COUNTS_UP = """
SELECT order_id AS subject, min(seq) AS first, max(seq) AS last, count(*) AS transitions
FROM order_transitions
GROUP BY order_id
HAVING min(seq) <> 1 OR max(seq) <> count(*)
"""

HISTORY_BEGINS_AT_PLACED = f"""
SELECT order_id AS subject, path[1] AS begins_at
FROM order_transitions
WHERE seq = 1 AND path[1] <> '{PLACED}'
"""

HISTORY_WALKS_LEGAL_STEPS = f"""
SELECT t.order_id AS subject, t.seq, t.path
FROM order_transitions AS t
WHERE EXISTS (
    SELECT FROM unnest(
        t.path[:cardinality(t.path) - 1], t.path[2:]
    ) AS step (source, target)
    WHERE step.source || ' ' || step.target <> ALL (ARRAY[{_texts(STEPS)}])
)
"""

HISTORY_IS_UNBROKEN = """
SELECT later.order_id AS subject, later.seq, earlier.path[cardinality(earlier.path)] AS left_at,
    later.path[1] AS begins_at
FROM order_transitions AS later
JOIN order_transitions AS earlier
    ON earlier.order_id = later.order_id AND earlier.seq = later.seq - 1
WHERE earlier.path[cardinality(earlier.path)] <> later.path[1] OR earlier.at > later.at
"""

HISTORY_ENDS_WHERE_THE_ORDER_IS = """
SELECT o.id AS subject, o.status, o.sub_status, last.path[cardinality(last.path)] AS history_ends_at
FROM orders AS o
LEFT JOIN LATERAL (
    SELECT t.path FROM order_transitions AS t
    WHERE t.order_id = o.id ORDER BY t.seq DESC LIMIT 1
) AS last ON true
WHERE last.path[cardinality(last.path)] IS DISTINCT FROM o.status || '·' || o.sub_status
"""

# The audit row of an act carries its time and where it led from and to. A look that found nothing
# is no act, though it may be of the same moment as the one after it.
TRANSITION_IS_AUDITED_ONCE = f"""
SELECT t.order_id AS subject, t.seq, count(a.id) AS audit_rows
FROM order_transitions AS t
JOIN orders AS o ON o.id = t.order_id
LEFT JOIN audit_entries AS a ON a.subject_kind = 'order' AND a.subject_id = t.order_id
    AND a.at = t.at AND a.facts ->> 'from' = t.path[1]
    AND a.facts ->> 'to' = t.path[cardinality(t.path)]
    AND a.actor_kind = t.actor_kind AND a.actor_id IS NOT DISTINCT FROM t.actor_id
    AND a.action <> '{LOOKED}'
GROUP BY t.order_id, t.seq
HAVING count(a.id) <> 1
"""

ITEM_HAS_ITS_ORDER = """
SELECT i.order_id AS subject, count(*) AS items
FROM order_items AS i
WHERE NOT EXISTS (SELECT FROM orders AS o WHERE o.id = i.order_id)
GROUP BY i.order_id
"""

TRANSITION_HAS_ITS_ORDER = """
SELECT t.order_id AS subject, count(*) AS transitions
FROM order_transitions AS t
WHERE NOT EXISTS (SELECT FROM orders AS o WHERE o.id = t.order_id)
GROUP BY t.order_id
"""

ORDER_HAS_ITS_CLIENT_AND_WALLET = """
SELECT o.id AS subject, o.client_id, o.wallet_id, w.client_id AS wallet_client_id, w.currency
FROM orders AS o
LEFT JOIN clients AS c ON c.id = o.client_id
LEFT JOIN wallets AS w ON w.id = o.wallet_id
WHERE c.id IS NULL OR (w.client_id, w.currency) IS DISTINCT FROM (o.client_id, o.currency)
"""

ORDER_HAS_ITS_PRODUCT = """
SELECT o.id AS subject, o.product_id, o.product_revision_id
FROM orders AS o
LEFT JOIN products AS p ON p.id = o.product_id
LEFT JOIN product_revisions AS r ON r.id = o.product_revision_id
WHERE p.id IS NULL OR r.product_id IS DISTINCT FROM o.product_id
"""

TRANSFER_HAS_ITS_ORDER = """
SELECT t.id AS subject, t.kind, t.order_id
FROM ledger_transfers AS t
LEFT JOIN orders AS o ON o.id = t.order_id
WHERE t.order_id IS NOT NULL
    AND (o.client_id, o.wallet_id) IS DISTINCT FROM (t.client_id, t.wallet_id)
"""

EVENT_HAS_ITS_ORDER = """
SELECT e.id AS subject, e.type, e.order_id
FROM events AS e
LEFT JOIN orders AS o ON o.id = e.order_id
WHERE e.order_id IS NOT NULL AND o.client_id IS DISTINCT FROM e.client_id
"""

AUDIT_ROW_HAS_ITS_ORDER = """
SELECT a.id AS subject, a.action, a.subject_id AS order_id
FROM audit_entries AS a
WHERE a.subject_kind = 'order'
    AND NOT EXISTS (SELECT FROM orders AS o WHERE o.id = a.subject_id)
"""

UNIT_HAS_ITS_PRODUCT = """
SELECT u.id AS subject, u.product_id
FROM units AS u
WHERE NOT EXISTS (SELECT FROM products AS p WHERE p.id = u.product_id)
"""

CHECKS: Mapping[str, str] = MappingProxyType(
    {
        "i7_order_is_debited_once_and_in_full": ORDER_DEBITED_ONCE,
        "i7_transaction_of_an_order_is_its_debit": TRANSACTION_IS_THE_DEBIT,
        "i7_order_and_its_debit_tell_one_rate": ORDER_AND_DEBIT_TELL_ONE_RATE,
        "i7_order_has_a_rate_where_currencies_differ": RATE_WHERE_CURRENCIES_DIFFER,
        "i7_refunds_of_an_order_are_booked": REFUNDS_ARE_BOOKED,
        "i7_refund_is_the_price_of_what_went_back": REFUND_IS_THE_PRICE_OF_WHAT_WENT_BACK,
        "i7_owed_refund_is_told": OWED_REFUND_IS_TOLD,
        "i8_reference_names_one_order": ONE_ORDER_FOR_ONE_REFERENCE,
        "i8_order_has_one_idempotency_key": ONE_KEY_FOR_ONE_ORDER,
        "i8_idempotency_key_names_an_order_of_its_client": KEY_NAMES_AN_ORDER_OF_ITS_CLIENT,
        "i9_unit_is_sold_once": UNIT_SOLD_ONCE,
        "i9_replaced_unit_is_nobodys": REPLACED_UNIT_IS_NOBODYS,
        "i9_replacement_is_the_items": REPLACEMENT_IS_THE_ITEMS,
        "i10_delivered_item_has_its_unit": ITEM_HAS_ITS_UNIT,
        "i10_unit_state_fits_its_item": UNIT_STATE_FITS_ITEM,
        "i10_unit_is_what_was_ordered": UNIT_IS_WHAT_WAS_ORDERED,
        "i10_delivered_unit_has_an_item": DELIVERED_UNIT_HAS_AN_ITEM,
        "i10_counters_of_an_order_count_its_items": COUNTERS_COUNT_ITEMS,
        "i11_unit_was_good_when_sold": UNIT_WAS_GOOD_WHEN_SOLD,
        "i15_history_counts_up": HISTORY_COUNTS_UP,
        "i15_history_begins_at_placed": HISTORY_BEGINS_AT_PLACED,
        "i15_history_walks_legal_steps": HISTORY_WALKS_LEGAL_STEPS,
        "i15_history_is_unbroken": HISTORY_IS_UNBROKEN,
        "i15_history_ends_where_the_order_is": HISTORY_ENDS_WHERE_THE_ORDER_IS,
        "i15_transition_is_audited_once": TRANSITION_IS_AUDITED_ONCE,
        "i16_status_of_an_order_fits_its_counters": STATUS_FITS_COUNTERS,
        "i16_tallies_count_the_orders": TALLIES_COUNT_ORDERS,
        **VENDOR_CHECKS,
        "orphan_item": ITEM_HAS_ITS_ORDER,
        "orphan_transition": TRANSITION_HAS_ITS_ORDER,
        "orphan_order_without_client_or_wallet": ORDER_HAS_ITS_CLIENT_AND_WALLET,
        "orphan_order_without_product": ORDER_HAS_ITS_PRODUCT,
        "orphan_transfer": TRANSFER_HAS_ITS_ORDER,
        "orphan_event": EVENT_HAS_ITS_ORDER,
        "orphan_audit_row": AUDIT_ROW_HAS_ITS_ORDER,
        "orphan_unit": UNIT_HAS_ITS_PRODUCT,
    }
)
