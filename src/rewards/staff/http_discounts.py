"""What single clients get off a product, as staff agree it with them."""

from decimal import Decimal
from typing import Any

import msgspec
from litestar import Request, Response, Router, get, put
from litestar.params import FromPath

from rewards.audit import service as audit
from rewards.audit.model import AuditFact
from rewards.catalog.model import ProductNotFound
from rewards.clients import service as clients
from rewards.clients.model import ClientNotFound
from rewards.infra.db import Tx
from rewards.infra.http import decode, encode, page_answer, path_id
from rewards.infra.openapi import answers, asks, takes
from rewards.pricing import service as pricing
from rewards.pricing.model import ClientDiscount
from rewards.staff.auth import caller, requires
from rewards.staff.given import (
    PAGED,
    GivenCatalog,
    GivenClock,
    GivenDatabase,
    Quantity,
    decimal_of,
    paged,
    reason_told,
)
from rewards.staff.model import Permission


class DiscountIn(msgspec.Struct, forbid_unknown_fields=True):
    """`percent` from 0 to 100; null takes the agreement away, and the vendor's or default holds.

    `reason`: why, for the trail.
    """

    percent: Quantity
    reason: str | None = None


class DiscountOut(msgspec.Struct):
    product_id: int
    client_id: int
    percent: Decimal | None


class ProductDiscountOut(msgspec.Struct):
    """What a client gets off one product; no name where that was added a moment ago."""

    product_id: int
    product_name: str | None
    client_id: int
    percent: Decimal


DISCOUNT = msgspec.json.Decoder(DiscountIn)


@get(
    "/products/{product_id:str}/discounts",
    operation_id="listDiscounts",
    operation_class=asks(PAGED),
    guards=[requires(Permission.DISCOUNTS_READ)],
    responses=answers(list[DiscountOut], 400, 401, 403, 404),
)
async def list_discounts(
    request: Request[Any, Any, Any],
    product_id: FromPath[str],
    db: GivenDatabase,
    catalog: GivenCatalog,
) -> Response[bytes]:
    """What clients of their own get off a product, by client; all others get the usual discount."""
    number, ask = path_id(product_id, ProductNotFound), paged(request)
    if catalog.product(number) is None:
        raise ProductNotFound
    async with db.connection() as connection:
        page = await pricing.list_discounts(connection, number, ask)
    shown = [DiscountOut(number, each.client_id, each.percent) for each in page.items]
    return page_answer(request, page, shown)


@get(
    "/clients/{client_id:str}/discounts",
    operation_id="listClientDiscounts",
    operation_class=asks(PAGED),
    guards=[requires(Permission.DISCOUNTS_READ)],
    responses=answers(list[ProductDiscountOut], 400, 401, 403, 404),
)
async def list_of_client(
    request: Request[Any, Any, Any],
    client_id: FromPath[str],
    db: GivenDatabase,
    catalog: GivenCatalog,
) -> Response[bytes]:
    """What this client of its own gets off products, by product; off others the usual discount."""
    number, ask = path_id(client_id, ClientNotFound), paged(request)
    async with db.connection() as connection:
        await clients.check_there(connection, number)
        page = await pricing.discounts_of(connection, number, ask)
    shown = []
    for each in page.items:
        product = catalog.product(each.product_id)
        assert each.percent is not None, "where there is none there is no row"
        name = None if product is None else product.name
        shown.append(ProductDiscountOut(each.product_id, name, number, each.percent))
    return page_answer(request, page, shown)


@put(
    "/products/{product_id:str}/discounts/{client_id:str}",
    operation_id="setDiscount",
    guards=[requires(Permission.DISCOUNTS_WRITE)],
    operation_class=takes(DiscountIn),
    responses=answers(DiscountOut, 400, 401, 403, 404),
)
async def set_discount(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    product_id: FromPath[str],
    client_id: FromPath[str],
) -> Response[bytes]:
    """Agree with one client on a discount of a product; from the next order on, within a second."""
    body = decode(DISCOUNT, await request.body())
    percent, reason = decimal_of("Percent", body.percent), reason_told(body.reason)
    number, owner = path_id(product_id, ProductNotFound), path_id(client_id, ClientNotFound)

    async def work(tx: Tx) -> None:
        before = await pricing.discount_of(tx, number, owner)
        await pricing.set_discounts(tx, [ClientDiscount(owner, number, percent)])
        facts = {"percent": {"from": _text(before), "to": _text(percent)}}
        who = caller(request).actor
        fact = AuditFact(who, owner, "product.discount_set", "product", number, facts, reason)
        await audit.record(tx, [fact], clock.now())

    await db.run(work)
    return encode(DiscountOut(number, owner, percent))


def _text(percent: Decimal | None) -> str | None:
    return None if percent is None else str(percent)


ROUTER = Router(
    path="/admin/api/v1",
    tags=["Products (staff)"],
    route_handlers=[list_discounts, list_of_client, set_discount],
)
