"""What must hold among vendors, each as a SELECT of the rows that break it."""

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

CHECKS: Mapping[str, str] = MappingProxyType(
    {
        "orphan_exchange": EXCHANGE_HAS_ITS_VENDOR,
        "vendor_exchange_is_of_its_vendors_purchase": EXCHANGE_IS_OF_ITS_VENDORS_PURCHASE,
    }
)
