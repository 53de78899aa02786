"""Reads what the query of a list asks for; an empty parameter counts as absent."""

import base64
import re
from datetime import UTC, datetime, timedelta

from rewards.core.errors import InvalidField
from rewards.infra.http import ID_MAX, whole

CURSOR_LENGTH_MAX = 32
DAY = timedelta(days=1)


def yes_or_no(field: str, text: str | None) -> bool | None:
    if not text:
        return None
    if text.lower() not in ("true", "false"):
        raise InvalidField(field, "oneof", details={"allowed": ["true", "false"]})
    return text.lower() == "true"


def an_id(field: str, text: str | None) -> int | None:
    return whole(field, text, default=1, maximum=ID_MAX) if text else None


def a_currency(field: str, text: str | None) -> str | None:
    if not text:
        return None
    if not re.fullmatch(r"[A-Za-z]{3}", text):
        raise InvalidField(field, "format")
    return text.upper()


def moment(field: str, text: str | None, *, end: bool = False) -> datetime | None:
    """A day (2026-11-21, UTC; as an `end` with all of its hours) or an RFC 3339 timestamp."""
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text, re.ASCII):
            return at.replace(tzinfo=UTC) + (DAY if end else timedelta(0))
        if at.tzinfo is None or not 1970 <= at.year < 9998:
            raise ValueError("no place on the time line")
        return at
    except (ValueError, OverflowError):
        raise InvalidField(field, "timestamp") from None


def write_cursor(line_id: int) -> str:
    """Opaque text that says: after this line."""
    return base64.urlsafe_b64encode(str(line_id).encode()).decode().rstrip("=")


def read_cursor(text: str | None) -> int | None:
    """The line a cursor came from. Refuses whatever `write_cursor` did not write."""
    if not text:
        return None
    try:
        if len(text) > CURSOR_LENGTH_MAX:
            raise ValueError("too long")
        padded = text + "=" * (-len(text) % 4)
        line_id = int(base64.b64decode(padded, altchars=b"-_", validate=True))
        if write_cursor(line_id) != text or not 0 < line_id < 2**63:
            raise ValueError("not ours")
        return line_id
    except ValueError:
        raise InvalidField("Cursor", "format") from None
