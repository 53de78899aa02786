"""What a product costs beside its face value, as finance decides it."""

from typing import Any

import msgspec
from litestar import Request, Response, Router, patch
from litestar.params import FromPath
from msgspec import UNSET, UnsetType

from rewards.audit import service as audit
from rewards.audit.model import AuditFact
from rewards.catalog import service as catalog_service
from rewards.catalog.model import Product, ProductChange, ProductFields, ProductNotFound
from rewards.core.errors import InvalidField
from rewards.infra.db import Tx
from rewards.infra.http import decode, encode, path_id
from rewards.infra.openapi import answers, takes
from rewards.staff.auth import caller, requires
from rewards.staff.given import (
    GivenCatalog,
    GivenClock,
    GivenDatabase,
    Quantity,
    decimal_of,
    minor_of,
    reason_of,
)
from rewards.staff.model import Permission
from rewards.staff.product_view import StaffProductOut, differences


class PricingIn(msgspec.Struct, forbid_unknown_fields=True):
    """What is left out stays as it is; why, always.

    `handling_fee` is for each voucher, in the product's currency. `vendor_discount_percent` null:
    the usual discount holds again, for clients that have none of their own.
    """

    handling_fee: Quantity | UnsetType = UNSET
    tax_percent: Quantity | UnsetType = UNSET
    vendor_discount_percent: Quantity | UnsetType = UNSET
    reason: str = ""


PRICING = msgspec.json.Decoder(PricingIn)


@patch(
    "/products/{product_id:str}/pricing",
    operation_id="priceProduct",
    guards=[requires(Permission.PRODUCTS_PRICE)],
    operation_class=takes(PricingIn, needs=("reason",)),
    responses=answers(StaffProductOut, 400, 401, 403, 404),
)
async def price_product(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    catalog: GivenCatalog,
    product_id: FromPath[str],
) -> Response[bytes]:
    """Set fee, tax and discount of a product; counts in every process within a second.

    Orders keep what they were charged.
    """
    body = decode(PRICING, await request.body())
    number, reason = path_id(product_id, ProductNotFound), reason_of(body.reason)

    async def work(tx: Tx) -> Product:
        at = clock.now()
        # A change of nothing locks the row and says what it holds.
        [before] = await catalog_service.change_products(tx, [ProductChange(number, {})], at)
        wanted = ProductChange(number, _fields(body, before.exponent))
        [product] = await catalog_service.change_products(tx, [wanted], at)
        who, facts = caller(request).actor, differences(before, product)
        fact = AuditFact(who, None, "product.priced", "product", number, facts, reason)
        await audit.record(tx, [fact], at)
        return product

    priced = await db.run(work)
    await catalog.refresh([number])
    return encode(StaffProductOut.of(priced))


def _fields(body: PricingIn, exponent: int) -> ProductFields:
    """What is given, as the catalogue names it; its bounds are the catalogue's to check."""
    fields: ProductFields = {}
    if not isinstance(body.handling_fee, UnsetType):
        fields["handling_fee_minor"] = minor_of("HandlingFee", body.handling_fee, exponent)
    if not isinstance(body.tax_percent, UnsetType):
        tax = decimal_of("TaxPercent", body.tax_percent)
        if tax is None:
            raise InvalidField("TaxPercent", "required")
        fields["tax_percent"] = tax
    if not isinstance(body.vendor_discount_percent, UnsetType):
        percent = decimal_of("VendorDiscountPercent", body.vendor_discount_percent)
        fields["vendor_discount_percent"] = percent
    return fields


ROUTER = Router(path="/admin/api/v1", tags=["Products (staff)"], route_handlers=[price_product])
