"""Reads what a client was told about one order, and what became of it at each endpoint."""

from dataclasses import dataclass
from datetime import datetime

from rewards.infra.db import Tx
from rewards.webhooks.model import DeliveryStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldOfOrder:
    """An event, and one delivery of it; None of that where no endpoint wanted it."""

    event_id: int
    event_type: str
    created_at: datetime
    delivery_id: int | None
    endpoint_id: int | None
    endpoint: str | None
    status: DeliveryStatus | None
    attempts: int | None
    last_status_code: int | None
    last_error: str | None
    finished_at: datetime | None


# First deliveries and repeated ones have an index by event each.
OF_ORDER = """
SELECT e.id AS event_id, e.type AS event_type, e.created_at, d.id AS delivery_id, d.endpoint_id,
    w.name AS endpoint, d.status, d.attempts, d.last_status_code, d.last_error, d.finished_at
FROM (SELECT * FROM events WHERE order_id = $1 ORDER BY id LIMIT $2) AS e
LEFT JOIN LATERAL (
    SELECT * FROM webhook_deliveries WHERE event_id = e.id AND redelivery_of IS NULL
    UNION ALL
    SELECT * FROM webhook_deliveries WHERE event_id = e.id AND redelivery_of IS NOT NULL
) AS d ON true
LEFT JOIN webhook_endpoints AS w ON w.id = d.endpoint_id
ORDER BY e.id, d.id LIMIT $2
"""


async def told_of_order(tx: Tx, order_id: int, limit: int) -> list[ToldOfOrder]:
    """Oldest first; of an endpoint only its name."""
    return [
        ToldOfOrder(**(dict(row) | {"status": row["status"] and DeliveryStatus(row["status"])}))
        for row in await tx.fetch(OF_ORDER, order_id, limit)
    ]
