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

# That it is one transfer at most, and that it is there or a refusal is, are constraints.
AGREED_MONEY_MOVED_AS_ASKED = """
SELECT a.id AS subject, a.kind, a.amount_minor, a.transfer_id
FROM approvals AS a LEFT JOIN ledger_transfers AS t ON t.id = a.transfer_id
WHERE a.transfer_id IS NOT NULL AND (t.kind, t.wallet_id, t.amount_minor) IS DISTINCT FROM (
    a.kind, a.subject_id,
    CASE WHEN a.details ->> 'direction' = 'DEBIT' THEN -a.amount_minor ELSE a.amount_minor END)
"""

AGREED_TAKING_BACK_WAS_DONE = """
SELECT a.id AS subject, o.id AS order_id, o.status
FROM approvals AS a LEFT JOIN orders AS o ON o.id = a.subject_id
WHERE a.kind = 'LATE_CANCEL' AND a.state = 'CARRIED_OUT' AND a.refused IS NULL
    AND o.status IS DISTINCT FROM 'CANCELLED'
"""

CHECKS: Mapping[str, str] = MappingProxyType(
    {
        "approval_was_given_for_dear_stock": DEAR_STOCK_WAS_AGREED_TO,
        "approval_was_asked_for_waiting_stock": WAITING_STOCK_HAS_A_REQUEST,
        "approval_moved_the_money_that_was_agreed_to": AGREED_MONEY_MOVED_AS_ASKED,
        "approval_took_back_what_was_agreed_to": AGREED_TAKING_BACK_WAS_DONE,
    }
)
