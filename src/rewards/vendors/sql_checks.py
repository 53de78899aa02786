"""What must hold among vendors and of what was bought from them, as SELECTs of what breaks it."""

from collections.abc import Mapping
from types import MappingProxyType

EXCHANGE_HAS_ITS_VENDOR = """
SELECT e.id AS subject, e.vendor_id FROM vendor_exchanges AS e
WHERE NOT EXISTS (SELECT FROM vendors AS v WHERE v.id = e.vendor_id)
"""

EXCHANGE_IS_OF_ITS_VENDORS_PURCHASE = """
SELECT e.id AS subject, e.vendor_id, e.vendor_order_id FROM vendor_exchanges AS e
WHERE e.vendor_order_id IS NOT NULL AND NOT EXISTS (
    SELECT FROM vendor_orders AS o WHERE o.id = e.vendor_order_id AND o.vendor_id = e.vendor_id)
"""

LEASE_ENDS = """
SELECT id AS subject, state, leased_until FROM vendor_orders
WHERE leased_until < now() - interval '1 hour'
    AND state IN ('READY', 'SENDING', 'UNKNOWN', 'ACCEPTED')
"""

# What is open twice could be bought twice. Items of a recharge are bought each by itself.
ONE_OPEN_PURCHASE = """
SELECT min(id) AS subject, purpose, subject_id, count(*) AS purchases FROM vendor_orders
WHERE state IN ('READY', 'SENDING', 'UNKNOWN', 'ACCEPTED')
GROUP BY purpose, subject_id, CASE WHEN purpose = 'RECHARGE' THEN position END
HAVING count(*) > 1
"""

# Without a reason: one with a reason is what a person gave up as lost. Nor is a PIN that cannot be
# sold a recharge.
RECHARGED_ONCE = """
SELECT subject_id AS subject, position, count(*) AS purchases FROM vendor_orders
WHERE purpose = 'RECHARGE' AND state = 'FULFILLED' AND reason IS NULL
    AND (received = 0 OR quarantined < received)
GROUP BY subject_id, position HAVING count(*) > 1
"""

SENT_BEFORE_SETTLED = """
SELECT id AS subject, state FROM vendor_orders
WHERE state IN ('SENDING', 'UNKNOWN', 'ACCEPTED', 'FULFILLED', 'NOT_PLACED') AND sent_at IS NULL
"""

CHECKS: Mapping[str, str] = MappingProxyType(
    {
        "i18_vendor_order_lease_ends": LEASE_ENDS,
        "i19_one_open_vendor_order_for_a_subject": ONE_OPEN_PURCHASE,
        "i19_recharge_is_bought_once": RECHARGED_ONCE,
        "i19_vendor_order_was_sent_before_it_ended": SENT_BEFORE_SETTLED,
        "orphan_exchange": EXCHANGE_HAS_ITS_VENDOR,
        "vendor_exchange_is_of_its_vendors_purchase": EXCHANGE_IS_OF_ITS_VENDORS_PURCHASE,
    }
)
