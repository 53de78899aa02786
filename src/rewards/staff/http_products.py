"""Products as staff see and change them, with what clients are not told; and who sees them."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from litestar import Request, Response, Router, get, patch, put
from litestar.params import FromPath
from msgspec import UNSET, UnsetType

from rewards.audit import service as audit
from rewards.audit.model import AuditFact
from rewards.catalog import service as catalog_service
from rewards.catalog.model import (
    Classification,
    DeliveryType,
    Denomination,
    LinkType,
    Product,
    ProductChange,
    ProductFields,
    ProductNotFound,
    ProductType,
    Visibility,
)
from rewards.clients import service as clients
from rewards.clients.model import ClientNotFound
from rewards.core.errors import InvalidField
from rewards.core.money import amount_minor, read_json_amount, to_decimal, to_minor
from rewards.core.page import Page
from rewards.core.text import printable
from rewards.infra.db import Tx
from rewards.infra.http import decode, encode, member_of, page_answer, path_id
from rewards.infra.openapi import answers, asks, takes
from rewards.staff.auth import caller, requires
from rewards.staff.given import (
    PAGED,
    Amount,
    GivenCatalog,
    GivenClock,
    GivenDatabase,
    Quantity,
    decimal_of,
    no_json,
    paged,
)
from rewards.staff.model import Permission

NAME_CHARS_MAX = 200
CHOICES = {
    "type": ProductType,
    "delivery_type": DeliveryType,
    "classification": Classification,
    "link_type": LinkType,
}
PERCENTS = {
    "tax_percent": "TaxPercent",
    "vendor_discount_percent": "VendorDiscountPercent",
}
# Too long for the audit trail, which names their revision instead.
WORDS = ("description", "terms", "redemption")


class DenominationIn(msgspec.Struct, forbid_unknown_fields=True):
    """A range of face values, both ends included; without `max_value` the one value."""

    min_value: Amount = msgspec.field(default_factory=no_json)
    max_value: Amount = msgspec.field(default_factory=no_json)


class ProductChangeIn(msgspec.Struct, forbid_unknown_fields=True):
    """What is left out stays as it is. The currency never changes: stock is counted in it.

    `denominations` replaces all there are. Null takes a limit, link or vendor discount away.
    """

    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    terms: str | UnsetType = UNSET
    redemption: str | UnsetType = UNSET
    category_id: int | UnsetType = UNSET
    subcategory_id: int | UnsetType | None = UNSET
    country: str | UnsetType = UNSET
    type: str | UnsetType = UNSET
    delivery_type: str | UnsetType = UNSET
    voucher_fields: list[str] | UnsetType = UNSET
    classification: str | UnsetType = UNSET
    link_type: str | UnsetType | None = UNSET
    active: bool | UnsetType = UNSET
    image_url: str | UnsetType = UNSET
    validity: str | UnsetType = UNSET
    realtime: bool | UnsetType = UNSET
    allow_auto_vendor_fulfill: bool | UnsetType = UNSET
    max_quantity: int | UnsetType | None = UNSET
    request_quantity_max: int | UnsetType | None = UNSET
    filled_quantity_max: int | UnsetType | None = UNSET
    pool_target: int | UnsetType = UNSET
    minimum_life_days: int | UnsetType = UNSET
    handling_fee: Quantity | UnsetType = UNSET
    tax_percent: Quantity | UnsetType = UNSET
    vendor_discount_percent: Quantity | UnsetType = UNSET
    visible_by_default: bool | UnsetType = UNSET
    denominations: list[DenominationIn] | UnsetType = UNSET


class VisibilityIn(msgspec.Struct, forbid_unknown_fields=True):
    """`visible` null goes back to the product's default."""

    visible: bool | None


class VisibilityOut(msgspec.Struct):
    product_id: int
    client_id: int
    # Whether the client sees the product now.
    visible: bool


class DenominationOut(msgspec.Struct):
    min_value: Decimal
    max_value: Decimal


