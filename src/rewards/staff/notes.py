"""Notes on orders: what staff tell one another; a client never reads one, and none is changed."""

from datetime import datetime

from rewards.audit import service as audit
from rewards.audit.model import AuditFact
from rewards.core.text import printable
from rewards.infra.db import Tx
from rewards.orders import overview
from rewards.orders.model import OrderNotFound
from rewards.staff import sql_notes
from rewards.staff.auth import Caller
from rewards.staff.sql_notes import Note

__all__ = ["CHARS_MAX", "Note", "add", "of_order", "text_of"]

CHARS_MAX = 2_000
ID_LAST = 2**63 - 1


def text_of(given: str) -> str:
    """A note of at most CHARS_MAX characters, several lines where they are wanted."""
    text = given.replace("\r\n", "\n").strip()
    # Only the ends of lines are there besides what a name may have.
    printable("Text", text.replace("\n", " "), CHARS_MAX)
    return text


async def add(tx: Tx, who: Caller, order_id: int, text: str, at: datetime) -> Note:
    """Write a note that `text_of` read. Raises OrderNotFound."""
    [found] = await overview.find(tx, [order_id])
    if found is None:
        raise OrderNotFound
    note = await sql_notes.add(tx, order_id, who.staff.id, text, at)
    # The trail says that there is one; what it says stands with the order.
    facts = {"note_id": note.id, "characters": len(text)}
    fact = AuditFact(who.actor, found.client_id, "order.noted", "order", order_id, facts)
    await audit.record(tx, [fact], at)
    return note


async def of_order(tx: Tx, order_id: int, limit: int, before_id: int = ID_LAST) -> list[Note]:
    """The notes of an order, newest first."""
    return await sql_notes.of_order(tx, order_id, before_id, limit)
