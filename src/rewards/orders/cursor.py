"""Where the next page of a list of orders starts, as opaque text."""

import base64
from datetime import UTC, datetime, timedelta

from rewards.core.errors import InvalidField
from rewards.orders.model import Order

CURSOR_LENGTH_MAX = 64
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def write(last: Order) -> str:
    """The cursor that continues after `last`."""
    micros = (last.placed_at - EPOCH) // timedelta(microseconds=1)
    return base64.urlsafe_b64encode(f"{micros}.{last.id}".encode()).decode().rstrip("=")


def read(text: str) -> tuple[datetime, int]:
    """(placed_at, id) of the last order seen. Refuses whatever this module did not write."""
    try:
        if len(text) > CURSOR_LENGTH_MAX:
            raise ValueError("too long")
        padded = text + "=" * (-len(text) % 4)
        micros, order_id = base64.b64decode(padded, altchars=b"-_", validate=True).split(b".")
        return EPOCH + timedelta(microseconds=int(micros)), _bigint(int(order_id))
    except (ValueError, OverflowError):
        raise InvalidField("Cursor", "format") from None


def _bigint(value: int) -> int:
    if not 0 < value < 2**63:
        raise ValueError("no id")
    return value