class StaffProductOut(msgspec.Struct):
    id: int
    name: str
    description: str
    terms: str
    redemption: str
    category_id: int
    subcategory_id: int | None
    country: str
    currency: str
    type: ProductType
    delivery_type: DeliveryType
    voucher_fields: list[str]
    classification: Classification
    link_type: LinkType | None
    active: bool
    image_url: str
    validity: str
    realtime: bool
    allow_auto_vendor_fulfill: bool
    max_quantity: int | None
    request_quantity_max: int | None
    filled_quantity_max: int | None
    pool_target: int
    minimum_life_days: int
    handling_fee: Decimal
    tax_percent: Decimal
    vendor_discount_percent: Decimal | None
    visible_by_default: bool
    # Clients for whom `visible_by_default` is turned round.
    visibility_exceptions: list[int]
    denominations: list[DenominationOut]
    created_at: datetime

    @classmethod
    def of(cls, product: Product) -> "StaffProductOut":
        made: dict[str, Any] = {
            "voucher_fields": list(product.voucher_fields),
            "handling_fee": to_decimal(product.handling_fee_minor, product.exponent),
            "visibility_exceptions": sorted(product.visibility_exceptions),
            "denominations": [
                DenominationOut(*(to_decimal(value, product.exponent) for value in each))
                for each in product.denominations
            ],
        }
        plain = {name: getattr(product, name) for name in cls.__struct_fields__ if name not in made}
        return cls(**plain, **made)


PRODUCT_CHANGE = msgspec.json.Decoder(ProductChangeIn)
VISIBILITY = msgspec.json.Decoder(VisibilityIn)


@get(
    "/products",
    operation_id="listStaffProducts",
    operation_class=asks(
        {
            **PAGED,
            "name": {
                "type": "string",
                "maxLength": NAME_CHARS_MAX,
                "description": "A part of the name, in any case",
            },
        }
    ),
    guards=[requires(Permission.PRODUCTS_READ)],
    responses=answers(list[StaffProductOut], 400, 401, 403),
)
async def list_products(request: Request[Any, Any, Any], catalog: GivenCatalog) -> Response[bytes]:
    """Every product by id, also what is switched off or hidden; `page`, `limit` (50, max 500)."""
    query = request.query_params
    ask = paged(request)
    part = printable("Name", query["name"], NAME_CHARS_MAX) if query.get("name") else ""
    found = [each for each in catalog.products() if part.casefold() in each.name.casefold()]
    shown = found[ask.offset : ask.offset + ask.size]
    page = Page(shown, ask, len(found))
    return page_answer(request, page, [StaffProductOut.of(each) for each in shown])


@get(
    "/products/{product_id:str}",
    operation_id="getStaffProduct",
    guards=[requires(Permission.PRODUCTS_READ)],
    responses=answers(StaffProductOut, 401, 403, 404),
)
async def get_product(product_id: FromPath[str], catalog: GivenCatalog) -> Response[bytes]:
    """One product with what clients are not told: class, thresholds, pool target, who sees it."""
    product = catalog.product(path_id(product_id, ProductNotFound))
    if product is None:
        raise ProductNotFound
    return encode(StaffProductOut.of(product))


@patch(
    "/products/{product_id:str}",
    operation_id="changeProduct",
    guards=[requires(Permission.PRODUCTS_WRITE)],
    operation_class=takes(ProductChangeIn),
    responses=answers(StaffProductOut, 400, 401, 403, 404),
)
async def change_product(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    catalog: GivenCatalog,
    product_id: FromPath[str],
) -> Response[bytes]:
    """Change a product; counts in every process within a second.

    Orders keep the words they were sold under. `active` false takes it off sale; what was ordered
    is still delivered.
    """
    body = decode(PRODUCT_CHANGE, await request.body())
    number = path_id(product_id, ProductNotFound)

    async def work(tx: Tx) -> Product:
        at = clock.now()
        # A change of nothing locks the row and says what it holds.
        [before] = await catalog_service.change_products(tx, [ProductChange(number, {})], at)
        if not isinstance(body.denominations, UnsetType):
            values = [_denomination(each, before.exponent) for each in body.denominations]
            await catalog_service.set_denominations(tx, {number: values})
        wanted = ProductChange(number, _fields(body, before.exponent))
        [product] = await catalog_service.change_products(tx, [wanted], at)
        old, new = _told(before), _told(product)
        facts = {key: {"from": old[key], "to": new[key]} for key in new if old[key] != new[key]}
        who = caller(request).actor
        fact = AuditFact(who, None, "product.changed", "product", number, facts)
        await audit.record(tx, [fact], at)
        return product

    changed = await db.run(work)
    await catalog.refresh([number])
    return encode(StaffProductOut.of(changed))


