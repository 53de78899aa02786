"""`/products` and their availability (spec.md §2)."""

from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter, SkipValidation

from rewards.catalog.catalog import Catalog
from rewards.catalog.listing import chosen, read_wanted
from rewards.catalog.model import (
    DeliveryTime,
    Discounts,
    PoolDepth,
    Product,
    ProductNotFound,
    parse_quantity,
    speed,
)
from rewards.catalog.shapes import AvailabilityShape, ProductShape, product_shape
from rewards.clients.auth import SECURITY, principal_of, requires
from rewards.clients.model import Principal
from rewards.core.errors import InvalidField
from rewards.core.money import amount_minor, read_amount, read_json_amount
from rewards.core.page import Page
from rewards.infra.http import decode, encode, page_answer, page_ask, path_id
from rewards.infra.openapi import answers, takes

PAGE_DEFAULT = 50
PAGE_MAX = 10_000
QUANTITY_DIGITS_MAX = 18

# Given by the composition root: what the pool holds, and what each client gets off.
Pool: TypeAlias = NamedDependency[SkipValidation[PoolDepth]]
Offers: TypeAlias = NamedDependency[SkipValidation[Discounts]]


def query(description: str, **schema: Any) -> Any:
    """How a query parameter shows in the OpenAPI document; it is read as text."""
    return QueryParameter(required=False, description=description, schema_extra=schema)


PageNumber: TypeAlias = Annotated[
    str | None, query("Page, from 1", type="integer", minimum=1, maximum=1_000_000)
]
PageSize: TypeAlias = Annotated[
    str | None, query("Items a page; 50 if not given", type="integer", minimum=1, maximum=PAGE_MAX)
]
DENOMINATION = {
    "description": "Face value of one voucher, in the product's currency; a number, or its text",
    "anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string"}],
    "examples": [25.00],
}
QUANTITY = {"description": "How many vouchers", "minimum": 1, "examples": [5]}


class AvailabilityBody(msgspec.Struct, forbid_unknown_fields=True):
    denomination: Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema=DENOMINATION)] = (
        msgspec.field(default_factory=msgspec.Raw)
    )
    quantity: Annotated[int, msgspec.Meta(extra_json_schema=QUANTITY)] = 1


AVAILABILITY_BODY = msgspec.json.Decoder(AvailabilityBody)


@get(
    "/",
    operation_id="listProducts",
    summary="List products",
    responses=answers(list[ProductShape], 400, 401, 403, 503, told="A page of products"),
)
async def list_products(
    request: Request[Any, Any, Any],
    catalog: NamedDependency[Catalog],
    pool: Pool,
    prices: Offers,
    page: PageNumber = None,
    limit: PageSize = None,
    category: Annotated[str | None, query("Name in any case, or id")] = None,
    sub_category: Annotated[str | None, query("Name in any case, or id")] = None,
    country: Annotated[str | None, query("ISO 3166 alpha-2 code")] = None,
    country_id: Annotated[str | None, query("Id of a country", type="integer")] = None,
    currency: Annotated[str | None, query("ISO 4217 code")] = None,
    currency_id: Annotated[str | None, query("Id of a currency", type="integer")] = None,
    search: Annotated[str | None, query("Words of the name, in any case")] = None,
    delivery_time: Annotated[str | None, query("INSTANT or DELAYED, in any case")] = None,
    sort: Annotated[
        str | None, query('`name`, `-name`, or `{"field": "id", "direction": "DESC"}`')
    ] = None,
) -> Response[bytes]:
    """The products you may buy, newest first unless sorted otherwise.

    `delivery_time` is computed live: INSTANT where the pool holds at least one voucher. It may
    change with every order and every delivery of stock, so do not keep it.
    """
    ask = page_ask(page, limit, default=PAGE_DEFAULT, maximum=PAGE_MAX)
    wanted = read_wanted(
        category=category,
        sub_category=sub_category,
        country=country,
        country_id=country_id,
        currency=currency,
        currency_id=currency_id,
        search=search,
        delivery_time=delivery_time,
        sort=sort,
    )
    principal = principal_of(request)
    found = chosen(catalog.snapshot, principal.client_id, wanted)
    if wanted.delivery_time is not None:
        times = await _times(catalog, pool, found)
        found = [each for each in found if times[each.id] is wanted.delivery_time]
    shown = found[ask.offset : ask.offset + ask.size]
    if wanted.delivery_time is None:
        times = await _times(catalog, pool, shown)
    body = [_shape(catalog, prices, principal, each, times[each.id]) for each in shown]
    return page_answer(request, Page(body, ask, len(found)), body)


