"""`/categories`, `/subcategories`, `/countries` and `/currencies` (spec.md §2)."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeAlias, TypeVar

from litestar import Request, Response, Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from rewards.catalog.catalog import Catalog
from rewards.catalog.http import PAGE_DEFAULT, PAGE_MAX, PageNumber, PageSize, query
from rewards.catalog.listing import matching, name_or_id, search_words
from rewards.catalog.model import (
    Category,
    CategoryNotFound,
    Country,
    Currency,
    Subcategory,
    SubcategoryNotFound,
)
from rewards.catalog.shapes import (
    CategoryShape,
    CountryShape,
    CurrencyShape,
    SubcategoryShape,
    category_shape,
    country_shape,
    currency_shape,
    subcategory_shape,
)
from rewards.clients.auth import SECURITY, requires
from rewards.core.errors import InvalidField
from rewards.core.page import Page
from rewards.infra.http import encode, page_answer, page_ask, path_id
from rewards.infra.openapi import answers

Row = TypeVar("Row", Category, Subcategory, Country, Currency)
AnyRequest: TypeAlias = Request[Any, Any, Any]
ActiveOnly: TypeAlias = Annotated[
    str | None, query("false shows those out of use too", type="boolean", default=True)
]
Search: TypeAlias = Annotated[str | None, query("Words of the name, or the code")]


@get(
    "/categories",
    operation_id="listCategories",
    summary="List categories",
    responses=answers(list[CategoryShape], 400, 401, 403, 503, told="A page of categories"),
)
async def list_categories(
    request: AnyRequest,
    catalog: NamedDependency[Catalog],
    page: PageNumber = None,
    limit: PageSize = None,
    active_only: ActiveOnly = None,
    include_subcategories: Annotated[
        str | None, query("true lists the sub-categories of each", type="boolean", default=False)
    ] = None,
) -> Response[bytes]:
    """Categories by id."""
    within = None
    if flag("IncludeSubcategories", include_subcategories, default=False):
        within = _within(catalog)
    return _page(
        request,
        _active(catalog.categories(), active_only),
        lambda each: category_shape(each, within),
        page,
        limit,
    )


@get(
    "/categories/{category_id:str}",
    operation_id="getCategory",
    summary="Get a category",
    responses=answers(CategoryShape, 401, 403, 404, 503, told="The category"),
)
async def get_category(
    category_id: FromPath[str], catalog: NamedDependency[Catalog]
) -> Response[bytes]:
    """One category with its sub-categories."""
    found = catalog.snapshot.categories.get(path_id(category_id, CategoryNotFound))
    if found is None:
        raise CategoryNotFound
    return encode(category_shape(found, _within(catalog)))


@get(
    "/subcategories",
    operation_id="listSubcategories",
    summary="List sub-categories",
    responses=answers(list[SubcategoryShape], 400, 401, 403, 503, told="A page of sub-categories"),
)
async def list_subcategories(
    request: AnyRequest,
    catalog: NamedDependency[Catalog],
    page: PageNumber = None,
    limit: PageSize = None,
    category: Annotated[str | None, query("Name of a category in any case, or id")] = None,
    active_only: ActiveOnly = None,
) -> Response[bytes]:
    """Sub-categories by id; of one category, or of all."""
    rows = _active(catalog.subcategories(), active_only)
    wanted = name_or_id("Category", category)
    if wanted is not None:
        among = matching(catalog.categories(), wanted)
        rows = [each for each in rows if each.category_id in among]
    return _page(request, rows, subcategory_shape, page, limit)


@get(
    "/subcategories/{subcategory_id:str}",
    operation_id="getSubcategory",
    summary="Get a sub-category",
    responses=answers(SubcategoryShape, 401, 403, 404, 503, told="The sub-category"),
)
async def get_subcategory(
    subcategory_id: FromPath[str], catalog: NamedDependency[Catalog]
) -> Response[bytes]:
    """One sub-category."""
    found = catalog.snapshot.subcategories.get(path_id(subcategory_id, SubcategoryNotFound))
    if found is None:
        raise SubcategoryNotFound
    return encode(subcategory_shape(found))


@get(
    "/countries",
    operation_id="listCountries",
    summary="List countries",
    responses=answers(list[CountryShape], 400, 401, 403, 503, told="A page of countries"),
)
async def list_countries(
    request: AnyRequest,
    catalog: NamedDependency[Catalog],
    page: PageNumber = None,
    limit: PageSize = None,
    search: Search = None,
    active_only: ActiveOnly = None,
) -> Response[bytes]:
    """Countries with their main currency, by id."""
    rows = _found(_active(catalog.countries(), active_only), search)
    return _page(request, rows, country_shape, page, limit)


@get(
    "/currencies",
    operation_id="listCurrencies",
    summary="List currencies",
    responses=answers(list[CurrencyShape], 400, 401, 403, 503, told="A page of currencies"),
)
async def list_currencies(
    request: AnyRequest,
    catalog: NamedDependency[Catalog],
    page: PageNumber = None,
    limit: PageSize = None,
    search: Search = None,
    active_only: ActiveOnly = None,
) -> Response[bytes]:
    """Currencies with their decimals, by id. Every amount in one has exactly that many."""
    rows = _found(_active(catalog.currencies(), active_only), search)
    return _page(request, rows, currency_shape, page, limit)


def flag(label: str, text: str | None, *, default: bool) -> bool:
    """`true` or `false` in any case. Refuses `Invalid <label>: boolean`."""
    if not text:
        return default
    if text.lower() not in ("true", "false"):
        raise InvalidField(label, "boolean")
    return text.lower() == "true"


def _active(rows: Sequence[Row], active_only: str | None) -> list[Row]:
    everything = not flag("ActiveOnly", active_only, default=True)
    return [each for each in rows if everything or each.active]


Coded = TypeVar("Coded", Country, Currency)


def _found(rows: Sequence[Coded], search: str | None) -> list[Coded]:
    words = search_words(search)
    return [
        each
        for each in rows
        if all(word in each.name.casefold() or word == each.code.casefold() for word in words)
    ]


def _within(catalog: Catalog) -> dict[int, list[SubcategoryShape]]:
    within: dict[int, list[SubcategoryShape]] = {}
    for each in catalog.subcategories():
        if each.active:
            within.setdefault(each.category_id, []).append(subcategory_shape(each))
    return within


def _page(
    request: AnyRequest,
    rows: Sequence[Row],
    shape: Callable[[Row], object],
    page: str | None,
    limit: str | None,
) -> Response[bytes]:
    ask = page_ask(page, limit, default=PAGE_DEFAULT, maximum=PAGE_MAX)
    shown = [shape(each) for each in rows[ask.offset : ask.offset + ask.size]]
    return page_answer(request, Page(shown, ask, len(rows)), shown)


ROUTER = Router(
    path="/",
    route_handlers=[
        list_categories,
        get_category,
        list_subcategories,
        get_subcategory,
        list_countries,
        list_currencies,
    ],
    guards=[requires("products:read")],
    security=SECURITY,
    tags=["Reference data"],
)
