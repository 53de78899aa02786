"""Finds orders among those of all clients, a page at a time; nothing here opens a code."""

from dataclasses import dataclass
from datetime import datetime

from rewards.infra import cursor
from rewards.infra.db import Tx
from rewards.orders import sql_search
from rewards.orders.model import Order
from rewards.orders.model_search import OrderSearch, Way
from rewards.orders.sql_search import SKEW, Page


@dataclass(frozen=True, slots=True)
class OrderPage:
    """Orders in the order asked for, and the cursor of the next page, None on the last one.

    A page that is not full may have a next one all the same: it ends where the look for something
    rare was broken off, at what was placed at `searched_to`.
    """

    orders: list[Order]
    following: str | None
    searched_to: datetime | None = None


async def find(tx: Tx, search: OrderSearch, *, after: str | None = None, limit: int) -> OrderPage:
    """A page of the orders that the search describes, at most five statements (spec.md §8).

    By the time of placing where a client or a product is named, by id elsewhere, which rises with
    it. No statement looks at more than `sql_search.EXAMINED_MAX` orders. Refuses a cursor that is
    none of ours.
    """
    seen = cursor.read(after) if after else None
    if search.states == ():
        return OrderPage([], None)
    page = Page(limit + 1, seen, await _ids(tx, search), await _between(tx, search))
    query = sql_search.compose(search, page)
    found = await sql_search.fetch(tx, query)
    if len(found) > limit:
        last = found[limit - 1]
        return OrderPage(found[:limit], cursor.write(last.placed_at, last.id))
    broken_off = await sql_search.last_examined(tx, query)
    if broken_off is None:
        return OrderPage(found, None)
    return OrderPage(found, cursor.write(*broken_off), broken_off[0])


async def _ids(tx: Tx, search: OrderSearch) -> list[int]:
    """The orders that a search by name could mean."""
    if search.way is not Way.NAMED:
        return []
    if search.order_id is not None or search.name is None:
        return [search.order_id] if search.order_id is not None else []
    found = await sql_search.find_ref(tx, search.name, search.client_id)
    return found + ([search.word_id] if search.word_id is not None else [])


async def _between(tx: Tx, search: OrderSearch) -> tuple[int | None, int | None]:
    """From which id on, and before which, the orders of that time are, where ids are gone by."""
    if search.way not in (Way.STATE, Way.TIME):
        return None, None
    low = high = None
    ends = [each for each in (search.placed_to, search.waits_since) if each is not None]
    if search.placed_from is not None:
        low = await sql_search.first_since(tx, search.placed_from - SKEW)
    if ends:
        high = await sql_search.first_since(tx, min(ends) + SKEW)
    return low, high
