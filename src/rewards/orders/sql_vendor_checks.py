"""What must hold between orders and what was bought for them; as in sql_checks.py."""

from collections.abc import Mapping
from types import MappingProxyType

# While an order waits for a vendor there is a purchase that is still to end.
ORDER_AT_A_VENDOR_HAS_A_PURCHASE = """
SELECT o.id AS subject, o.sub_status, count(v.id) AS open_purchases
FROM orders AS o
LEFT JOIN vendor_orders AS v ON v.purpose IN ('ORDER', 'RECHARGE') AND v.subject_id = o.id
    AND v.state IN ('READY', 'SENDING', 'UNKNOWN', 'ACCEPTED')
WHERE o.status = 'PENDING' AND o.sub_status IN ('VENDOR_ORDER_CREATED', 'PENDING_REPROCESS')
GROUP BY o.id
HAVING count(v.id) = 0
"""

CODES_ARE_UNITS = """
SELECT v.id AS subject, v.received, v.quarantined, count(u.id) AS units
FROM vendor_orders AS v LEFT JOIN units AS u ON u.batch_id = v.batch_id
WHERE v.batch_id IS NOT NULL
GROUP BY v.id
HAVING count(u.id) NOT BETWEEN v.received - v.quarantined AND v.received
"""

PURCHASE_IS_WHAT_WAS_ORDERED = """
SELECT v.id AS subject, v.subject_id, v.face_minor, o.denomination_minor
FROM vendor_orders AS v LEFT JOIN orders AS o ON o.id = v.subject_id
WHERE v.purpose IN ('ORDER', 'RECHARGE')
    AND (v.face_minor, v.currency)
        IS DISTINCT FROM (o.denomination_minor, o.product_currency)
"""

# No vendor is asked for an order before somebody, or the product's flag, has said so.
PURCHASE_WAS_APPROVED = """
SELECT v.id AS subject, v.purpose, v.subject_id, v.asked_by FROM vendor_orders AS v
WHERE v.purpose IN ('ORDER', 'RECHARGE') AND NOT EXISTS (
    SELECT FROM audit_entries AS a
    WHERE a.subject_kind = 'order' AND a.subject_id = v.subject_id
        AND a.action = 'order.vendor_approved' AND a.at <= v.created_at
)
"""

# What was bought last for an item is what it was served with: if that was a PIN, the item has it.
RECHARGE_HAS_ITS_PIN = """
SELECT i.order_id AS subject, i.position, v.id AS vendor_order_id, v.received, v.quarantined
FROM order_items AS i
CROSS JOIN LATERAL (
    SELECT id, received, quarantined FROM vendor_orders
    WHERE purpose = 'RECHARGE' AND subject_id = i.order_id AND position = i.position
        AND state = 'FULFILLED' AND reason IS NULL
    ORDER BY id DESC LIMIT 1
) AS v
WHERE i.recharge_status = 'RECHARGED' AND i.unit_id IS NULL AND v.received > 0
"""

VENDOR_PRODUCT_HAS_ITS_PRODUCT = """
SELECT s.product_id AS subject, s.vendor_id, s.sku FROM vendor_products AS s
WHERE NOT EXISTS (SELECT FROM products AS p WHERE p.id = s.product_id)
"""

CHECKS: Mapping[str, str] = MappingProxyType(
    {
        "i19_order_at_a_vendor_has_a_purchase": ORDER_AT_A_VENDOR_HAS_A_PURCHASE,
        "i19_codes_of_a_vendor_order_are_units": CODES_ARE_UNITS,
        "i19_purchase_for_an_order_was_approved": PURCHASE_WAS_APPROVED,
        "i19_purchase_is_what_was_ordered": PURCHASE_IS_WHAT_WAS_ORDERED,
        "i19_recharge_that_is_a_pin_has_it": RECHARGE_HAS_ITS_PIN,
        "orphan_vendor_product": VENDOR_PRODUCT_HAS_ITS_PRODUCT,
    }
)
