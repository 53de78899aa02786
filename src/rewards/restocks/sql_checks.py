"""What must hold between stock orders, what was bought for them, and the units that came of it."""

from collections.abc import Mapping
from types import MappingProxyType

# While one is ordered there is a purchase that is still to end, and only then.
ORDERED_WHILE_A_PURCHASE_IS_OPEN = """
SELECT s.id AS subject, s.state, count(v.id) AS open_purchases
FROM stock_orders AS s
LEFT JOIN vendor_orders AS v ON v.purpose = 'STOCK' AND v.subject_id = s.id
    AND v.state IN ('READY', 'SENDING', 'UNKNOWN', 'ACCEPTED')
GROUP BY s.id
HAVING (s.state = 'ORDERED') <> (count(v.id) > 0)
"""

PURCHASE_IS_WHAT_WAS_ORDERED = """
SELECT v.id AS subject, v.subject_id, v.vendor_id, v.face_minor, v.currency
FROM vendor_orders AS v LEFT JOIN stock_orders AS s ON s.id = v.subject_id
WHERE v.purpose = 'STOCK'
    AND (v.vendor_id, v.face_minor, v.currency)
        IS DISTINCT FROM (s.vendor_id, s.denomination_minor, s.currency)
"""

# The parts follow one another, and the last one says what is left to ask for.
NO_MORE_IS_BOUGHT_THAN_ORDERED = """
SELECT s.id AS subject, s.quantity, sum(v.quantity) AS bought
FROM stock_orders AS s JOIN vendor_orders AS v ON v.purpose = 'STOCK' AND v.subject_id = s.id
GROUP BY s.id
HAVING sum(v.quantity) + min(v.remaining) > s.quantity
"""

COUNTS_WHAT_CAME = """
SELECT s.id AS subject, s.received, s.usable,
    coalesce(sum(v.received), 0) AS came, coalesce(sum(v.received - v.quarantined), 0) AS sellable
FROM stock_orders AS s
LEFT JOIN vendor_orders AS v ON v.purpose = 'STOCK' AND v.subject_id = s.id
GROUP BY s.id
HAVING s.received <> coalesce(sum(v.received), 0)
    OR s.usable <> coalesce(sum(v.received - v.quarantined), 0)
"""

UNITS_ARE_OF_THE_SHELF_THAT_WAS_ORDERED = """
SELECT u.id AS subject, s.id AS stock_order_id
FROM stock_orders AS s
JOIN vendor_orders AS v ON v.purpose = 'STOCK' AND v.subject_id = s.id
JOIN units AS u ON u.batch_id = v.batch_id
WHERE (u.product_id, u.denomination_minor, u.currency)
    <> (s.product_id, s.denomination_minor, s.currency)
"""

# A code that became no unit takes its share along; otherwise to the minor unit.
UNITS_COST_WHAT_THE_VENDOR_CHARGED = """
SELECT v.id AS subject, v.cost_minor, sum(u.cost_minor) AS of_units
FROM vendor_orders AS v JOIN units AS u ON u.batch_id = v.batch_id
WHERE v.cost_minor IS NOT NULL
GROUP BY v.id
HAVING CASE WHEN count(*) = v.received THEN coalesce(sum(u.cost_minor), -1) <> v.cost_minor
    ELSE coalesce(sum(u.cost_minor), -1) NOT BETWEEN 0 AND v.cost_minor END
    OR count(*) FILTER (WHERE u.cost_currency IS DISTINCT FROM v.cost_currency) > 0
"""

CHECKS: Mapping[str, str] = MappingProxyType(
    {
        "i19_stock_is_ordered_while_a_purchase_is_open": ORDERED_WHILE_A_PURCHASE_IS_OPEN,
        "i19_purchase_for_stock_is_what_was_ordered": PURCHASE_IS_WHAT_WAS_ORDERED,
        "i19_no_more_stock_is_bought_than_ordered": NO_MORE_IS_BOUGHT_THAN_ORDERED,
        "i19_stock_order_counts_what_came": COUNTS_WHAT_CAME,
        "i19_units_are_of_the_shelf_that_was_ordered": UNITS_ARE_OF_THE_SHELF_THAT_WAS_ORDERED,
        "i19_units_cost_what_the_vendor_charged": UNITS_COST_WHAT_THE_VENDOR_CHARGED,
    }
)
