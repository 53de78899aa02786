"""What waits: how many orders, why, and for how long."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from rewards.infra.db import Tx
from rewards.orders import sql_waiting
from rewards.orders.model import Status, SubStatus


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


async def by_day(tx: Tx, first: date) -> list[DayCount]:
    """The orders of each day since `first`, by status; one statement, from the tallies."""
    rows = await sql_waiting.days(tx, first)
    return [DayCount(row["day"], Status(row["status"]), row["orders"]) for row in rows]