@get(
    "/{product_id:str}",
    operation_id="getProduct",
    summary="Get a product",
    responses=answers(ProductShape, 401, 403, 404, 503, told="The product"),
)
async def get_product(
    request: Request[Any, Any, Any],
    product_id: FromPath[str],
    catalog: NamedDependency[Catalog],
    pool: Pool,
    prices: Offers,
) -> Response[bytes]:
    """One product with its denominations, terms and redemption instructions."""
    principal = principal_of(request)
    product = _offered(catalog, product_id, principal)
    times = await _times(catalog, pool, [product])
    return encode(_shape(catalog, prices, principal, product, times[product.id]))


@get(
    "/{product_id:str}/availability",
    operation_id="getAvailability",
    summary="Check availability",
    responses=answers(AvailabilityShape, 400, 401, 403, 404, 503, told="Whether it can be had"),
)
async def get_availability(
    request: Request[Any, Any, Any],
    product_id: FromPath[str],
    catalog: NamedDependency[Catalog],
    pool: Pool,
    denomination: Annotated[str | None, query("Face value", type="number", examples=[25])] = None,
    quantity: Annotated[
        str | None, query("How many; 1 if not given", type="integer", examples=[5])
    ] = None,
) -> Response[bytes]:
    """Whether an order of this denomination and quantity would be taken, and how fast it comes.

    A product that is not in the pool can still be ordered; it is then DELAYED.
    """
    amount = read_amount("Denomination", denomination)
    asked = 1 if not quantity else parse_quantity(_whole(quantity))
    product = _offered(catalog, product_id, principal_of(request))
    minor = amount_minor("Denomination", amount, product.exponent)
    return await _availability(request, catalog, pool, product, minor, asked)


@post(
    "/{product_id:str}/availability",
    status_code=200,
    operation_id="checkAvailability",
    summary="Check availability with a body",
    operation_class=takes(AvailabilityBody, needs=("denomination",)),
    responses=answers(AvailabilityShape, 400, 401, 403, 404, 503, told="Whether it can be had"),
)
async def check_availability(
    request: Request[Any, Any, Any],
    product_id: FromPath[str],
    catalog: NamedDependency[Catalog],
    pool: Pool,
) -> Response[bytes]:
    """The same as the GET, with a body."""
    body = decode(AVAILABILITY_BODY, await request.body())
    amount = read_json_amount("Denomination", bytes(body.denomination))
    asked = parse_quantity(body.quantity)
    product = _offered(catalog, product_id, principal_of(request))
    minor = amount_minor("Denomination", amount, product.exponent)
    return await _availability(request, catalog, pool, product, minor, asked)


def _whole(text: str) -> int:
    if not text.isascii() or not text.removeprefix("-").isdigit():
        raise InvalidField("Quantity", "number")
    if len(text) > QUANTITY_DIGITS_MAX:
        raise InvalidField("Quantity", "max")
    return int(text)


def _offered(catalog: Catalog, product_id: str, principal: Principal) -> Product:
    product = catalog.offered(path_id(product_id, ProductNotFound), principal.client_id)
    if product is None:
        raise ProductNotFound
    return product


def _shape(
    catalog: Catalog,
    prices: Discounts,
    principal: Principal,
    product: Product,
    delivery_time: DeliveryTime,
) -> ProductShape:
    return product_shape(
        catalog.snapshot,
        product,
        delivery_time=delivery_time,
        discount_percent=prices.discount_percent(product, principal.client_id),
        quantity_max=product.quantity_max(principal.max_quantity),
    )


async def _times(
    catalog: Catalog, pool: PoolDepth, products: Sequence[Product]
) -> dict[int, DeliveryTime]:
    """How fast one voucher of each product comes, whatever its denomination."""
    instant = {product.id for product in products if catalog.always_at_hand(product)}
    asked = [product.id for product in products if product.id not in instant]
    depths = await pool.product_depth(asked) if asked else {}
    times = dict.fromkeys(instant, DeliveryTime.INSTANT)
    return times | {product_id: speed(1, depths.get(product_id, 0)) for product_id in asked}


async def _availability(
    request: Request[Any, Any, Any],
    catalog: Catalog,
    pool: PoolDepth,
    product: Product,
    minor: int,
    quantity: int,
) -> Response[bytes]:
    quantity_max = product.quantity_max(principal_of(request).max_quantity)
    if not product.sells(minor):
        return encode(AvailabilityShape(False, DeliveryTime.DELAYED, quantity_max))
    time = await catalog.delivery_time(pool, product, minor, quantity)
    return encode(AvailabilityShape(quantity <= quantity_max, time, quantity_max))


ROUTER = Router(
    path="/products",
    route_handlers=[list_products, get_product, get_availability, check_availability],
    guards=[requires("products:read")],
    security=SECURITY,
    tags=["Products"],
)
