"""What people type into forms, as an API takes it, and what it said, as people read it."""

from collections.abc import Mapping
from datetime import date, timedelta

DAY = timedelta(days=1)


def begin_of(day: str) -> str:
    """The first moment of a UTC day; what is no day goes as it is, for the API to refuse."""
    return _midnight(day, timedelta(0))


def end_of(day: str) -> str:
    """The first moment after a UTC day."""
    return _midnight(day, DAY)


def _midnight(day: str, more: timedelta) -> str:
    try:
        return f"{date.fromisoformat(day) + more}T00:00:00Z"
    except (ValueError, OverflowError):
        return day


def recovered(done: Mapping[str, int]) -> str:
    """What came of sending again what a webhook missed."""
    sent = done["failed"] + done["missed"] + done["waiting"]
    more = "" if done["complete"] else " There is more: send again."
    return f"{sent} are on their way.{more}"
