"""Products as staff see and change them, with what clients are not told; and who sees them."""

from typing import Any

import msgspec
from litestar import Request, Response, Router, get, patch, post, put
from litestar.params import FromPath

from rewards.audit import service as audit
from rewards.audit.model import AuditFact
from rewards.catalog import service as catalog_service
from rewards.catalog.model import Product, ProductChange, ProductNotFound, Visibility
from rewards.clients import service as clients
from rewards.clients.model import ClientNotFound
from rewards.core.errors import Forbidden, InvalidField
from rewards.core.page import Page
from rewards.core.text import printable
from rewards.infra.db import Tx
from rewards.infra.http import decode, encode, page_answer, path_id
from rewards.infra.openapi import answers, asks, takes
from rewards.staff.auth import Caller, caller, requires
from rewards.staff.given import PAGED, GivenCatalog, GivenClock, GivenDatabase, paged, reason_told
from rewards.staff.model import Permission
from rewards.staff.product_view import (
    NEEDED,
    NewProductIn,
    ProductChangeIn,
    StaffProductOut,
    currency_of,
    denominations_of,
    differences,
    fields_of,
    new_product,
    told,
)

NAME_CHARS_MAX = 200


class VisibilityIn(msgspec.Struct, forbid_unknown_fields=True):
    """`visible` null goes back to the product's default; `reason`: for the trail."""

    visible: bool | None
    reason: str | None = None


class VisibilityOut(msgspec.Struct):
    product_id: int
    client_id: int
    # Whether the client sees the product now.
    visible: bool


NEW_PRODUCT = msgspec.json.Decoder(NewProductIn)
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


@post(
    "/products",
    status_code=201,
    operation_id="createProduct",
    guards=[requires(Permission.PRODUCTS_WRITE)],
    operation_class=takes(NewProductIn, needs=NEEDED),
    responses=answers(StaffProductOut, 400, 401, 403, status=201, told="Added"),
)
async def create_product(
    request: Request[Any, Any, Any], db: GivenDatabase, clock: GivenClock, catalog: GivenCatalog
) -> Response[bytes]:
    """Add a product. It is off sale until `active` says otherwise, and waits for stock or a vendor.

    It costs its face value less the usual discount, without fee or tax, until somebody who may
    sets its pricing. Its currency is for good. `allow_auto_vendor_fulfill` true takes the
    permission vendors:approve as well, and a reason.
    """
    body = decode(NEW_PRODUCT, await request.body())
    currency = catalog.snapshot.currencies.get(currency_of(body))
    if currency is None:
        raise InvalidField("Currency", "exists")
    wanted = new_product(body, currency.code, currency.exponent)
    who, reason = caller(request), reason_told(body.reason)
    if body.allow_auto_vendor_fulfill is True:
        check_flag(who, reason)

    async def work(tx: Tx) -> Product:
        at = clock.now()
        [number] = await catalog_service.add_products(tx, [wanted], at)
        [made] = await catalog_service.change_products(tx, [ProductChange(number, {})], at)
        facts = told(made)
        fact = AuditFact(who.actor, None, "product.created", "product", number, facts, reason)
        await audit.record(tx, [fact], at)
        return made

    made = await db.run(work)
    await catalog.refresh([made.id])
    return encode(StaffProductOut.of(made), 201)


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
    is still delivered. Switching `allow_auto_vendor_fulfill` on takes the permission
    vendors:approve as well, and a reason; switching it off takes neither.
    """
    body, who = decode(PRODUCT_CHANGE, await request.body()), caller(request)
    number, reason = path_id(product_id, ProductNotFound), reason_told(body.reason)

    async def work(tx: Tx) -> Product:
        at = clock.now()
        # A change of nothing locks the row and says what it holds.
        [before] = await catalog_service.change_products(tx, [ProductChange(number, {})], at)
        if body.allow_auto_vendor_fulfill is True and not before.allow_auto_vendor_fulfill:
            check_flag(who, reason)
        values = denominations_of(body, before.exponent)
        if values is not None:
            await catalog_service.set_denominations(tx, {number: values})
        wanted = ProductChange(number, fields_of(body))
        [product] = await catalog_service.change_products(tx, [wanted], at)
        facts = differences(before, product)
        fact = AuditFact(who.actor, None, "product.changed", "product", number, facts, reason)
        await audit.record(tx, [fact], at)
        return product

    changed = await db.run(work)
    await catalog.refresh([number])
    return encode(StaffProductOut.of(changed))


def check_flag(who: Caller, reason: str | None) -> None:
    """Raises Forbidden and InvalidField: who lets a flag buy may buy, and says why (ADR 0038)."""
    if not who.staff.may(Permission.VENDORS_APPROVE):
        raise Forbidden(details={"permission": Permission.VENDORS_APPROVE})
    if reason is None:
        raise InvalidField("Reason", "required")


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
    reason = reason_told(body.reason)

    async def work(tx: Tx) -> bool:
        at = clock.now()
        await clients.check_there(tx, owner)
        [before] = await catalog_service.change_products(tx, [ProductChange(number, {})], at)
        wanted = Visibility(owner, number, body.visible)
        await catalog_service.set_visibility(tx, [wanted])
        seen = before.visible_by_default if body.visible is None else body.visible
        facts = {"visible": {"from": before.visible_to(owner), "to": seen}}
        who = caller(request).actor
        fact = AuditFact(who, owner, "product.visibility_set", "product", number, facts, reason)
        await audit.record(tx, [fact], at)
        return seen

    seen = await db.run(work)
    await catalog.refresh([number])
    return encode(VisibilityOut(number, owner, seen))


ROUTER = Router(
    path="/admin/api/v1",
    tags=["Products (staff)"],
    route_handlers=[list_products, get_product, create_product, change_product, set_visibility],
)
