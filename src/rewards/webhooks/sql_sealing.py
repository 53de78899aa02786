"""The statements that number committed events per client and queue their deliveries."""

from collections import Counter
from datetime import datetime

from rewards.infra.db import Tx, rows_affected
from rewards.infra.sql_sealing import Look, Rows

EVENTS = Rows(
    table="events",
    state="event_sealing",
    place="event_feed",
    place_id="event_id",
    reads="id, client_id, type, endpoint_id",
    told={"client_ids": "s.client_id", "types": "s.type", "endpoint_ids": "s.endpoint_id"},
)

COUNT_ON = """
INSERT INTO event_counters AS c (client_id, last_sequence)
SELECT * FROM unnest($1::bigint[], $2::bigint[])
ON CONFLICT (client_id) DO UPDATE SET last_sequence = c.last_sequence + excluded.last_sequence
RETURNING client_id, last_sequence
"""

FEED = """
INSERT INTO event_feed (event_id, client_id, sequence, sealed_at)
SELECT *, $4 FROM unnest($1::bigint[], $2::bigint[], $3::bigint[])
"""

QUEUE = """
INSERT INTO webhook_deliveries
    (endpoint_id, client_id, event_id, sequence, event_type, next_at, created_at)
SELECT w.id, e.client_id, e.id, e.sequence, e.type, now(), $6
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[])
    AS e (id, client_id, sequence, type, endpoint_id)
JOIN webhook_endpoints AS w ON w.client_id = e.client_id
WHERE w.status = 'ENABLED' AND w.deleted_at IS NULL AND CASE
    WHEN e.endpoint_id IS NOT NULL THEN w.id = e.endpoint_id
    ELSE w.event_types IS NULL OR e.type = ANY (w.event_types)
END
ORDER BY e.id, w.id
"""


async def number(tx: Tx, look: Look, at: datetime) -> int:
    """Give each event the next number of its client, and queue it; how many deliveries."""
    client_ids = look.told["client_ids"]
    added = sorted(Counter(client_ids).items())
    rows = await tx.fetch(COUNT_ON, *map(list, zip(*added, strict=True)))
    news = dict(added)
    following = {row["client_id"]: row["last_sequence"] - news[row["client_id"]] for row in rows}
    sequences = []
    for client_id in client_ids:
        following[client_id] += 1
        sequences.append(following[client_id])
    await tx.execute(FEED, look.ids, client_ids, sequences, at)
    queued = await tx.execute(
        *(QUEUE, look.ids, client_ids, sequences, look.told["types"], look.told["endpoint_ids"], at)
    )
    return rows_affected(queued)
