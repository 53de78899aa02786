"""Vendors for orders, as staff decide about them: compare what they ask, have one deliver."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.params import FromPath

from rewards.core.currency import exponent_of
from rewards.core.errors import Refusal
from rewards.core.money import to_decimal
from rewards.core.text import printable
from rewards.infra.http import decode, encode, path_id
from rewards.infra.openapi import answers, takes
from rewards.orders.fulfilment import ApproveAsk, Foreseen
from rewards.orders.model import Order, OrderNotFound
from rewards.orders.vendor_options import Option, vendor_options
from rewards.staff import fulfilments
from rewards.staff.auth import caller, requires
from rewards.staff.given import (
    GivenAccounts,
    GivenClock,
    GivenDatabase,
    GivenFulfilment,
    GivenPrices,
    reason_of,
)
from rewards.staff.http_approvals import ApprovalOut
from rewards.staff.http_many import ids_of
from rewards.staff.http_orders import StaffOrderOut, shown
from rewards.staff.model import Permission
from rewards.staff.model_approvals import Approval

VENDOR_CHARS_MAX = 100


class ApproveIn(msgspec.Struct, forbid_unknown_fields=True):
    """Why, always; `vendor` by name, or the first that can deliver."""

    reason: str = ""
    vendor: str | None = None


class ApproveManyIn(msgspec.Struct, forbid_unknown_fields=True):
    """The same for up to 100 orders; `preview`: only say what would happen."""

    order_ids: list[int] = msgspec.field(default_factory=list)
    reason: str = ""
    vendor: str | None = None
    preview: bool = False


class ForeseenOut(msgspec.Struct):
    """What approving would commit to: an estimate of its cost, as agreed with the vendor."""

    vendor: str
    quantity: int
    cost: Decimal
    currency: str
    needs_second_person: bool


class ApprovedOut(msgspec.Struct):
    """What became of one order: as it stands now, what another must agree to, or why it is not."""

    order_id: int
    order: StaffOrderOut | None
    approval: ApprovalOut | None
    code: str | None
    message: str | None
    foreseen: ForeseenOut | None = None


class OptionOut(msgspec.Struct):
    """One vendor that sells the product. Amounts are estimates; nothing was asked of the vendor."""

    vendor: str
    vendor_id: int
    sku: str
    available: bool
    why_not: str | None
    quantity: int
    max_quantity: int
    cost: Decimal
    # Of the cost, what the vendor adds for each card.
    fee: Decimal
    currency: str
    forex_rate: Decimal | None
    cost_in_order_currency: Decimal | None
    margin: Decimal | None
    order_currency: str
    balance: Decimal | None
    balance_at: datetime | None
    # Of the last 30 days.
    orders_settled: int
    orders_fulfilled: int
    expected_s: int
    verified: bool
    # Of the order, whichever vendor: you may not approve so much alone, on top of what you did.
    needs_second_person: bool


APPROVE = msgspec.json.Decoder(ApproveIn)
APPROVE_MANY = msgspec.json.Decoder(ApproveManyIn)


def _vendor(given: str | None) -> str | None:
    return None if given is None else printable("Vendor", given, VENDOR_CHARS_MAX)


@post(
    "/orders/{order_id:str}/vendor-fulfilment",
    status_code=200,
    operation_id="approveVendorFulfilment",
    guards=[requires(Permission.VENDORS_APPROVE)],
    operation_class=takes(ApproveIn, needs=("reason",)),
    responses=answers(ApprovedOut, 400, 401, 403, 404, 409),
)
async def approve_one(
    request: Request[Any, Any, Any],
    order_id: FromPath[str],
    db: GivenDatabase,
    clock: GivenClock,
    fulfilment: GivenFulfilment,
) -> Response[bytes]:
    """Have a vendor deliver what the order still lacks; the worker asks it after this commits.

    `order` is the order as it stands now; its history and `vendor-orders` show what follows. Above
    the limit (by face value) nothing is bought yet: `approval` waits for a second person. 409 when
    a vendor is at work on it already, it does not wait for one, the vendor cannot deliver, or a
    second person was asked before.
    """
    body = decode(APPROVE, await request.body())
    reason, vendor = reason_of(body.reason), _vendor(body.vendor)
    who = caller(request)
    ask = ApproveAsk(path_id(order_id, OrderNotFound), who.actor, reason, vendor)
    [answer] = await fulfilments.ask(db, clock, fulfilment, [ask], who.staff.id)
    if isinstance(answer, Refusal):
        raise answer
    return encode(_approved(ask.order_id, answer))


@post(
    "/orders/vendor-fulfilment",
    status_code=200,
    operation_id="approveVendorFulfilments",
    guards=[requires(Permission.VENDORS_APPROVE)],
    operation_class=takes(ApproveManyIn, needs=("order_ids", "reason")),
    responses=answers(list[ApprovedOut], 400, 401, 403),
)
async def approve_many(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    fulfilment: GivenFulfilment,
) -> Response[bytes]:
    """Approve up to 100 orders in one act; each answers for itself, in the order given.

    Those above the limit wait for a second person, each by itself. With `preview` nothing is
    committed to or asked for: `foreseen` says which vendor would deliver what, and for how much.
    """
    body = decode(APPROVE_MANY, await request.body())
    reason, vendor = reason_of(body.reason), _vendor(body.vendor)
    ids = ids_of(body.order_ids)
    who = caller(request)
    asks = [ApproveAsk(n, who.actor, reason, vendor) for n in ids]
    if body.preview:
        foreseen = await fulfilments.foresee(db, clock, fulfilment, asks, who.staff.id)
        return encode([_foreseen(n, answer) for n, answer in zip(ids, foreseen, strict=True)])
    told = await fulfilments.ask(db, clock, fulfilment, asks, who.staff.id)
    return encode([_approved(n, answer) for n, answer in zip(ids, told, strict=True)])


def _approved(order_id: int, answer: Order | Approval | Refusal) -> ApprovedOut:
    if isinstance(answer, Refusal):
        return ApprovedOut(order_id, None, None, answer.code, answer.message)
    if isinstance(answer, Approval):
        return ApprovedOut(order_id, None, ApprovalOut.of(answer), None, None)
    return ApprovedOut(order_id, shown(answer), None, None, None)


def _foreseen(order_id: int, answer: Foreseen | Refusal) -> ApprovedOut:
    if isinstance(answer, Refusal):
        return ApprovedOut(order_id, None, None, answer.code, answer.message)
    order, source = answer.order, answer.source
    cost_minor = source.cost_minor(order.denomination_minor, answer.quantity)
    cost = to_decimal(cost_minor, exponent_of(order.product_currency))
    would = ForeseenOut(
        *(source.vendor, answer.quantity, cost, order.product_currency), answer.second_person
    )
    return ApprovedOut(order_id, shown(order), None, None, None, would)


@get(
    "/orders/{order_id:str}/vendor-options",
    operation_id="listVendorOptions",
    guards=[requires(Permission.VENDORS_READ)],
    responses=answers(list[OptionOut], 401, 403, 404),
)
async def list_options(
    request: Request[Any, Any, Any],
    order_id: FromPath[str],
    db: GivenDatabase,
    accounts: GivenAccounts,
    prices: GivenPrices,
    fulfilment: GivenFulfilment,
    clock: GivenClock,
) -> Response[bytes]:
    """What each vendor would cost for what the order lacks, what it holds and how it did lately."""
    number = path_id(order_id, OrderNotFound)
    order, options = await vendor_options(db, accounts, prices, number, clock.now())
    above = await fulfilments.takes_two(db, clock, fulfilment, order, caller(request).staff.id)
    return encode([_option(order, option, above) for option in options])


def _option(order: Order, option: Option, above: bool) -> OptionOut:
    places, paid_places = exponent_of(option.currency), exponent_of(order.currency)
    held = option.balance
    return OptionOut(
        vendor=option.source.vendor,
        vendor_id=option.source.vendor_id,
        sku=option.source.sku,
        available=option.why_not is None,
        why_not=option.why_not,
        quantity=option.quantity,
        max_quantity=option.quantity_max,
        cost=to_decimal(option.cost_minor, places),
        fee=to_decimal(option.fee_minor, places),
        currency=option.currency,
        forex_rate=option.forex_rate,
        cost_in_order_currency=_amount(option.paid_minor, paid_places),
        margin=_amount(option.margin_minor, paid_places),
        order_currency=order.currency,
        balance=None if held is None else to_decimal(held.amount_minor, exponent_of(held.currency)),
        balance_at=None if held is None else held.read_at,
        orders_settled=option.record.settled,
        orders_fulfilled=option.record.fulfilled,
        expected_s=option.expected_s,
        verified=option.verified,
        needs_second_person=above,
    )


def _amount(minor: int | None, places: int) -> Decimal | None:
    return None if minor is None else to_decimal(minor, places)


ROUTER = Router(
    path="/admin/api/v1",
    tags=["Vendor orders (staff)"],
    route_handlers=[
        approve_one,
        approve_many,
        list_options,
    ],
)
