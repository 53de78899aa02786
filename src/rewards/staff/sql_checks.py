"""What must hold between requests for a second person and what they are about."""

from collections.abc import Mapping
from types import MappingProxyType

# The constraint on `approvals` sees to it that two people are two.
DEAR_STOCK_WAS_AGREED_TO = """
SELECT s.id AS subject, s.state, s.cost_minor, s.currency
FROM stock_orders AS s
WHERE s.second_person AND s.state NOT IN ('WAITING', 'CALLED_OFF') AND NOT EXISTS (
    SELECT FROM approvals AS a
    WHERE a.kind = 'STOCK_ORDER' AND a.subject_kind = 'stock_order' AND a.subject_id = s.id
        AND a.state = 'CARRIED_OUT' AND a.requested_by = s.asked_by)
"""

# How a request ended is told by a job; an hour is more than that needs.
WAITING_STOCK_HAS_A_REQUEST = """
SELECT s.id AS subject, s.created_at
FROM stock_orders AS s
WHERE s.state = 'WAITING' AND NOT EXISTS (
    SELECT FROM approvals AS a
    WHERE a.kind = 'STOCK_ORDER' AND a.subject_kind = 'stock_order' AND a.subject_id = s.id
        AND (a.state = 'REQUESTED'
            OR coalesce(a.decided_at, a.expires_at) > now() - interval '1 hour'))
"""

CHECKS: Mapping[str, str] = MappingProxyType(
    {
        "approval_was_given_for_dear_stock": DEAR_STOCK_WAS_AGREED_TO,
        "approval_was_asked_for_waiting_stock": WAITING_STOCK_HAS_A_REQUEST,
    }
)
