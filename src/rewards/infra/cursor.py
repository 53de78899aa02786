"""Where the next page of a list by time starts, as opaque text."""

import base64
from datetime import UTC, datetime, timedelta

from rewards.core.errors import InvalidField

CURSOR_LENGTH_MAX = 64
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def write(at: datetime, row_id: int) -> str:
    """The cursor that continues after the row of this time and id."""
    return _text((at - EPOCH) // timedelta(microseconds=1), row_id)


def _text(micros: int, row_id: int) -> str:
    return base64.urlsafe_b64encode(f"{micros}.{row_id}".encode()).decode().rstrip("=")


def read(text: str) -> tuple[datetime, int]:
    """Time and id of the last row seen. Refuses whatever this module did not write."""
    try:
        if len(text) > CURSOR_LENGTH_MAX:
            raise ValueError("too long")
        padded = text + "=" * (-len(text) % 4)
        parts = base64.b64decode(padded, altchars=b"-_", validate=True).split(b".")
        micros, row_id = map(int, parts)
        if micros < 0 or not 0 < row_id < 2**63 or _text(micros, row_id) != text:
            raise ValueError("not ours")
        return EPOCH + timedelta(microseconds=micros), row_id
    except (ValueError, OverflowError):
        raise InvalidField("Cursor", "format") from None
