"""What waits: how many orders, why, and for how long."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum

from rewards.infra.db import Tx
from rewards.infra.hours import Hours
from rewards.orders import sql_demand, sql_waiting
from rewards.orders.model import PARTIAL, Status, SubStatus


class Band(StrEnum):
    """How long ago an order was placed. Those over a day are the stuck ones (spec.md §8)."""

    OVER_WEEK = "OVER_WEEK"
    OVER_DAY = "OVER_DAY"
    OVER_HOUR = "OVER_HOUR"
    FRESH = "FRESH"


# Oldest first: where each band but the first begins.
STARTS = (timedelta(days=7), timedelta(hours=24), timedelta(hours=1))
BANDS = tuple(Band)
assert len(BANDS) == len(STARTS) + 1


@dataclass(frozen=True, slots=True)
class WaitingCount:
    """So many open orders stand in this sub-status and were placed so long ago."""

    sub_status: SubStatus
    band: Band
    orders: int
    oldest_id: int


async def counts(tx: Tx, now: datetime) -> list[WaitingCount]:
    """Open orders by sub-status and age, the oldest band first; one statement.

    Ages are told by ids, which rise with the times of placing but for what was placed at once.
    """
    rows = await sql_waiting.count(tx, [now - start for start in STARTS])
    found = [
        WaitingCount(
            SubStatus(row["sub_status"]), BANDS[row["band"]], row["orders"], row["oldest_id"]
        )
        for row in rows
    ]
    return sorted(found, key=lambda each: (BANDS.index(each.band), each.sub_status))


@dataclass(frozen=True, slots=True)
class DayCount:
    """So many of the orders that were placed on this UTC day stand in this status now."""

    day: date
    status: Status
    orders: int


class Days:
    """One a process, which remembers how many orders were placed in hours that are over."""

    def __init__(self) -> None:
        self._placed = Hours(sql_demand.placed)

    async def by_status(self, tx: Tx, first: date, now: datetime) -> list[DayCount]:
        """The orders of each day since `first`, by status; two statements.

        Of the few that are not delivered the day is told by ids, as in `counts`; the others of
        those placed on that day are.
        """
        days = [first + timedelta(days=n) for n in range((now.date() - first).days + 1)]
        starts = [datetime.combine(day, time(), UTC) for day in days]
        found: Counter[tuple[date, Status]] = Counter()
        for hour, placed in (await self._placed.between(tx, starts[0], now)).items():
            found[hour.date(), Status.DELIVERED] += sum(count for (count,) in placed.values())
        for row in await sql_waiting.unserved(tx, starts):
            day, status = days[row["band"] - 1], _status(row["status"], row["sub_status"])
            found[day, status] += row["orders"]
            found[day, Status.DELIVERED] -= row["orders"]
        return [
            DayCount(day, status, orders)
            for (day, status), orders in sorted(found.items())
            if orders > 0
        ]


def _status(status: str, sub_status: str | None) -> Status:
    """Of an open order its index tells the sub-status alone, which only one status has."""
    if sub_status is None:
        return Status(status)
    return PARTIAL.status if sub_status == PARTIAL.sub_status else Status.PENDING
