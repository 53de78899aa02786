"""What must hold of what is reconciled: one SELECT for each rule (docs/adr/0003).

`rewards doctor` runs them in a read-only transaction. They join tables of the slices below.
"""

from collections.abc import Mapping
from types import MappingProxyType

RECONCILED_UNITS_ARE_COMPLETED = """
SELECT o.id AS subject, i.position, i.unit_id, u.state
FROM orders AS o
JOIN order_items AS i ON i.order_id = o.id AND i.status = 'DELIVERED' AND i.unit_id IS NOT NULL
LEFT JOIN units AS u ON u.id = i.unit_id
WHERE o.sub_status = 'RECONCILED' AND u.state IS DISTINCT FROM 'COMPLETED'
"""

# Also of an order that was taken back in part later.
COMPLETED_UNIT_WAS_RECONCILED = """
SELECT u.id AS subject, i.order_id
FROM units AS u
JOIN order_items AS i ON i.unit_id = u.id
WHERE u.state = 'COMPLETED' AND NOT EXISTS (
    SELECT FROM order_transitions AS t
    WHERE t.order_id = i.order_id AND t.path @> ARRAY['DELIVERED·RECONCILED']
)
"""

RECONCILED_PURCHASES_MATCHED = """
SELECT o.id AS subject, v.id AS purchase_id
FROM orders AS o
JOIN vendor_orders AS v ON v.purpose IN ('ORDER', 'RECHARGE') AND v.subject_id = o.id
    AND v.state = 'FULFILLED'
LEFT JOIN reconciled_purchases AS r ON r.purchase_id = v.id
WHERE o.sub_status = 'RECONCILED' AND r.purchase_id IS NULL
"""

COMPARED_PURCHASE_IS_SETTLED = """
SELECT r.purchase_id AS subject, v.state
FROM reconciled_purchases AS r
LEFT JOIN vendor_orders AS v ON v.id = r.purchase_id
WHERE v.settled_at IS NULL
"""

EXPLAINED_DRIFT_IS_AUDITED_ONCE = """
SELECT d.id AS subject, count(a.id) AS audit_rows
FROM drifts AS d
LEFT JOIN audit_entries AS a ON a.subject_kind = 'drift' AND a.subject_id = d.id
    AND a.action = 'reconciliation.drift_explained' AND a.at = d.explained_at
    AND a.actor_kind = 'STAFF' AND a.actor_id = d.explained_by
WHERE d.state = 'EXPLAINED'
GROUP BY d.id
HAVING count(a.id) <> 1
"""

CHECKS: Mapping[str, str] = MappingProxyType(
    {
        "i10_units_of_a_reconciled_order_are_completed": RECONCILED_UNITS_ARE_COMPLETED,
        "i10_completed_unit_was_reconciled": COMPLETED_UNIT_WAS_RECONCILED,
        "i19_purchases_of_a_reconciled_order_were_compared": RECONCILED_PURCHASES_MATCHED,
        "i19_compared_purchase_is_settled": COMPARED_PURCHASE_IS_SETTLED,
        "reconciliation_explained_drift_is_audited_once": EXPLAINED_DRIFT_IS_AUDITED_ONCE,
    }
)
