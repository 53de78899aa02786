"""A line of a client's request log; pure."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

# Days are kept in as many partitions; one more than a day must be free to be emptied.
SLOTS = 16
DAYS_MAX = SLOTS - 2


@dataclass(frozen=True, slots=True)
class Line:
    """One request that was let in. Exactly one of credential_id and login_id is set."""

    id: int
    at: datetime
    request_id: str
    method: str
    # The route's template: no id, no token, no query.
    route: str
    status: int
    # Of a refusal.
    code: str | None
    took_us: int
    credential_id: int | None
    login_id: int | None
    address: str | None
    # That was placed, or that the path named; none of a refusal.
    order_id: int | None


class StatusClass(StrEnum):
    """What the first digit of a status says; ERROR is whatever was refused or failed."""

    OK = "2XX"
    REFUSED = "4XX"
    FAILED = "5XX"
    ERROR = "ERROR"


STATUSES: dict[StatusClass, tuple[int, int]] = {
    StatusClass.OK: (200, 399),
    StatusClass.REFUSED: (400, 499),
    StatusClass.FAILED: (500, 599),
    StatusClass.ERROR: (400, 599),
}


@dataclass(frozen=True, slots=True)
class LineFilter:
    """What is None does not matter. From `since` on, and before `until`."""

    client_id: int
    since: datetime | None = None
    until: datetime | None = None
    status: StatusClass | None = None
    route: str | None = None
    request_id: str | None = None
    # Where the last page ended.
    before: tuple[datetime, int] | None = None


def slot_of(day: date) -> int:
    """The partition of a UTC day."""
    return day.toordinal() % SLOTS


def forgotten_slots(today: date, days_kept: int) -> list[int]:
    """Slots that hold nothing of the days that are kept, nor of tomorrow: clocks differ."""
    kept = {slot_of(date.fromordinal(today.toordinal() - back)) for back in range(-1, days_kept)}
    return [slot for slot in range(SLOTS) if slot not in kept]
