"""Reads endpoints whose owners are to be told that they are in trouble."""

from dataclasses import dataclass
from datetime import datetime

from rewards.infra.db import Tx
from rewards.webhooks.model import DisabledReason


@dataclass(frozen=True, slots=True)
class Troubled:
    """An endpoint that fails (`reason` None), or was switched off by us, and since when."""

    endpoint_id: int
    client_id: int
    name: str
    url: str
    reason: DisabledReason | None
    since: datetime


# What its owner, or staff, switched off is news to nobody.
READ = """
SELECT id, client_id, name, url, disabled_reason, coalesce(disabled_at, failing_since) AS since
FROM webhook_endpoints
WHERE deleted_at IS NULL AND (
    (status = 'DISABLED' AND disabled_reason NOT IN ('CLIENT', 'STAFF') AND disabled_at > $1)
    OR (status = 'ENABLED' AND failing_since > $1 AND failing_since <= $2)
) AND id > $3
ORDER BY id LIMIT $4
"""


async def troubled(
    tx: Tx, after: datetime, failing_before: datetime, after_id: int, limit: int
) -> list[Troubled]:
    """Switched off or failing since `after`, by id; of those that fail, what has for long."""
    rows = await tx.fetch(READ, after, failing_before, after_id, limit)
    return [
        Troubled(
            *(row["id"], row["client_id"], row["name"], row["url"]),
            row["disabled_reason"] and DisabledReason(row["disabled_reason"]),
            row["since"],
        )
        for row in rows
    ]
