"""The envelope of an event: the bytes that are signed and sent, and what the feed shows."""

from datetime import datetime
from typing import Annotated

import msgspec

ID_PREFIX = "evt_"
# Standard Webhooks asks for small ones; ours have a few hundred bytes.
BODY_BYTES_MAX = 20_000
_BODY = msgspec.json.Encoder()

Data = Annotated[
    msgspec.Raw,
    msgspec.Meta(
        extra_json_schema={
            "type": "object",
            "description": "What it is about, by type; never a code, a PIN or a link",
        }
    ),
]


class Envelope(msgspec.Struct, frozen=True):
    """An event as a client reads it, the same in the feed and in every delivery (spec.md §7).

    `id` is also the header `webhook-id`: whoever has seen it has seen the event. `sequence` counts
    a client's events from 1 without gaps, in the order in which they came to be.
    """

    id: str
    event: str
    type: str
    timestamp: datetime
    sequence: int
    data: Data


def message_id(event_id: int) -> str:
    """What an event is called outside; without a dot, as the signature needs it."""
    return f"{ID_PREFIX}{event_id}"


def envelope(
    event_id: int, event_type: str, created_at: datetime, sequence: int, data: str
) -> Envelope:
    """`data` is the event's JSON as text from the database, whose numbers keep their digits."""
    raw = msgspec.Raw(data.encode())
    return Envelope(message_id(event_id), event_type, event_type, created_at, sequence, raw)


def body(told: Envelope) -> bytes:
    """The bytes that are signed and sent; the same whenever the same event is sent again."""
    return _BODY.encode(told)
