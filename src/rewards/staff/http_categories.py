"""What products are sorted by and may be made of: categories, countries, currencies."""

from typing import Any

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.params import FromPath

from rewards.audit import service as audit
from rewards.audit.model import AuditFact
from rewards.catalog import service as catalog_service
from rewards.catalog.model import (
    EVERYTHING,
    Category,
    CategoryNotFound,
    NewCategory,
    Subcategory,
)
from rewards.core.errors import Refusal
from rewards.infra.db import Tx
from rewards.infra.http import decode, encode, path_id
from rewards.infra.openapi import answers, takes
from rewards.staff.auth import caller, requires
from rewards.staff.given import GivenCatalog, GivenClock, GivenDatabase
from rewards.staff.model import Permission


class NewCategoryIn(msgspec.Struct, forbid_unknown_fields=True):
    """What clients read; the slug is made of it."""

    name: str = ""


class StaffCategoryOut(msgspec.Struct):
    id: int
    name: str
    slug: str
    active: bool
    # Whose it is; null for one that products may be in by itself.
    category_id: int | None

    @classmethod
    def of(cls, one: Category | Subcategory) -> "StaffCategoryOut":
        within = one.category_id if isinstance(one, Subcategory) else None
        return cls(one.id, one.name, one.slug, one.active, within)


class StaffCountryOut(msgspec.Struct):
    code: str
    name: str
    currency: str


class StaffCurrencyOut(msgspec.Struct):
    code: str
    name: str
    exponent: int


class ReferenceOut(msgspec.Struct):
    """What a product may name. Categories with their sub-categories behind them, by id."""

    categories: list[StaffCategoryOut]
    countries: list[StaffCountryOut]
    currencies: list[StaffCurrencyOut]


NEW_CATEGORY = msgspec.json.Decoder(NewCategoryIn)
MADE = answers(StaffCategoryOut, 400, 401, 403, 409, status=201, told="Added")
MADE_WITHIN = answers(StaffCategoryOut, 400, 401, 403, 404, 409, status=201, told="Added")


@get(
    "/reference-data",
    operation_id="getReferenceData",
    guards=[requires(Permission.PRODUCTS_READ)],
    responses=answers(ReferenceOut, 401, 403),
)
async def reference_data(catalog: GivenCatalog) -> Response[bytes]:
    """Everything that a product may be made of: categories, countries and currencies in use."""
    within: dict[int, list[Subcategory]] = {}
    for each in catalog.subcategories():
        within.setdefault(each.category_id, []).append(each)
    sorted_in: list[Category | Subcategory] = []
    for one in catalog.categories():
        sorted_in += [one, *within.get(one.id, ())]
    return encode(
        ReferenceOut(
            [StaffCategoryOut.of(each) for each in sorted_in],
            [StaffCountryOut(c.code, c.name, c.currency) for c in catalog.countries() if c.active],
            [
                StaffCurrencyOut(c.code, c.name, c.exponent)
                for c in catalog.currencies()
                if c.active
            ],
        )
    )


@post(
    "/categories",
    status_code=201,
    operation_id="createCategory",
    guards=[requires(Permission.PRODUCTS_WRITE)],
    operation_class=takes(NewCategoryIn, needs=("name",)),
    responses=MADE,
)
async def create_category(
    request: Request[Any, Any, Any], db: GivenDatabase, clock: GivenClock, catalog: GivenCatalog
) -> Response[bytes]:
    """Add a category; clients see it within a second. 409 where one is called so."""
    body = decode(NEW_CATEGORY, await request.body())
    return await _add(request, db, clock, catalog, NewCategory(body.name))


@post(
    "/categories/{category_id:str}/subcategories",
    status_code=201,
    operation_id="createSubcategory",
    guards=[requires(Permission.PRODUCTS_WRITE)],
    operation_class=takes(NewCategoryIn, needs=("name",)),
    responses=MADE_WITHIN,
)
async def create_subcategory(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    catalog: GivenCatalog,
    category_id: FromPath[str],
) -> Response[bytes]:
    """Add a sub-category to a category. 409 where one is called so, in whichever category."""
    body = decode(NEW_CATEGORY, await request.body())
    within = path_id(category_id, CategoryNotFound)
    return await _add(request, db, clock, catalog, NewCategory(body.name, within))


async def _add(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    catalog: GivenCatalog,
    wanted: NewCategory,
) -> Response[bytes]:
    who = caller(request).actor

    async def work(tx: Tx) -> StaffCategoryOut:
        [made] = await catalog_service.add_categories(tx, [wanted])
        if isinstance(made, Refusal):
            raise made
        shown = StaffCategoryOut.of(made)
        kind = "category" if shown.category_id is None else "subcategory"
        facts = {"name": made.name, "slug": made.slug, "category_id": shown.category_id}
        fact = AuditFact(who, None, f"{kind}.created", kind, made.id, facts)
        await audit.record(tx, [fact], clock.now())
        return shown

    shown = await db.run(work)
    await catalog.refresh([EVERYTHING])
    return encode(shown, 201)


ROUTER = Router(
    path="/admin/api/v1",
    tags=["Products (staff)"],
    route_handlers=[reference_data, create_category, create_subcategory],
)
