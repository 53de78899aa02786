"""Reads events that are told of by mail, each when no older one can appear any more."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from rewards.infra.db import Tx

# Numbers with their digits, as they were written.
_DATA = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


@dataclass(frozen=True, slots=True)
class Place:
    """How far somebody has read: all of the transactions before this one, and of it up to an id."""

    through_xid: int
    after_id: int


@dataclass(frozen=True, slots=True)
class MailedEvent:
    """An event as it was written; `data` is what the client reads."""

    id: int
    client_id: int
    type: str
    order_id: int | None
    data: dict[str, Any]


# Ids are taken before commits, and in another order. Below the oldest transaction that is still
# under way nothing can appear any more.
READ = """
SELECT id, client_id, type, order_id, data::text AS data, xid::text::bigint AS xid FROM events
WHERE mail AND (xid, id) > ($1::text::xid8, $2::bigint)
    AND xid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY xid, id LIMIT $3
"""


async def mailed_events(tx: Tx, place: Place, limit: int) -> tuple[list[MailedEvent], Place]:
    """At most `limit` events after `place`, in order of their transactions, and the place after."""
    rows = await tx.fetch(READ, str(place.through_xid), place.after_id, limit)
    if not rows:
        return [], place
    found = [
        MailedEvent(
            *(row["id"], row["client_id"], row["type"], row["order_id"]), _DATA.decode(row["data"])
        )
        for row in rows
    ]
    return found, Place(rows[-1]["xid"], rows[-1]["id"])
