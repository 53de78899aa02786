"""What people type into the portal's forms, as the clients' API takes it."""

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
