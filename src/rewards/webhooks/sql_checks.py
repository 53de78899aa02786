"""What must hold of events, the feed and deliveries, as SELECTs of what breaks it."""

from collections.abc import Mapping
from types import MappingProxyType

from rewards.webhooks.model_sending import ATTEMPTS_MAX, GONE

EVENT_NAMES_ITS_ORDER = """
SELECT id AS subject, type, order_id FROM events
WHERE (type LIKE 'order.%') <> (order_id IS NOT NULL)
    OR data ->> 'order_id' IS DISTINCT FROM order_id::text
"""

# Retention takes a client's oldest rows, so what is left is still without a gap.
FEED_HAS_NO_GAP = """
SELECT client_id AS subject, count(f.sequence) AS events, max(f.sequence) AS last, c.last_sequence
FROM event_feed AS f FULL JOIN event_counters AS c USING (client_id)
GROUP BY client_id, c.last_sequence
HAVING max(f.sequence) - min(f.sequence) + 1 <> count(f.sequence)
    OR max(f.sequence) <> c.last_sequence OR c.last_sequence IS NULL
"""

# Whatever the snapshot saw that was sealed last. An hour is longer than any look at it takes; after
# a restore elsewhere transactions may be counted anew, and only the time tells who was passed over.
SEALED_EVENT_IS_IN_THE_FEED = """
SELECT e.id AS subject, e.client_id, e.created_at
FROM events AS e JOIN event_sealing AS s ON s.target IS NULL AND s.sealed IS NOT NULL
WHERE NOT EXISTS (SELECT FROM event_feed AS f WHERE f.event_id = e.id AND f.client_id = e.client_id)
    AND (pg_visible_in_snapshot(e.xid, s.sealed)
        OR e.created_at < (SELECT max(sealed_at) FROM event_feed) - interval '1 hour')
"""

DELIVERY_IS_OF_ITS_EVENT = """
SELECT d.id AS subject, d.endpoint_id, d.event_id
FROM webhook_deliveries AS d
LEFT JOIN webhook_endpoints AS w ON w.id = d.endpoint_id AND w.client_id = d.client_id
LEFT JOIN event_feed AS f ON f.event_id = d.event_id
WHERE w.id IS NULL OR (f.client_id, f.sequence) <> (d.client_id, d.sequence)
"""

ATTEMPTS_ARE_RECORDED = """
SELECT d.id AS subject, d.attempts, count(a.number) AS recorded
FROM webhook_deliveries AS d LEFT JOIN webhook_attempts AS a ON a.delivery_id = d.id
GROUP BY d.id
HAVING count(a.number) <> d.attempts OR coalesce(max(a.number), 0) <> d.attempts
"""

DELIVERED_WAS_ACKNOWLEDGED = """
SELECT d.id AS subject, d.attempts, a.status_code
FROM webhook_deliveries AS d
LEFT JOIN webhook_attempts AS a ON a.delivery_id = d.id AND a.number = d.attempts
WHERE d.status = 'DELIVERED' AND (a.status_code BETWEEN 200 AND 299) IS NOT TRUE
"""

DELIVERY_LEASE_ENDS = """
SELECT id AS subject, endpoint_id, leased_until FROM webhook_deliveries
WHERE leased_until < now() - interval '1 hour' AND status = 'PENDING'
"""

# What ended sooner was refused for good, or its endpoint is gone; without any attempt, the latter.
GIVEN_UP_AFTER_ALL_ATTEMPTS = f"""
SELECT d.id AS subject, d.attempts, a.status_code
FROM webhook_deliveries AS d
JOIN webhook_endpoints AS w ON w.id = d.endpoint_id AND w.deleted_at IS NULL
JOIN webhook_attempts AS a ON a.delivery_id = d.id AND a.number = d.attempts
WHERE d.status = 'FAILED' AND d.attempts < {ATTEMPTS_MAX} AND a.status_code IS DISTINCT FROM {GONE}
"""

# Nobody sends: of endpoints that answer something is long due, and nothing at all went out since.
DUE_DELIVERY_IS_SENT = """
SELECT d.id AS subject, d.endpoint_id, d.next_at
FROM webhook_deliveries AS d
JOIN webhook_endpoints AS w ON w.id = d.endpoint_id
WHERE d.status = 'PENDING' AND d.next_at < now() - interval '1 hour'
    AND coalesce(d.leased_until < now(), true)
    AND w.status = 'ENABLED' AND w.deleted_at IS NULL AND w.failing_since IS NULL
    AND NOT EXISTS (
        SELECT FROM webhook_deliveries AS o JOIN webhook_attempts AS a ON a.delivery_id = o.id
        WHERE o.endpoint_id = w.id AND a.started_at > now() - interval '1 hour'
    )
"""

CHECKS: Mapping[str, str] = MappingProxyType(
    {
        "event_of_an_order_names_it": EVENT_NAMES_ITS_ORDER,
        "i17_feed_has_no_gap": FEED_HAS_NO_GAP,
        "i17_sealed_event_is_in_the_feed": SEALED_EVENT_IS_IN_THE_FEED,
        "i17_delivery_is_of_its_event": DELIVERY_IS_OF_ITS_EVENT,
        "i17_attempts_are_recorded": ATTEMPTS_ARE_RECORDED,
        "i17_delivered_was_acknowledged": DELIVERED_WAS_ACKNOWLEDGED,
        "i17_given_up_after_all_attempts": GIVEN_UP_AFTER_ALL_ATTEMPTS,
        "i18_delivery_lease_ends": DELIVERY_LEASE_ENDS,
        "i18_due_delivery_is_sent": DUE_DELIVERY_IS_SENT,
    }
)
