"""What others may do with webhooks: write events, and read what became of them."""

from collections.abc import Sequence
from datetime import datetime

from rewards.infra.db import Tx
from rewards.webhooks import sql
from rewards.webhooks.model import Event
from rewards.webhooks.sql_lag import Lag, troubled_counts, unsealed_since, waiting
from rewards.webhooks.sql_mailed import MailedEvent, Place, mailed_events
from rewards.webhooks.sql_told import ToldOfOrder, told_of_order
from rewards.webhooks.sql_troubled import Troubled, troubled

__all__ = [
    "Lag",
    "MailedEvent",
    "Place",
    "ToldOfOrder",
    "Troubled",
    "emit",
    "mailed_events",
    "told_of_order",
    "troubled",
    "troubled_counts",
    "unsealed_since",
    "waiting",
]


async def emit(tx: Tx, events: Sequence[Event], at: datetime) -> list[int]:
    """Write the events in one statement, in the transaction that caused them; their ids, in order.

    Sent at least once after commit; the per-client sequence is sealed after commit too, because
    the order of commits is not the order of inserts (spec.md §7).
    """
    return await sql.emit(tx, events, at) if events else []
