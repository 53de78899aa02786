"""Reads what money came in and went out over some days, of all clients."""

from dataclasses import dataclass
from datetime import datetime

from rewards.infra.db import Tx
from rewards.wallets.model import TransferKind


@dataclass(frozen=True, slots=True)
class Flow:
    """What transfers of one kind and currency came to since two times, as the wallets see it."""

    kind: TransferKind
    currency: str
    count: int
    amount_minor: int
    recent_count: int
    recent_minor: int


# By the coarse index on the time: the transfers of those days lie side by side.
FLOWS = """
SELECT t.kind, w.currency, count(*) AS count, sum(t.amount_minor)::bigint AS amount_minor,
    count(*) FILTER (WHERE t.created_at >= $2) AS recent_count,
    coalesce(sum(t.amount_minor) FILTER (WHERE t.created_at >= $2), 0)::bigint AS recent_minor
FROM ledger_transfers AS t JOIN wallets AS w ON w.id = t.wallet_id
WHERE t.created_at >= $1
GROUP BY t.kind, w.currency ORDER BY t.kind, w.currency
"""


async def flows(tx: Tx, since: datetime, recent_since: datetime) -> list[Flow]:
    """Each kind and currency since `since`, and of that since `recent_since`."""
    rows = await tx.fetch(FLOWS, since, recent_since)
    return [Flow(TransferKind(row["kind"]), *tuple(row)[1:]) for row in rows]
