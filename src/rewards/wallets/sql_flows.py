"""Reads what money came in and went out over some days, of all clients."""

from dataclasses import dataclass
from datetime import datetime

from rewards.infra.db import Tx
from rewards.infra.hours import Hours, Spans, spanned
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
FLOWS = f"""
SELECT date_trunc('hour', t.created_at, 'UTC') AS hour, t.kind, w.currency, count(*) AS count,
    sum(t.amount_minor)::bigint AS amount_minor
FROM ledger_transfers AS t JOIN wallets AS w ON w.id = t.wallet_id
WHERE {spanned("t.created_at")}
GROUP BY hour, t.kind, w.currency
"""


async def by_hour(
    tx: Tx, spans: Spans
) -> dict[datetime, dict[tuple[TransferKind, str], tuple[int, ...]]]:
    """How many transfers of each kind and currency, and what they came to, by the hour."""
    found: dict[datetime, dict[tuple[TransferKind, str], tuple[int, ...]]] = {}
    for row in await tx.fetch(FLOWS, *spans):
        name = TransferKind(row["kind"]), row["currency"]
        found.setdefault(row["hour"], {})[name] = row["count"], row["amount_minor"]
    return found


class Flows:
    """One a process, which remembers hours that are over: nothing is ever booked into them."""

    def __init__(self) -> None:
        self._hours = Hours(by_hour)

    async def between(
        self, tx: Tx, since: datetime, recent_since: datetime, now: datetime
    ) -> list[Flow]:
        """Each kind and currency since `since`, and of that since `recent_since`, a whole hour."""
        sums: dict[tuple[TransferKind, str], list[int]] = {}
        for hour, moved in (await self._hours.between(tx, since, now)).items():
            for name, (count, amount_minor) in moved.items():
                recent = hour >= recent_since
                told = (count, amount_minor, count * recent, amount_minor * recent)
                sums[name] = [a + b for a, b in zip(sums.get(name, [0] * 4), told, strict=True)]
        return [Flow(*name, *sums[name]) for name in sorted(sums)]