def _denomination(given: DenominationIn, exponent: int) -> Denomination:
    least = _face_value(given.min_value, exponent)
    alone = bytes(given.max_value) == b"null"
    return Denomination(least, least if alone else _face_value(given.max_value, exponent))


def _face_value(raw: msgspec.Raw, exponent: int) -> int:
    return amount_minor("Denominations", read_json_amount("Denominations", bytes(raw)), exponent)


def _fields(body: ProductChangeIn, exponent: int) -> ProductFields:
    """What is to change, as the catalogue names it; whether it may be so, the catalogue says."""
    given = {
        name: value
        for name, value in msgspec.structs.asdict(body).items()
        if not isinstance(value, UnsetType) and name != "denominations"
    }
    for name, kind in CHOICES.items():
        if given.get(name) is not None:
            given[name] = member_of(name.title().replace("_", ""), kind, given[name])
    for name, label in PERCENTS.items():
        if name in given:
            given[name] = decimal_of(label, given[name])
    if "tax_percent" in given and given["tax_percent"] is None:
        raise InvalidField("TaxPercent", "required")
    if "voucher_fields" in given:
        given["voucher_fields"] = tuple(given["voucher_fields"])
    if "country" in given:
        given["country"] = given["country"].upper()
    if "handling_fee" in given:
        given["handling_fee_minor"] = _fee(given.pop("handling_fee"), exponent)
    fields: ProductFields = given  # type: ignore[assignment]
    return fields


def _fee(raw: msgspec.Raw, exponent: int) -> int:
    fee = decimal_of("HandlingFee", raw)
    if fee is None:
        raise InvalidField("HandlingFee", "required")
    minor = to_minor(fee, exponent)
    if minor is None:
        raise InvalidField("HandlingFee", "precision")
    return minor


def _told(product: Product) -> Mapping[str, Any]:
    """A product as the audit trail tells of it."""
    told = msgspec.to_builtins(StaffProductOut.of(product), str_keys=True)
    kept = {key: value for key, value in told.items() if key not in ("id", "created_at", *WORDS)}
    return kept | {"revision_id": product.revision_id}


@put(
    "/products/{product_id:str}/visibility/{client_id:str}",
    operation_id="setVisibility",
    guards=[requires(Permission.PRODUCTS_WRITE)],
    operation_class=takes(VisibilityIn),
    responses=answers(VisibilityOut, 400, 401, 403, 404),
)
async def set_visibility(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    catalog: GivenCatalog,
    product_id: FromPath[str],
    client_id: FromPath[str],
) -> Response[bytes]:
    """Show a product to one client, or hide it; to others it stays as it is.

    What a client does not see it cannot buy: 404, as for a product that does not exist.
    """
    body = decode(VISIBILITY, await request.body())
    number, owner = path_id(product_id, ProductNotFound), path_id(client_id, ClientNotFound)

    async def work(tx: Tx) -> bool:
        at = clock.now()
        await clients.check_there(tx, owner)
        [before] = await catalog_service.change_products(tx, [ProductChange(number, {})], at)
        wanted = Visibility(owner, number, body.visible)
        await catalog_service.set_visibility(tx, [wanted])
        seen = before.visible_by_default if body.visible is None else body.visible
        facts = {"visible": {"from": before.visible_to(owner), "to": seen}}
        who = caller(request).actor
        fact = AuditFact(who, owner, "product.visibility_set", "product", number, facts)
        await audit.record(tx, [fact], at)
        return seen

    seen = await db.run(work)
    await catalog.refresh([number])
    return encode(VisibilityOut(number, owner, seen))


ROUTER = Router(
    path="/admin/api/v1",
    tags=["Products (staff)"],
    route_handlers=[list_products, get_product, change_product, set_visibility],
)
