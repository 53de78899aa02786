"""What must hold between notices, their attempts, and what they tell of."""

from collections.abc import Mapping
from types import MappingProxyType

# Long past the longest lease and two looks of a worker.
GRACE = "interval '30 minutes'"

SENT_WAS_ACCEPTED = """
SELECT n.id AS subject, n.state, n.attempts FROM notices AS n
WHERE (n.state = 'SENT') <> EXISTS (
    SELECT FROM notice_attempts AS a WHERE a.notice_id = n.id AND a.outcome = 'ACCEPTED')
"""

# One that was cut off left a number without a row.
COUNTS_ITS_ATTEMPTS = """
SELECT a.notice_id AS subject, n.attempts, max(a.number) AS last
FROM notice_attempts AS a JOIN notices AS n ON n.id = a.notice_id
GROUP BY a.notice_id, n.attempts HAVING max(a.number) > n.attempts
"""

LEASE_IS_NOT_LONG_PAST = f"""
SELECT id AS subject, leased_until FROM notices WHERE leased_until < now() - {GRACE}
"""

IS_OF_ITS_ORDER = """
SELECT n.id AS subject, n.order_id FROM notices AS n LEFT JOIN orders AS o ON o.id = n.order_id
WHERE (n.order_id IS NOT NULL) <> (n.kind IN ('ORDER_DELIVERED', 'ORDER_CANCELLED'))
    OR (n.order_id IS NOT NULL AND o.client_id IS DISTINCT FROM n.client_id)
    OR (n.audience = 'CUSTOMER' AND o.email IS DISTINCT FROM n.address)
"""

# Where a worker looked long after. While none runs, nothing is read and nothing is lost.
EVENTS_FOR_MAIL_ARE_READ = f"""
SELECT e.id AS subject, e.type FROM events AS e, notice_reading AS r, job_schedules AS j
WHERE e.mail AND (e.xid, e.id) > (r.through_xid, r.after_id)
    AND j.name = 'notices.causes' AND j.last_at > e.created_at + {GRACE}
"""

CHECKS: Mapping[str, str] = MappingProxyType(
    {
        "i17_event_for_mail_was_read": EVENTS_FOR_MAIL_ARE_READ,
        "i17_notice_was_sent_when_a_server_took_it": SENT_WAS_ACCEPTED,
        "i17_notice_counts_its_attempts": COUNTS_ITS_ATTEMPTS,
        "i17_notice_is_of_its_order_and_customer": IS_OF_ITS_ORDER,
        "i18_notice_is_leased_by_somebody_alive": LEASE_IS_NOT_LONG_PAST,
    }
)
