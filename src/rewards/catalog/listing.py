"""Which products a list shows and in which order, from query parameters; pure."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rewards.catalog.model import Category, DeliveryTime, Product, Subcategory
from rewards.catalog.snapshot import Snapshot
from rewards.core.errors import InvalidField

SEARCH_CHARS_MAX = 100
SORT_CHARS_MAX = 200
ID_DIGITS_MAX = 9

SORT_KEYS: dict[str, Callable[[Product], Any]] = {
    "id": lambda product: product.id,
    "name": lambda product: product.name.casefold(),
    "country": lambda product: product.country,
    "currency": lambda product: product.currency,
    "created_at": lambda product: product.created_at,
}


@dataclass(frozen=True, slots=True)
class Sort:
    field: str = "id"
    descending: bool = True


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a list was asked for; None does not narrow it."""

    # An id, or a name in any case.
    category: int | str | None = None
    sub_category: int | str | None = None
    country: str | None = None
    country_id: int | None = None
    currency: str | None = None
    currency_id: int | None = None
    # Words of the name, in lower case; all of them.
    search: tuple[str, ...] = ()
    delivery_time: DeliveryTime | None = None
    sort: Sort = Sort()


def read_wanted(
    *,
    category: str | None = None,
    sub_category: str | None = None,
    country: str | None = None,
    country_id: str | None = None,
    currency: str | None = None,
    currency_id: str | None = None,
    search: str | None = None,
    delivery_time: str | None = None,
    sort: str | None = None,
) -> Wanted:
    """Query parameters as sent; an empty one counts as absent. Refuses what cannot be meant:
    `Invalid Country: format`, `Invalid DeliveryTime: oneof`, `Invalid Sort: …` and so on."""
    return Wanted(
        category=name_or_id("Category", category),
        sub_category=name_or_id("SubCategory", sub_category),
        country=_code("Country", country, 2),
        country_id=_id("CountryId", country_id),
        currency=_code("Currency", currency, 3),
        currency_id=_id("CurrencyId", currency_id),
        search=search_words(search),
        delivery_time=_delivery_time(delivery_time),
        sort=_sort(sort) if sort else Sort(),
    )


def chosen(snapshot: Snapshot, client_id: int, wanted: Wanted) -> list[Product]:
    """The products this client may see that match, in order; delivery time is not looked at."""
    tests = _tests(snapshot, wanted)
    found = [
        product
        for product in snapshot.listed
        if product.active and product.visible_to(client_id) and all(test(product) for test in tests)
    ]
    # `listed` is by id, and sorting is stable: equal ones stay in order of id, turned round too.
    if wanted.sort.field != "id":
        found.sort(key=SORT_KEYS[wanted.sort.field])
    if wanted.sort.descending:
        found.reverse()
    return found


Test = Callable[[Product], bool]


def _tests(snapshot: Snapshot, wanted: Wanted) -> list[Test]:
    tests: list[Test] = []
    if wanted.category is not None:
        categories = matching(list(snapshot.categories.values()), wanted.category)
        tests.append(lambda product: product.category_id in categories)
    if wanted.sub_category is not None:
        within = matching(list(snapshot.subcategories.values()), wanted.sub_category)
        tests.append(lambda product: product.subcategory_id in within)
    if wanted.country is not None or wanted.country_id is not None:
        countries = {
            each.code
            for each in snapshot.countries.values()
            if wanted.country in (None, each.code) and wanted.country_id in (None, each.id)
        }
        tests.append(lambda product: product.country in countries)
    if wanted.currency is not None or wanted.currency_id is not None:
        currencies = {
            each.code
            for each in snapshot.currencies.values()
            if wanted.currency in (None, each.code) and wanted.currency_id in (None, each.id)
        }
        tests.append(lambda product: product.currency in currencies)
    if wanted.search:
        tests.append(lambda product: all(word in product.name.casefold() for word in wanted.search))
    return tests


def matching(rows: Sequence[Category | Subcategory], name_or_id: int | str) -> set[int]:
    """Ids of the rows with this id, or this name or slug in any case."""
    if isinstance(name_or_id, int):
        return {name_or_id}
    name = name_or_id.casefold()
    return {each.id for each in rows if name in (each.name.casefold(), each.slug)}


def name_or_id(label: str, text: str | None) -> int | str | None:
    """A query parameter that is an id when it is all digits, a name otherwise."""
    if not text:
        return None
    if len(text) > SEARCH_CHARS_MAX:
        raise InvalidField(label, "max")
    if re.fullmatch(r"[0-9]+", text, re.ASCII):
        return _id(label, text)
    return text


def _id(label: str, text: str | None) -> int | None:
    if not text:
        return None
    if not re.fullmatch(r"[0-9]+", text, re.ASCII):
        raise InvalidField(label, "number")
    if len(text) > ID_DIGITS_MAX:
        raise InvalidField(label, "max")
    return int(text)


def _code(label: str, text: str | None, letters: int) -> str | None:
    if not text:
        return None
    if not re.fullmatch(rf"[A-Za-z]{{{letters}}}", text, re.ASCII):
        raise InvalidField(label, "format")
    return text.upper()


def search_words(text: str | None) -> tuple[str, ...]:
    """What is searched for, as words in lower case. Refuses `Invalid Search: max`."""
    if text is None:
        return ()
    if len(text) > SEARCH_CHARS_MAX:
        raise InvalidField("Search", "max")
    return tuple(text.casefold().split())


def _delivery_time(text: str | None) -> DeliveryTime | None:
    if not text:
        return None
    try:
        return DeliveryTime(text)
    except ValueError as unknown:
        raise InvalidField("DeliveryTime", "oneof") from unknown


def _sort(text: str) -> Sort:
    """`{"field":"id","direction":"DESC"}` (names in any case), `name` or `-name`."""
    if len(text) > SORT_CHARS_MAX:
        raise InvalidField("Sort", "max")
    if text.startswith("{"):
        field, direction = _sort_object(text)
    else:
        field, direction = text.removeprefix("-"), "DESC" if text.startswith("-") else "ASC"
    if field not in SORT_KEYS or direction not in ("ASC", "DESC"):
        raise InvalidField("Sort", "oneof")
    return Sort(field, direction == "DESC")


def _sort_object(text: str) -> tuple[str, str]:
    try:
        given = {str(key).lower(): value for key, value in json.loads(text).items()}
    except (ValueError, RecursionError) as bad:
        raise InvalidField("Sort", "format") from bad
    field, direction = given.get("field", "id"), given.get("direction", "ASC")
    if not isinstance(field, str) or not isinstance(direction, str):
        raise InvalidField("Sort", "format")
    return field.lower(), direction.upper()
