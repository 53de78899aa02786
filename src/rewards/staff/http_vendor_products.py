"""What vendors sell, under which sku they sell our products, and what was said on the wire."""

import re
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, Router, get, put
from litestar.params import FromPath

from rewards.catalog.model import ProductNotFound
from rewards.catalog.service import Catalog
from rewards.core.currency import exponent_of
from rewards.core.errors import InvalidField, Unavailable
from rewards.core.money import to_decimal
from rewards.core.text import printable
from rewards.infra.db import Tx
from rewards.infra.http import (
    ID_MAX,
    cursor_answer,
    decode,
    encode,
    page_answer,
    path_id,
    whole,
)
from rewards.infra.openapi import answers, asks, takes, whole_number
from rewards.staff.auth import caller, requires
from rewards.staff.given import (
    PAGED,
    GivenCatalog,
    GivenClock,
    GivenDatabase,
    minor_of,
    paged,
    reason_told,
)
from rewards.staff.model import Permission
from rewards.vendors import service as vendors
from rewards.vendors.kept import ExchangeFilter, KeptExchange, KeptOffer, Mapped
from rewards.vendors.model import VendorNotFound

Fee = Annotated[
    msgspec.Raw,
    msgspec.Meta(
        extra_json_schema={
            "type": "number",
            "minimum": 0,
            "description": "What the vendor adds for each card, in the product's currency",
            "examples": [0.5],
        }
    ),
]
LIST_DEFAULT, LIST_MAX = 50, 500
SEARCH_CHARS_MAX = 200
STATUS_MIN, STATUS_MAX = 100, 599
PERCENT_TEXT = re.compile(r'("?)[0-9]{1,3}(\.[0-9]{1,20})?\1', re.ASCII)
Percent = Annotated[
    msgspec.Raw,
    msgspec.Meta(
        extra_json_schema={
            "type": "number",
            "minimum": 0,
            "maximum": 100,
            "description": "What the vendor takes off the face value, as agreed",
            "examples": [2.5],
        }
    ),
]


class OfferOut(msgspec.Struct):
    """A line of the vendor's catalogue. No `amounts`: any between `min` and `max`."""

    sku: str
    name: str
    currency: str
    min_amount: Decimal
    max_amount: Decimal
    amounts: list[Decimal]
    # null: the vendor does not say.
    stock: int | None
    active: bool
    read_at: datetime

    @classmethod
    def of(cls, kept: KeptOffer) -> "OfferOut":
        offer, exponent = kept.offer, exponent_of(kept.offer.currency)
        return cls(
            offer.sku,
            offer.name,
            offer.currency,
            to_decimal(offer.min_minor, exponent),
            to_decimal(offer.max_minor, exponent),
            [to_decimal(each, exponent) for each in offer.fixed_minor],
            offer.stock,
            offer.active,
            kept.read_at,
        )


class VendorProductIn(msgspec.Struct, forbid_unknown_fields=True):
    """Under which sku the vendor sells the product. The lowest `priority` is asked first.

    `reason`: why, for the trail.
    """

    sku: str
    discount_percent: Percent = msgspec.field(default_factory=lambda: msgspec.Raw(b"0"))
    fee: Fee = msgspec.field(default_factory=lambda: msgspec.Raw(b"0"))
    priority: Annotated[int, msgspec.Meta(extra_json_schema={"minimum": 0, "maximum": 1000})] = 100
    active: bool = True
    reason: str | None = None


class VendorProductOut(msgspec.Struct):
    vendor_id: int
    product_id: int
    sku: str
    discount_percent: Decimal
    # For each card, in the product's currency.
    fee: Decimal
    priority: int
    active: bool

    @classmethod
    def of(cls, mapped: Mapped, exponent: int) -> "VendorProductOut":
        return cls(
            mapped.vendor_id,
            mapped.product_id,
            mapped.sku,
            mapped.discount_percent,
            to_decimal(mapped.fee_minor, exponent),
            mapped.priority,
            mapped.active,
        )


class ExchangeOut(msgspec.Struct):
    """One call with every value masked that is not known to be harmless; never a header."""

    id: int
    at: datetime
    purchase_id: int | None
    call: str
    method: str
    path: str
    request: str | None
    status: int | None
    answer: str | None
    # Why there is no answer with sense.
    problem: str | None
    took_ms: int

    @classmethod
    def of(cls, kept: KeptExchange) -> "ExchangeOut":
        said = kept.exchange
        return cls(
            kept.id,
            kept.at,
            said.purchase_id,
            said.call,
            said.method,
            said.path,
            said.request,
            said.status,
            said.answer,
            said.problem,
            said.took_ms,
        )


VENDOR_PRODUCT = msgspec.json.Decoder(VendorProductIn)


@get(
    "/vendors/{vendor_id:str}/offers",
    operation_id="listVendorOffers",
    operation_class=asks(
        {
            **PAGED,
            "search": {
                "type": "string",
                "maxLength": SEARCH_CHARS_MAX,
                "description": "A part of the name or sku, in any case",
            },
        }
    ),
    guards=[requires(Permission.VENDORS_READ)],
    responses=answers(list[OfferOut], 400, 401, 403, 404),
)
async def list_offers(
    request: Request[Any, Any, Any], db: GivenDatabase, vendor_id: FromPath[str]
) -> Response[bytes]:
    """The vendor's catalogue as it was last read, by sku."""
    number = path_id(vendor_id, VendorNotFound)
    ask, text = paged(request), request.query_params.get("search")
    search = printable("Search", text, SEARCH_CHARS_MAX) if text else None
    async with db.connection() as connection:
        await _exists(connection, number)
        page = await vendors.list_offers(connection, number, ask, search)
    return page_answer(request, page, [OfferOut.of(each) for each in page.items])


