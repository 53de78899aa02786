"""Where the next page of a list of orders starts, as opaque text."""

import base64
from datetime import UTC, datetime, timedelta

from rewards.core.errors import InvalidField
from rewards.orders.model import Order

CURSOR_LENGTH_MAX = 64
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def write(last: Order) -> str:
    """The cursor that continues after `last`."""
    return _text((last.placed_at - EPOCH) // timedelta(microseconds=1), last.id)


def _text(micros: int, order_id: int) -> str:
    return base64.urlsafe_b64encode(f"{micros}.{order_id}".encode()).decode().rstrip("=")


def read(text: str) -> tuple[datetime, int]:
    """(placed_at, id) of the last order seen. Refuses whatever this module did not write."""
    try:
        if len(text) > CURSOR_LENGTH_MAX:
            raise ValueError("too long")
        padded = text + "=" * (-len(text) % 4)
        parts = base64.b64decode(padded, altchars=b"-_", validate=True).split(b".")
        micros, order_id = map(int, parts)
        if micros < 0 or not 0 < order_id < 2**63 or _text(micros, order_id) != text:
            raise ValueError("not ours")
        return EPOCH + timedelta(microseconds=micros), order_id
    except (ValueError, OverflowError):
        raise InvalidField("Cursor", "format") from None
