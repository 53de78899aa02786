"""Sums of what was written in some days, by the hour: an hour that is over is added up once."""

from collections.abc import Awaitable, Callable, Hashable, Mapping
from datetime import datetime, timedelta
from typing import Generic, TypeAlias, TypeVar

from rewards.infra.db import Tx

HOUR = timedelta(hours=1)
# When an hour is over nobody writes into it any more: far longer than a transaction lives, and
# clocks differ.
SETTLES = timedelta(minutes=10)
KEPT_MAX = 31 * 24

Key = TypeVar("Key", bound=Hashable)
Sums: TypeAlias = Mapping[Key, tuple[int, ...]]
# Three spans of time that do not meet, each from … to before, None twice where one is empty: a
# coarse index would read much to find nothing. And the sums of each hour that has some.
Spans: TypeAlias = tuple[datetime | None, ...]
Read: TypeAlias = Callable[[Tx, Spans], Awaitable[dict[datetime, dict[Key, tuple[int, ...]]]]]


def spanned(column: str) -> str:
    """The condition that a row is of one of the spans, the statement's first six values."""
    pairs = ((1, 2), (3, 4), (5, 6))
    return " OR ".join(f"{column} >= ${low} AND {column} < ${high}" for low, high in pairs)


class Hours(Generic[Key]):
    """One a process, of rows that are never taken back and keep what is added up.

    A week of a busy house is a quarter of a million rows: the first look reads them, every other
    reads those of an hour or two.
    """

    def __init__(self, read: Read[Key]) -> None:
        self._read = read
        self._known: dict[datetime, Sums[Key]] = {}

    async def between(self, tx: Tx, since: datetime, until: datetime) -> dict[datetime, Sums[Key]]:
        """From `since` to before `until`, which is now: the beginning of each hour, and its sums.

        Of the hours at both ends only what lies between. One statement.
        """
        first, beyond = whole_hours(since, until)
        hours = [first + HOUR * n for n in range((beyond - first) // HOUR)]
        unknown = [hour for hour in hours if hour not in self._known]
        missing = (unknown[0], unknown[-1] + HOUR) if unknown else (first, first)
        spans = ((since, first), missing, (beyond, until))
        given = [(low, high) if low < high else (None, None) for low, high in spans]
        read = await self._read(tx, (*given[0], *given[1], *given[2]))
        self._known.update({hour: read.get(hour, {}) for hour in unknown})
        found = {**read, **{hour: self._known[hour] for hour in hours}}
        for hour in [hour for hour in self._known if hour < until - HOUR * KEPT_MAX]:
            del self._known[hour]
        return found


def whole_hours(since: datetime, until: datetime) -> tuple[datetime, datetime]:
    """From where to before where in this time hours are whole, and over for good; where there is
    none, nothing at `since`."""
    first = _begin(since + HOUR - timedelta.resolution)
    beyond = _begin(until - SETTLES)
    return (first, beyond) if first < beyond else (since, since)


def _begin(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)
