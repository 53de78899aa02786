"""Stock bought ahead from vendors, as staff order and follow it."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.params import FromPath

from rewards.core.currency import exponent_of
from rewards.core.errors import InvalidField
from rewards.core.money import amount_minor, read_json_amount, to_decimal
from rewards.core.text import printable
from rewards.infra.db import Database
from rewards.infra.http import ID_MAX, decode, encode, one_of, path_id, whole
from rewards.infra.openapi import answers, asks, choice, takes, whole_number
from rewards.restocks import ordering
from rewards.restocks.buying import SUBJECT
from rewards.restocks.model import (
    QUANTITY_MAX,
    StockAsk,
    StockOrder,
    StockOrderNotFound,
    StockState,
)
from rewards.staff import approvals, stock_orders
from rewards.staff.auth import caller, requires
from rewards.staff.given import (
    Amount,
    GivenDatabase,
    GivenRestocks,
    no_json,
    reason_of,
)
from rewards.staff.http_approvals import ApprovalOut
from rewards.staff.http_vendor_orders import VendorOrderOut
from rewards.staff.model import Permission
from rewards.staff.model_approvals import ApprovalKind
from rewards.vendors import purchases
from rewards.vendors.model import Purpose

LIST_DEFAULT, LIST_MAX = 50, 500
REFERENCE_CHARS_MAX = 200
VENDOR_CHARS_MAX = 100


class StockOrderIn(msgspec.Struct, forbid_unknown_fields=True):
    """What, how many and why; `vendor` by name, or the cheapest. A `reference` is ordered once."""

    product_id: int = 0
    denomination: Amount = msgspec.field(default_factory=no_json)
    quantity: int = 0
    reason: str = ""
    vendor: str | None = None
    reference: str | None = None


class StockOrderOut(msgspec.Struct):
    """An order for our own stock. `cost` is as agreed with the vendor, before it charged anything.

    `received` counts codes that came, `usable` those of them that can be sold, `missing` what is
    still to come. With `second_person` it waits until somebody else has agreed.
    """

    stock_order_id: int
    product_id: int
    denomination: Decimal
    currency: str
    vendor_id: int
    quantity: int
    cost: Decimal
    state: StockState
    second_person: bool
    received: int
    usable: int
    missing: int
    reference: str | None
    asked_by: int
    reason: str
    message: str | None
    created_at: datetime
    changed_at: datetime
    ended_at: datetime | None


class AskedStockOut(StockOrderOut):
    """`repeated`: the reference had been ordered before; this is that order, and nothing is new."""

    repeated: bool


class WholeStockOrderOut(StockOrderOut):
    """With the request for a second person, and every purchase made for it, oldest first."""

    approval: ApprovalOut | None
    vendor_orders: list[VendorOrderOut]


ORDER = msgspec.json.Decoder(StockOrderIn)


def _shown(order: StockOrder) -> dict[str, Any]:
    shelf = order.shelf
    places = exponent_of(shelf.currency)
    return {
        "stock_order_id": order.id,
        "product_id": shelf.product_id,
        "denomination": to_decimal(shelf.denomination_minor, places),
        "currency": shelf.currency,
        "vendor_id": order.vendor_id,
        "quantity": order.quantity,
        "cost": to_decimal(order.cost_minor, places),
        "state": order.state,
        "second_person": order.second_person,
        "received": order.received,
        "usable": order.usable,
        "missing": order.missing,
        "reference": order.reference,
        "asked_by": order.asked_by,
        "reason": order.reason,
        "message": order.message,
        "created_at": order.created_at,
        "changed_at": order.changed_at,
        "ended_at": order.ended_at,
    }


@post(
    "/stock-orders",
    status_code=202,
    operation_id="orderStock",
    guards=[requires(Permission.INVENTORY_ORDER)],
    operation_class=takes(StockOrderIn, needs=("product_id", "denomination", "quantity", "reason")),
    responses=answers(
        AskedStockOut, 400, 401, 403, 404, 409, 503, status=202, told="Ordered, or waits for a yes"
    ),
)
async def order_stock(request: Request[Any, Any, Any], restocks: GivenRestocks) -> Response[bytes]:
    """Buy units of a product from a vendor into the inventory; a worker asks it once this answers.

    What comes waits for the next pump as an import does, each unit with what it cost. One that with
    whatever else you ordered alone within 24 hours has a higher face value than one person may
    decide is WAITING until another approves (`/approvals`).
    409 when no vendor, or not this one, can be asked, when the same is on order there, or when the
    reference was used for something else; repeated with the same it answers as the first time.
    """
    body = decode(ORDER, await request.body())
    who = caller(request)
    ask = _ask(body, restocks, who.staff.id)
    answer = await stock_orders.request(restocks, ask, who.actor)
    return encode(AskedStockOut(**_shown(answer.order), repeated=answer.repeated), 202)


def _ask(body: StockOrderIn, restocks: GivenRestocks, staff_id: int) -> StockAsk:
    if not 0 < body.product_id <= ID_MAX:
        raise InvalidField("ProductId", "required" if body.product_id == 0 else "min")
    denomination = read_json_amount("Denomination", bytes(body.denomination))
    if body.quantity < 1:
        raise InvalidField("Quantity", "min")
    if body.quantity > QUANTITY_MAX:
        raise InvalidField("Quantity", "max")
    reason = reason_of(body.reason)
    vendor = body.vendor and printable("Vendor", body.vendor, VENDOR_CHARS_MAX)
    reference = body.reference and printable("Reference", body.reference, REFERENCE_CHARS_MAX)
    product = restocks.product(body.product_id)
    minor = amount_minor("Denomination", denomination, product.exponent)
    return StockAsk(
        shelf=restocks.shelf(product.id, minor),
        quantity=body.quantity,
        asked_by=staff_id,
        reason=reason,
        vendor=vendor or None,
        reference=reference or None,
    )


@get(
    "/stock-orders",
    operation_id="listStockOrders",
    guards=[requires(Permission.INVENTORY_READ)],
    operation_class=asks(
        {
            "state": choice(StockState, "In any case"),
            "product_id": whole_number("Of this product", maximum=ID_MAX),
            "limit": whole_number("Lines a page", maximum=LIST_MAX, default=LIST_DEFAULT),
            "before": whole_number(
                "Below this id: the last one of the page before", maximum=ID_MAX
            ),
        }
    ),
    responses=answers(list[StockOrderOut], 400, 401, 403),
)
async def list_stock_orders(request: Request[Any, Any, Any], db: GivenDatabase) -> Response[bytes]:
    """Stock orders, newest first."""
    query = request.query_params
    state = one_of("State", StockState, query.get("state"))
    product = query.get("product_id")
    async with db.connection() as connection:
        found = await ordering.find(
            connection,
            states=None if state is None else [state],
            product_id=whole("ProductId", product, default=1, maximum=ID_MAX) if product else None,
            before_id=whole("Before", query.get("before"), default=ID_MAX, maximum=ID_MAX),
            limit=whole("Limit", query.get("limit"), default=LIST_DEFAULT, maximum=LIST_MAX),
        )
    return encode([StockOrderOut(**_shown(order)) for order in found])


@get(
    "/stock-orders/{stock_order_id:str}",
    operation_id="getStockOrder",
    guards=[requires(Permission.INVENTORY_READ)],
    responses=answers(WholeStockOrderOut, 401, 403, 404),
)
async def get_stock_order(stock_order_id: FromPath[str], db: GivenDatabase) -> Response[bytes]:
    """One stock order with what was bought for it, part by part, and who agreed to it."""
    return encode(await _whole(db, path_id(stock_order_id, StockOrderNotFound)))


async def _whole(db: Database, stock_order_id: int) -> WholeStockOrderOut:
    async with db.transaction() as tx:
        order = await ordering.read(tx, stock_order_id)
        if order is None:
            raise StockOrderNotFound
        bought = await purchases.of_subject(tx, [Purpose.STOCK], order.id)
        approval = await approvals.last_of(tx, ApprovalKind.STOCK_ORDER, SUBJECT, order.id)
    return WholeStockOrderOut(
        **_shown(order),
        approval=ApprovalOut.of(approval) if approval else None,
        vendor_orders=[VendorOrderOut.of(one) for one in bought],
    )


ROUTER = Router(
    path="/admin/api/v1",
    tags=["Inventory (staff)"],
    route_handlers=[order_stock, list_stock_orders, get_stock_order],
)
