"""Purchases as they are compared with what a vendor's own books say; nothing here writes."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from rewards.infra.db import Tx
from rewards.vendors import sql_books
from rewards.vendors.model import (
    Accepted,
    BookLine,
    Delivered,
    NotKnown,
    Outcome,
    Purchase,
    Refused,
    SaleState,
)
from rewards.vendors.storable import words


async def vendors_of(tx: Tx, since: datetime, until: datetime) -> list[int]:
    """The vendors that are active, or of which anything was settled in that time."""
    return await sql_books.vendors_of(tx, since, until)


async def settled(
    tx: Tx, vendor_id: int, since: datetime, until: datetime, after_id: int, limit: int
) -> list[Purchase]:
    """What a vendor was sent and that was settled in that time, a page at a time by id."""
    return await sql_books.settled(tx, vendor_id, since, until, after_id, limit)


async def of_lines(
    tx: Tx, vendor_id: int, lines: Sequence[BookLine]
) -> list[tuple[BookLine, Purchase | None]]:
    """Each line of a vendor's book with our purchase of that key or name, open ones too."""
    lines = [_storable(line) for line in lines]
    keys = [line.key for line in lines if line.key]
    refs = [line.vendor_ref for line in lines if line.vendor_ref]
    found = await sql_books.named(tx, vendor_id, keys, refs)
    by_key = {purchase.key: purchase for purchase in found}
    by_ref = {purchase.vendor_ref: purchase for purchase in found if purchase.vendor_ref}
    return [
        (line, by_key.get(line.key or "") or by_ref.get(line.vendor_ref or "")) for line in lines
    ]


def _storable(line: BookLine) -> BookLine:
    """Whatever a vendor calls things, a database and a person can hold it."""
    cost = line.cost and replace(line.cost, currency=_text(line.cost.currency) or "")
    return replace(line, key=_text(line.key), vendor_ref=_text(line.vendor_ref), cost=cost)


def _text(told: str | None) -> str | None:
    return None if told is None else words(told)


async def read(tx: Tx, purchase_ids: Sequence[int]) -> list[Purchase]:
    """The purchases that exist, in no order."""
    return await sql_books.read(tx, purchase_ids)


async def fulfilled(tx: Tx, order_ids: Sequence[int]) -> dict[int, list[Purchase]]:
    """For each order what vendors delivered for it; an order of the pool has an empty list."""
    found: dict[int, list[Purchase]] = {order_id: [] for order_id in order_ids}
    for purchase in await sql_books.fulfilled(tx, order_ids):
        found[purchase.subject_id].append(purchase)
    return found


async def bought_batches(tx: Tx, batch_ids: Sequence[int]) -> dict[int, int]:
    """Which vendor each of these batches of stock came from; batches of files are left out."""
    return await sql_books.bought_batches(tx, batch_ids)


def told(purchase: Purchase, outcome: Outcome) -> BookLine | NotKnown | None:
    """A read-back as a line of the vendor's book; None: it could not tell; pure."""
    ref = purchase.vendor_ref
    if isinstance(outcome, Delivered):
        # A recharge brings no card and was made all the same.
        count = len(outcome.cards) or (purchase.line.quantity if purchase.line.mobile else 0)
        named = outcome.vendor_ref or ref
        return _storable(BookLine(purchase.key, named, SaleState.SOLD, count, outcome.cost))
    if isinstance(outcome, Accepted):
        named = outcome.vendor_ref or ref
        return _storable(BookLine(purchase.key, named, SaleState.OPEN, None, outcome.cost))
    if isinstance(outcome, Refused):
        return BookLine(purchase.key, ref, SaleState.FAILED)
    return outcome if isinstance(outcome, NotKnown) else None
