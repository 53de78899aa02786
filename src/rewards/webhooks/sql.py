"""The statements of the outbox: events are written with what caused them."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from rewards.infra.db import Tx
from rewards.webhooks.model import Event

# Decimals stay the numbers they are, with their digits.
_DATA = msgspec.json.Encoder(decimal_format="number")

EMIT = """
INSERT INTO events (client_id, type, order_id, endpoint_id, data, mail, created_at)
SELECT client_id, type, order_id, endpoint_id, data::jsonb, mail, $1
FROM unnest($2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::boolean[])
    AS a (client_id, type, order_id, endpoint_id, data, mail)
RETURNING id
"""


async def emit(tx: Tx, events: Sequence[Event], at: datetime) -> list[int]:
    rows = await tx.fetch(
        EMIT,
        at,
        [event.client_id for event in events],
        [event.type for event in events],
        [event.order_id for event in events],
        [event.endpoint_id for event in events],
        [_DATA.encode(event.data).decode() for event in events],
        [event.mail for event in events],
    )
    # RETURNING promises no order; ids were drawn in the order of the events.
    return sorted(row["id"] for row in rows)
