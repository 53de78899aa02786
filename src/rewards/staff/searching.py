"""What a search for orders may ask, as a query says it: one reading for searches made and kept."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from rewards.core.currency import CURRENCIES
from rewards.core.errors import InvalidField
from rewards.core.money import parse_amount
from rewards.core.text import printable
from rewards.infra.http import ID_MAX, one_of, whole
from rewards.infra.openapi import choice, whole_number
from rewards.infra.query import a_currency, an_id, moment
from rewards.orders.model import Status, SubStatus
from rewards.orders.model_search import OrderSearch, Sort

WORD_CHARS_MAX = 254
REF_CHARS_MAX = 128
AMOUNT_CHARS_MAX = 24
TIME_CHARS_MAX = 40
# Clocks differ, and what was placed a moment ago waits too.
AHEAD = timedelta(days=1)
# Ten years.
HOURS_MAX = 87_600


def _text(description: str, maximum: int) -> dict[str, Any]:
    return {"type": "string", "maxLength": maximum, "description": description}


def _moment(description: str) -> dict[str, Any]:
    return {"type": "string", "maxLength": TIME_CHARS_MAX, "description": description}


# Name to schema; `read` reads exactly these.
PARAMETERS: dict[str, dict[str, Any]] = {
    "q": _text("An order's id, an item's, a reference, or an e-mail address", WORD_CHARS_MAX),
    "id": whole_number("The order of this id", maximum=ID_MAX),
    "ref": _text("With this reference, whole", REF_CHARS_MAX),
    "client_id": whole_number("Of this client", maximum=ID_MAX),
    "product_id": whole_number("Of this product", maximum=ID_MAX),
    "status": choice(Status, "In any case"),
    "sub_status": choice(SubStatus, "In any case"),
    "currency": _text("Paid in this currency", 3),
    "min_amount": _text("For so much or more; needs `currency`", AMOUNT_CHARS_MAX),
    "max_amount": _text("For so much or less; needs `currency`", AMOUNT_CHARS_MAX),
    "email": _text("For the holder of this address, in any case", WORD_CHARS_MAX),
    "placed_from": _moment("A day (2026-11-21, UTC) or a timestamp: placed from then on"),
    "placed_to": _moment("A day, with all of its hours, or a timestamp: placed before then"),
    "older_than": whole_number("Still waits, and was placed so many hours ago", maximum=HOURS_MAX),
    "sort": choice(Sort, "By the time of placing"),
}


def read(query: Mapping[str, str], now: datetime) -> OrderSearch:
    """The search; an empty parameter counts as absent.

    Refuses values that break a rule, and amounts without their currency.
    """
    currency = a_currency("Currency", query.get("currency"))
    if currency is not None and currency not in CURRENCIES:
        raise InvalidField("Currency", "unknown")
    hours = query.get("older_than")
    since = whole("OlderThan", hours, default=1, maximum=HOURS_MAX) if hours else None
    return OrderSearch(
        order_id=an_id("Id", query.get("id")),
        ref=_printable("Ref", query.get("ref"), REF_CHARS_MAX),
        word=_printable("Q", query.get("q"), WORD_CHARS_MAX),
        client_id=an_id("ClientId", query.get("client_id")),
        product_id=an_id("ProductId", query.get("product_id")),
        status=one_of("Status", Status, query.get("status")),
        sub_status=one_of("SubStatus", SubStatus, query.get("sub_status")),
        currency=currency,
        amount_min_minor=_amount("MinAmount", query.get("min_amount"), currency),
        amount_max_minor=_amount("MaxAmount", query.get("max_amount"), currency),
        email=_printable("Email", query.get("email"), WORD_CHARS_MAX),
        placed_from=moment("PlacedFrom", query.get("placed_from")),
        placed_to=moment("PlacedTo", query.get("placed_to"), end=True),
        waits_since=None if since is None else now - timedelta(hours=since),
        sort=one_of("Sort", Sort, query.get("sort")) or Sort.NEWEST,
    )


def waiting(query: Mapping[str, str], now: datetime) -> OrderSearch:
    """The same for what still waits, of whatever age, the oldest first."""
    found = read(query, now)
    return replace(found, sort=Sort.OLDEST, waits_since=found.waits_since or now + AHEAD)


def kept(given: Mapping[str, str], now: datetime) -> dict[str, str]:
    """A query to be kept, without what is empty. Refuses what `read` refuses, and other names."""
    if not given.keys() <= PARAMETERS.keys():
        raise InvalidField("Query", "unknown", details={"allowed": sorted(PARAMETERS)})
    read(given, now)
    return {name: value for name, value in given.items() if value}


def _printable(field: str, text: str | None, length_max: int) -> str | None:
    return printable(field, text, length_max) if text else None


def _amount(field: str, text: str | None, currency: str | None) -> int | None:
    if not text:
        return None
    if currency is None:
        raise InvalidField("Currency", "required")
    return parse_amount(field, text, CURRENCIES[currency].exponent)
