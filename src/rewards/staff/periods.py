"""Whole days in UTC, as lists and statements are asked for."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from litestar import Request

from rewards.core.errors import InvalidField
from rewards.core.text import day

DAY = timedelta(days=1)
DAYS: dict[str, dict[str, Any]] = {
    "from": {"type": "string", "format": "date", "description": "The first day, in UTC"},
    "to": {"type": "string", "format": "date", "description": "The last day; the first if none"},
}


@dataclass(frozen=True, slots=True)
class Days:
    """From the beginning of the first to the end of the last."""

    first: date
    last: date

    @property
    def since(self) -> datetime:
        return datetime.combine(self.first, time(), UTC)

    @property
    def until(self) -> datetime:
        return datetime.combine(self.last, time(), UTC) + DAY


def days_of(request: Request[Any, Any, Any], now: datetime, *, days_max: int) -> Days:
    """`from` and `to` of the query, today where they are not given.

    Refuses what is no day, days in the wrong order, and more than `days_max` of them.
    """
    query = request.query_params
    first = _day("From", query.get("from")) or now.astimezone(UTC).date()
    last = _day("To", query.get("to")) or first
    if last < first:
        raise InvalidField("To", "min")
    if (last - first).days >= days_max:
        raise InvalidField("To", "max")
    return Days(first, last)


def _day(field: str, text: str | None) -> date | None:
    if not text:
        return None
    found = day(field, text)
    if not 1970 <= found.year < 9998:
        raise InvalidField(field, "date")
    return found
