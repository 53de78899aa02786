"""How far behind the sealing of events and the sending of deliveries are."""

from dataclasses import dataclass
from datetime import datetime

from rewards.infra.db import Tx
from rewards.webhooks.sql_sealing import EVENTS

# What waits for endpoints that are switched off is late by nobody's fault.
WAITING = """
SELECT count(*) AS waiting, min(d.next_at) AS since
FROM (
    SELECT endpoint_id, next_at FROM webhook_deliveries
    WHERE status = 'PENDING' AND next_at <= now() LIMIT $1
) AS d
JOIN webhook_endpoints AS e ON e.id = d.endpoint_id
WHERE e.status = 'ENABLED' AND e.deleted_at IS NULL
"""

TROUBLED = """
SELECT count(*) FILTER (WHERE status = 'ENABLED' AND failing_since IS NOT NULL) AS failing,
    count(*) FILTER (
        WHERE status = 'DISABLED' AND disabled_reason NOT IN ('CLIENT', 'STAFF')) AS disabled
FROM webhook_endpoints WHERE deleted_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class Lag:
    """Deliveries that are due, and since when the first of them is."""

    waiting: int
    since: datetime | None


async def unsealed_since(tx: Tx) -> datetime | None:
    """When the first event was written that has no number yet; None: all have one."""
    return await EVENTS.since(tx)


async def waiting(tx: Tx, count_max: int) -> Lag:
    """Deliveries that could be sent now, counted up to `count_max`."""
    return Lag(**dict((await tx.fetch(WAITING, count_max))[0]))


async def troubled_counts(tx: Tx) -> tuple[int, int]:
    """Endpoints that fail and are still tried, and those that we switched off."""
    row = (await tx.fetch(TROUBLED))[0]
    return row["failing"], row["disabled"]
