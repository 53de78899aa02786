"""The statements that keep, of each endpoint, since when it fails, and that disable it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from rewards.infra.db import Record, Tx
from rewards.webhooks.model import DisabledReason
from rewards.webhooks.model_sending import FAILING_TOLD_AFTER

# Rows are locked in id order, as whoever leases for several endpoints locks them.
_LOCKED = "ARRAY(SELECT id FROM webhook_endpoints WHERE {} ORDER BY id FOR NO KEY UPDATE)"
_SUCCEEDED = _LOCKED.format("id = ANY ($1::bigint[]) AND failing_since IS NOT NULL")
_FRESH = _LOCKED.format("id = ANY ($1::bigint[]) AND failing_since IS NULL")
_SICK = "w.id, w.client_id, w.name, w.url, w.disabled_reason, w.failing_since"

SUCCEEDED = f"UPDATE webhook_endpoints SET failing_since = NULL WHERE id = ANY ({_SUCCEEDED})"
FAILED = f"UPDATE webhook_endpoints SET failing_since = now() WHERE id = ANY ({_FRESH})"
DISABLE = f"""
UPDATE webhook_endpoints AS w
SET status = 'DISABLED', disabled_reason = $2, disabled_at = $3, updated_at = $3
WHERE w.id = ANY ($1::bigint[]) AND w.status = 'ENABLED' AND w.deleted_at IS NULL
    AND ($4::interval IS NULL OR w.failing_since <= now() - $4)
RETURNING {_SICK}
"""
# Told once for all that fails without a success in between.
MARK_FAILING = f"""
UPDATE webhook_endpoints AS w SET failing_told_at = now()
WHERE w.id = ANY ($1::bigint[]) AND w.status = 'ENABLED' AND w.deleted_at IS NULL
    AND w.failing_since <= now() - $2::interval
    AND (w.failing_told_at IS NULL OR w.failing_told_at < w.failing_since)
RETURNING {_SICK}
"""


@dataclass(frozen=True, slots=True)
class Sick:
    """An endpoint that its owner must hear of; without a reason it only fails."""

    endpoint_id: int
    client_id: int
    name: str
    url: str = field(repr=False)
    reason: DisabledReason | None
    failing_since: datetime | None


async def note_success(tx: Tx, endpoint_ids: Sequence[int]) -> None:
    if endpoint_ids:
        await tx.execute(SUCCEEDED, endpoint_ids)


async def note_failure(tx: Tx, endpoint_ids: Sequence[int]) -> None:
    """From now on they fail, unless they did before."""
    if endpoint_ids:
        await tx.execute(FAILED, endpoint_ids)


async def disable(
    tx: Tx,
    endpoint_ids: Sequence[int],
    reason: DisabledReason,
    at: datetime,
    *,
    failing_for: timedelta | None = None,
) -> list[Sick]:
    """Disable those that are not yet, and that fail for so long; exactly those are answered."""
    if not endpoint_ids:
        return []
    return [_sick(row) for row in await tx.fetch(DISABLE, endpoint_ids, reason, at, failing_for)]


async def mark_failing(tx: Tx, endpoint_ids: Sequence[int]) -> list[Sick]:
    """Those that have failed for long enough to say so, and of whom it was not said yet."""
    rows = await tx.fetch(MARK_FAILING, endpoint_ids, FAILING_TOLD_AFTER)
    return [_sick(row) for row in rows]


def _sick(row: Record) -> Sick:
    reason = row["disabled_reason"]
    return Sick(
        *(row["id"], row["client_id"], row["name"], row["url"]),
        reason=DisabledReason(reason) if reason else None,
        failing_since=row["failing_since"],
    )
