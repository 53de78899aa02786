"""Rules for text that comes from outside; every refusal is `Invalid <Field>: <rule>`."""

import re
from datetime import date, datetime

from rewards.core.errors import InvalidField

# What a database text and a log line can hold: no control characters, no lone surrogates.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
RFC_3339 = re.compile(
    DAY.pattern
    + r"[Tt ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def printable(field: str, value: str, length_max: int) -> str:
    """The value as given: not empty, at most `length_max` characters, all of them printable."""
    if not value:
        raise InvalidField(field, "min")
    if len(value) > length_max:
        raise InvalidField(field, "max")
    if UNPRINTABLE.search(value):
        raise InvalidField(field, "printable")
    return value


def timestamp(field: str, value: str) -> datetime:
    """An RFC 3339 timestamp with its offset; seconds may be left out."""
    try:
        # Python alone would also take weeks, and whatever follows a NUL.
        at = datetime.fromisoformat(value.upper() if RFC_3339.fullmatch(value) else "")
    except ValueError:
        raise InvalidField(field, "timestamp") from None
    if at.tzinfo is None or not 1970 <= at.year < 9998:
        raise InvalidField(field, "timestamp")
    return at


def day(field: str, value: str) -> date:
    """A calendar day such as 2026-11-21."""
    try:
        return date.fromisoformat(value if DAY.fullmatch(value) else "")
    except ValueError:
        raise InvalidField(field, "date") from None
