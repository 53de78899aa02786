"""A breach for each check of webhooks."""

from tests.entry.books import CLIENT
from tests.entry.planting import Plant

ENDPOINT = f"""
INSERT INTO webhook_endpoints (client_id, name, url, secret, status, created_at, updated_at)
VALUES ({CLIENT}, '', 'https://example.com', 'x', 'ENABLED', now(), now());
"""
# Everything so far is in the feed, and the first event is on its way.
SEALED = (
    ENDPOINT
    + """
UPDATE event_sealing SET sealed = pg_current_snapshot();
INSERT INTO event_feed
SELECT client_id, row_number() OVER (PARTITION BY client_id ORDER BY id), id, now() FROM events;
INSERT INTO event_counters SELECT client_id, max(sequence) FROM event_feed GROUP BY client_id;
"""
)
DELIVERY = """
INSERT INTO webhook_deliveries (endpoint_id, client_id, event_id, sequence, event_type, status,
    attempts, next_at, lease, leased_until, created_at, finished_at)
SELECT 1, client_id, event_id, sequence, 'order.created', '{status}', {attempts}, now(), {lease},
    now(), {finished}
FROM event_feed WHERE sequence = 1;
"""
ATTEMPT = """
INSERT INTO webhook_attempts (delivery_id, number, started_at, took_ms, status_code)
VALUES (1, 1, now(), 5, {});
"""


def delivery(status: str = "PENDING", *, attempts: int = 0, lease: str = "NULL, NULL") -> str:
    finished = "NULL" if status == "PENDING" else "now()"
    return DELIVERY.format(status=status, attempts=attempts, lease=lease, finished=finished)


PLANTS_WEBHOOKS = {
    "event_of_an_order_names_it": Plant(
        "INSERT INTO events (client_id, type, data, created_at)"
        f" VALUES ({CLIENT}, 'order.created', '{{}}', now())",
        "SELECT max(id) FROM events",
    ),
    "i17_feed_has_no_gap": Plant(
        SEALED + "UPDATE event_counters SET last_sequence = last_sequence + 1", CLIENT
    ),
    "i17_sealed_event_is_in_the_feed": Plant(
        SEALED + "INSERT INTO events (client_id, type, data, created_at, xid)"
        f" VALUES ({CLIENT}, 'wallet.credited', '{{}}', now(), '1')",
        "SELECT max(id) FROM events",
    ),
    "i17_delivery_is_of_its_event": Plant(
        SEALED + delivery() + "UPDATE webhook_deliveries SET sequence = 2", 1
    ),
    "i17_attempts_are_recorded": Plant(SEALED + delivery(attempts=1), 1),
    "i17_delivered_was_acknowledged": Plant(
        SEALED + delivery("DELIVERED", attempts=1) + ATTEMPT.format(302), 1
    ),
    "i17_given_up_after_all_attempts": Plant(
        SEALED
        + "INSERT INTO webhook_deliveries (endpoint_id, client_id, event_id, sequence, event_type,"
        " status, attempts, next_at, last_error, created_at, finished_at)"
        " SELECT 1, client_id, event_id, sequence, 'order.created', 'FAILED', 1, now(), 'no',"
        " now(), now() FROM event_feed WHERE sequence = 1;" + ATTEMPT.format(404),
        1,
    ),
    "i18_due_delivery_is_sent": Plant(
        SEALED + delivery() + "UPDATE webhook_deliveries SET next_at = now() - interval '2 hours'",
        1,
    ),
    "i18_delivery_lease_ends": Plant(
        SEALED + delivery(lease="gen_random_uuid(), now() - interval '2 hours'"), 1
    ),
}
