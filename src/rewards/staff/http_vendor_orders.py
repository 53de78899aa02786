"""Vendor orders, as staff follow them: what was bought, and verdicts on what nobody can tell."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.params import FromPath

from rewards.audit import service as audit
from rewards.audit.model import AuditFact
from rewards.core.actor import Actor
from rewards.core.currency import exponent_of
from rewards.core.errors import InvalidField, Refusal
from rewards.core.money import to_decimal
from rewards.infra.db import Tx
from rewards.infra.http import ID_MAX, cursor_answer, decode, encode, path_id, whole
from rewards.infra.openapi import answers, asks, takes, whole_number
from rewards.orders import overview
from rewards.orders.model import OrderNotFound
from rewards.staff.auth import caller, requires
from rewards.staff.given import GivenBuyers, GivenClock, GivenDatabase, reason_of
from rewards.staff.model import Permission
from rewards.vendors import purchases
from rewards.vendors.model import FOR_ORDERS, Purchase, PurchaseState, Purpose
from rewards.vendors.purchases import PurchaseNotFound, Verdict

LIST_DEFAULT, LIST_MAX = 50, 500


class VerdictIn(msgspec.Struct, forbid_unknown_fields=True):
    """READ_AGAIN, NOT_PLACED or LOST; and how one knows."""

    verdict: str = ""
    reason: str = ""


class VendorOrderOut(msgspec.Struct):
    """One purchase from a vendor; `key` is our name for it there. Holds no code."""

    id: int
    vendor_id: int
    key: str
    purpose: Purpose
    # For whom: an order, or a stock order.
    order_id: int | None
    stock_order_id: int | None
    item_position: int | None
    sku: str
    denomination: Decimal
    currency: str
    quantity: int
    state: PurchaseState
    vendor_ref: str | None
    reason: str | None
    message: str | None
    received: int
    quarantined: int
    cost: Decimal | None
    cost_currency: str | None
    batch_id: int | None
    calls: int
    next_call_at: datetime | None
    window_ends_at: datetime
    # Since when it waits for a person, and what one can decide.
    case_since: datetime | None
    choices: list[Verdict]
    approved_by: int | None
    created_at: datetime
    sent_at: datetime | None
    settled_at: datetime | None

    @classmethod
    def of(cls, purchase: Purchase) -> "VendorOrderOut":
        line, cost = purchase.line, purchase.cost
        for_stock = purchase.purpose is Purpose.STOCK
        return cls(
            id=purchase.id,
            vendor_id=purchase.vendor_id,
            key=purchase.key,
            purpose=purchase.purpose,
            order_id=None if for_stock else purchase.subject_id,
            stock_order_id=purchase.subject_id if for_stock else None,
            item_position=purchase.position if purchase.purpose is Purpose.RECHARGE else None,
            sku=line.sku,
            denomination=to_decimal(line.face_minor, exponent_of(line.currency)),
            currency=line.currency,
            quantity=line.quantity,
            state=purchase.state,
            vendor_ref=purchase.vendor_ref,
            reason=purchase.reason,
            message=purchase.message,
            received=purchase.received,
            quarantined=purchase.quarantined,
            cost=to_decimal(cost.amount_minor, exponent_of(cost.currency)) if cost else None,
            cost_currency=None if cost is None else cost.currency,
            batch_id=purchase.batch_id,
            calls=purchase.calls,
            next_call_at=purchase.next_at if purchase.open else None,
            window_ends_at=purchase.window_ends_at,
            case_since=purchase.case_at,
            choices=purchases.choices(purchase),
            approved_by=purchase.asked_by,
            created_at=purchase.created_at,
            sent_at=purchase.sent_at,
            settled_at=purchase.settled_at,
        )


VERDICT = msgspec.json.Decoder(VerdictIn)


@get(
    "/orders/{order_id:str}/vendor-orders",
    operation_id="listVendorOrdersOfOrder",
    guards=[requires(Permission.VENDORS_READ)],
    responses=answers(list[VendorOrderOut], 401, 403, 404),
)
async def list_of_order(order_id: FromPath[str], db: GivenDatabase) -> Response[bytes]:
    """Every purchase made for this order, oldest first."""
    number = path_id(order_id, OrderNotFound)
    async with db.connection() as connection:
        await overview.check_there(connection, number)
        found = await purchases.of_subject(connection, FOR_ORDERS, number)
    return encode([VendorOrderOut.of(purchase) for purchase in found])


@get(
    "/vendor-orders/unknown",
    operation_id="listUnknownOutcomes",
    guards=[requires(Permission.VENDORS_READ)],
    operation_class=asks(
        {
            "limit": whole_number("Lines a page", maximum=LIST_MAX, default=LIST_DEFAULT),
            "cursor": whole_number("`X-Next-Cursor` of the page before", maximum=ID_MAX),
        }
    ),
    responses=answers(list[VendorOrderOut], 400, 401, 403),
)
async def list_unknown(request: Request[Any, Any, Any], db: GivenDatabase) -> Response[bytes]:
    """Purchases of which nobody can tell what became of them, and whose window is over.

    What was sent and what was read of each is under `/vendors/{id}/exchanges`.
    """
    query = request.query_params
    limit = whole("Limit", query.get("limit"), default=LIST_DEFAULT, maximum=LIST_MAX)
    cursor = query.get("cursor")
    after_id = whole("Cursor", cursor, default=1, maximum=ID_MAX) if cursor else 0
    async with db.connection() as connection:
        found = await purchases.cases(connection, after_id, limit + 1)
    page = found[:limit]
    following = str(page[-1].id) if len(found) > limit else None
    return cursor_answer(request, [VendorOrderOut.of(one) for one in page], limit, following)


@get(
    "/vendor-orders/{vendor_order_id:str}",
    operation_id="getVendorOrder",
    guards=[requires(Permission.VENDORS_READ)],
    responses=answers(VendorOrderOut, 401, 403, 404),
)
async def get_vendor_order(vendor_order_id: FromPath[str], db: GivenDatabase) -> Response[bytes]:
    """One purchase. What was sent and read is under `/vendors/{id}/exchanges?purchase_id=`."""
    number = path_id(vendor_order_id, PurchaseNotFound)
    async with db.connection() as connection:
        found = await purchases.find(connection, number)
    if found is None:
        raise PurchaseNotFound
    return encode(VendorOrderOut.of(found))


@post(
    "/vendor-orders/{vendor_order_id:str}/verdict",
    status_code=200,
    operation_id="settleUnknownOutcome",
    guards=[requires(Permission.VENDORS_APPROVE)],
    operation_class=takes(VerdictIn, needs=("verdict", "reason")),
    responses=answers(VendorOrderOut, 400, 401, 403, 404, 409),
)
async def settle_unknown(
    request: Request[Any, Any, Any],
    vendor_order_id: FromPath[str],
    db: GivenDatabase,
    clock: GivenClock,
    buyers: GivenBuyers,
) -> Response[bytes]:
    """Decide about an unknown outcome: READ_AGAIN at once, NOT_PLACED as the vendor says, or LOST.

    The last two settle it for good and free the order for another vendor, the pool or a refund.
    NOT_PLACED is refused for an order that the vendor had accepted.
    """
    body = decode(VERDICT, await request.body())
    try:
        verdict = Verdict(body.verdict.upper())
    except ValueError:
        raise InvalidField("Verdict", "oneof", details={"allowed": list(Verdict)}) from None
    reason = reason_of(body.reason)
    number = path_id(vendor_order_id, PurchaseNotFound)
    actor = caller(request).actor

    async def work(tx: Tx) -> Purchase:
        at = clock.now()
        judged = await purchases.judge(tx, number, verdict, reason, buyers, at)
        if isinstance(judged, Refusal):
            raise judged
        before, after = judged
        await audit.record(tx, [_verdict_fact(actor, verdict, reason, before, after)], at)
        return after

    return encode(VendorOrderOut.of(await db.run(work)))


def _verdict_fact(
    actor: Actor, verdict: Verdict, reason: str, before: Purchase, after: Purchase
) -> AuditFact:
    return AuditFact(
        actor=actor,
        client_id=None,
        action="vendor_order.judged",
        subject_kind="vendor_order",
        subject_id=before.id,
        facts={"verdict": verdict, "from": before.state, "to": after.state},
        reason=reason,
    )


ROUTER = Router(
    path="/admin/api/v1",
    tags=["Vendor orders (staff)"],
    route_handlers=[list_of_order, list_unknown, get_vendor_order, settle_unknown],
)
