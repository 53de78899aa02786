"""The statement that forgets old events, and with them what became of them."""

from datetime import datetime

from rewards.infra.db import Tx

# Of each client the oldest that are all older than $1, so that what is left has no gap, however the
# clocks of those who sealed differ. $2 clients, $3 events of each.
FORGET = """
WITH old AS (
    SELECT c.client_id FROM event_counters AS c
    WHERE (SELECT f.sealed_at FROM event_feed AS f WHERE f.client_id = c.client_id
        ORDER BY f.sequence LIMIT 1) < $1
    ORDER BY c.client_id LIMIT $2
), head AS (
    SELECT h.client_id, h.sequence, h.event_id FROM old AS o CROSS JOIN LATERAL (
        SELECT f.*, bool_and(f.sealed_at < $1) OVER (ORDER BY f.sequence) AS forgotten
        FROM (
            SELECT * FROM event_feed WHERE client_id = o.client_id ORDER BY sequence LIMIT $3
        ) AS f
    ) AS h WHERE h.forgotten
), feed AS (
    DELETE FROM event_feed AS f USING head AS h
    WHERE f.client_id = h.client_id AND f.sequence = h.sequence
), told AS (
    DELETE FROM events WHERE id IN (SELECT event_id FROM head)
), first AS (
    DELETE FROM webhook_deliveries
    WHERE event_id IN (SELECT event_id FROM head) AND redelivery_of IS NULL RETURNING id
), again AS (
    DELETE FROM webhook_deliveries
    WHERE event_id IN (SELECT event_id FROM head) AND redelivery_of IS NOT NULL RETURNING id
), attempts AS (
    DELETE FROM webhook_attempts
    WHERE delivery_id IN (SELECT id FROM first UNION ALL SELECT id FROM again)
)
SELECT count(*) FROM head
"""


async def forget(tx: Tx, before: datetime, clients_max: int, each_max: int) -> int:
    """How many events were forgotten: at most `each_max` of each of `clients_max` clients."""
    return int(await tx.fetchval(FORGET, before, clients_max, each_max))