@get(
    "/vendors/{vendor_id:str}/products",
    operation_id="listVendorProducts",
    operation_class=asks(PAGED),
    guards=[requires(Permission.VENDORS_READ)],
    responses=answers(list[VendorProductOut], 400, 401, 403, 404, 503),
)
async def list_products(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    catalog: GivenCatalog,
    vendor_id: FromPath[str],
) -> Response[bytes]:
    """Which of our products the vendor sells, and under which sku."""
    number = path_id(vendor_id, VendorNotFound)
    ask = paged(request)
    async with db.connection() as connection:
        await _exists(connection, number)
        page = await vendors.list_products(connection, number, ask)
    return page_answer(request, page, [_shown(catalog, each) for each in page.items])


@put(
    "/vendors/{vendor_id:str}/products/{product_id:str}",
    operation_id="mapVendorProduct",
    guards=[requires(Permission.VENDORS_WRITE)],
    operation_class=takes(VendorProductIn),
    responses=answers(VendorProductOut, 400, 401, 403, 404),
)
async def map_product(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    catalog: GivenCatalog,
    vendor_id: FromPath[str],
    product_id: FromPath[str],
) -> Response[bytes]:
    """Say under which sku the vendor sells a product of ours; what was said before is replaced."""
    body = decode(VENDOR_PRODUCT, await request.body())
    number = path_id(product_id, ProductNotFound)
    product = catalog.product(number)
    if product is None:
        raise ProductNotFound
    wanted = Mapped(
        path_id(vendor_id, VendorNotFound),
        number,
        body.sku,
        _percent(body.discount_percent),
        body.priority,
        body.active,
        minor_of("Fee", body.fee, product.exponent),
    )
    who, reason = caller(request).actor, reason_told(body.reason)

    async def work(tx: Tx) -> Mapped:
        return await vendors.set_product(tx, wanted, who, clock.now(), reason)

    return encode(VendorProductOut.of(await db.run(work), product.exponent))


@get(
    "/vendors/{vendor_id:str}/exchanges",
    operation_id="listVendorExchanges",
    operation_class=asks(
        {
            "limit": whole_number("Lines a page", maximum=LIST_MAX, default=LIST_DEFAULT),
            "cursor": whole_number("`X-Next-Cursor` of the page before", maximum=ID_MAX),
            "order_id": whole_number("Of the purchases for this order", maximum=ID_MAX),
            "purchase_id": whole_number("Of this purchase", maximum=ID_MAX),
            "status": whole_number(
                "HTTP status of the vendor's answer", minimum=STATUS_MIN, maximum=STATUS_MAX
            ),
            "failed": {
                "type": "boolean",
                "description": "Only those that brought no answer with sense",
            },
        }
    ),
    guards=[requires(Permission.VENDORS_READ)],
    responses=answers(list[ExchangeOut], 400, 401, 403, 404),
)
async def list_exchanges(
    request: Request[Any, Any, Any], db: GivenDatabase, vendor_id: FromPath[str]
) -> Response[bytes]:
    """What was said on the wire, newest first, kept for 90 days."""
    number = path_id(vendor_id, VendorNotFound)
    query = request.query_params
    narrow = ExchangeFilter(
        purchase_id=_id("PurchaseId", query.get("purchase_id")),
        order_id=_id("OrderId", query.get("order_id")),
        status=_http_status(query.get("status")),
        failed=_flag("Failed", query.get("failed")),
    )
    limit = whole("Limit", query.get("limit"), default=LIST_DEFAULT, maximum=LIST_MAX)
    before = whole("Cursor", query.get("cursor"), default=ID_MAX, maximum=ID_MAX)
    async with db.connection() as connection:
        await _exists(connection, number)
        found = await vendors.read_exchanges(
            connection, number, narrow, before_id=before, limit=limit + 1
        )
    shown = found[:limit]
    following = str(shown[-1].id) if len(found) > limit else None
    return cursor_answer(request, [ExchangeOut.of(each) for each in shown], limit, following)


async def _exists(tx: Tx, vendor_id: int) -> None:
    if await vendors.read(tx, [vendor_id]) == [None]:
        raise VendorNotFound


def _shown(catalog: Catalog, mapped: Mapped) -> VendorProductOut:
    product = catalog.product(mapped.product_id)
    if product is None:
        # Another process added it this moment.
        raise Unavailable
    return VendorProductOut.of(mapped, product.exponent)


def _percent(raw: msgspec.Raw) -> Decimal:
    """Its bounds are the vendors' to check."""
    text = bytes(raw).decode()
    if not PERCENT_TEXT.fullmatch(text):
        raise InvalidField("DiscountPercent", "format")
    return Decimal(text.strip('"'))


def _id(field: str, text: str | None) -> int | None:
    return whole(field, text, default=1, maximum=ID_MAX) if text else None


def _http_status(text: str | None) -> int | None:
    if not text:
        return None
    status = whole("Status", text, default=STATUS_MIN, maximum=STATUS_MAX)
    if status < STATUS_MIN:
        raise InvalidField("Status", "min")
    return status


def _flag(field: str, text: str | None) -> bool:
    if not text or text.lower() == "false":
        return False
    if text.lower() != "true":
        raise InvalidField(field, "boolean")
    return True


ROUTER = Router(
    path="/admin/api/v1",
    tags=["Vendors (staff)"],
    route_handlers=[list_offers, list_products, map_product, list_exchanges],
)
