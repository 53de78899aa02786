"""Retry or cancel many orders at once, or see before what that would do."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
from litestar import Request, Response, Router, post

from rewards.core.currency import exponent_of
from rewards.core.errors import InvalidField, Refusal
from rewards.core.money import to_decimal
from rewards.infra.db import Tx
from rewards.infra.http import ID_MAX, decode, encode
from rewards.infra.openapi import answers, takes
from rewards.orders import foreseeing, overview
from rewards.orders import service as orders
from rewards.orders.foreseeing import Foresight
from rewards.orders.model import Order
from rewards.orders.service import CancelAsk, RetryAsk
from rewards.staff import cancels
from rewards.staff.auth import caller, requires
from rewards.staff.given import (
    GivenClock,
    GivenDatabase,
    GivenMoneyLimit,
    GivenSettings,
    reason_of,
)
from rewards.staff.model import Permission
from rewards.staff.model_approvals import Approval

ORDERS_MAX = 100


class ManyIn(msgspec.Struct, forbid_unknown_fields=True):
    """Up to 100 orders, why, and whether only to say what would happen."""

    order_ids: list[int] = msgspec.field(default_factory=list)
    reason: str = ""
    preview: bool = False


class ManyOut(msgspec.Struct):
    """What becomes of one order, or, of a preview, would; or why not, by `code` and `message`.

    `units`: how many more are delivered; `refund`: what goes back to the wallet, `owed` where that
    takes no money now. With `needs_second_person` somebody else must agree before it happens.
    """

    order_id: int
    preview: bool
    from_status: str | None = None
    from_sub_status: str | None = None
    status: str | None = None
    sub_status: str | None = None
    units: int = 0
    refund: Decimal | None = None
    owed: Decimal | None = None
    currency: str | None = None
    code: str | None = None
    message: str | None = None
    needs_second_person: bool = False
    # It waits for a second person; nothing happened to it yet.
    approval_id: int | None = None

    @classmethod
    def of(
        cls,
        order_id: int,
        answer: Foresight | Approval | Refusal,
        *,
        preview: bool,
        above: bool = False,
    ) -> "ManyOut":
        if isinstance(answer, Approval):
            return cls(order_id, preview, needs_second_person=True, approval_id=answer.id)
        if isinstance(answer, Refusal):
            return cls(order_id, preview, code=answer.code, message=answer.message)
        before, after = answer.before, answer.after
        places = exponent_of(after.currency)
        return cls(
            *(order_id, preview, before.status, before.sub_status),
            *(after.status, after.sub_status, after.fulfilled - before.fulfilled),
            refund=to_decimal(after.refunded_minor - before.refunded_minor, places),
            owed=to_decimal(after.refund_owed_minor - before.refund_owed_minor, places),
            currency=after.currency,
            needs_second_person=above,
        )


MANY = msgspec.json.Decoder(ManyIn)


def ids_of(given: Sequence[int]) -> list[int]:
    """The orders a body names: some, at most ORDERS_MAX, none twice."""
    if not given:
        raise InvalidField("OrderIds", "required")
    if len(given) > ORDERS_MAX:
        raise InvalidField("OrderIds", "max")
    if len(set(given)) < len(given):
        raise InvalidField("OrderIds", "unique")
    if any(not 0 < order_id <= ID_MAX for order_id in given):
        raise InvalidField("OrderIds", "format")
    return list(given)


@post(
    "/orders/retry",
    status_code=200,
    operation_id="retryOrders",
    guards=[requires(Permission.ORDERS_RETRY)],
    operation_class=takes(ManyIn, needs=("order_ids", "reason")),
    responses=answers(list[ManyOut], 400, 401, 403),
)
async def retry_many(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    settings: GivenSettings,
) -> Response[bytes]:
    """Look into the pool again for up to 100 orders in one act; each answers for itself.

    With `preview` nothing is done: the answer is what would happen now, if nobody else takes what
    is in the pool. Orders of one product are served in the order given.
    """
    body = decode(MANY, await request.body())
    reason, ids = reason_of(body.reason), ids_of(body.order_ids)
    asks = [RetryAsk(number, caller(request).actor, reason) for number in ids]
    limit = settings.bulk_units_max
    if body.preview:
        async with db.connection() as connection:
            told = await foreseeing.retries(connection, asks, limit, clock.now())
        return encode(_shown(ids, told, preview=True))

    async def work(tx: Tx) -> list[Foresight | Approval | Refusal]:
        before = await overview.lock(tx, ids)
        return _paired(before, await orders.retry(tx, asks, limit, clock.now()))

    return encode(_shown(ids, await db.run(work), preview=False))


@post(
    "/orders/cancel",
    status_code=200,
    operation_id="cancelOrders",
    guards=[requires(Permission.ORDERS_CANCEL)],
    operation_class=takes(ManyIn, needs=("order_ids", "reason")),
    responses=answers(list[ManyOut], 400, 401, 403),
)
async def cancel_many(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    money_limit: GivenMoneyLimit,
) -> Response[bytes]:
    """Cancel and refund up to 100 orders in one act; each answers for itself.

    Of a waiting order what was not delivered; a delivered one is taken back whole. With `preview`
    nothing is done: the answer is what would happen now, with the refund to the minor unit. What
    one person may not give back alone, on top of what they moved for that client within 24 hours,
    waits for another, each by itself: `needs_second_person`, and `approval_id` once it was asked.
    """
    body = decode(MANY, await request.body())
    reason, ids = reason_of(body.reason), ids_of(body.order_ids)
    who = caller(request)
    asks = [CancelAsk(number, who.actor, reason) for number in ids]
    if body.preview:
        async with db.connection() as connection:
            at, person = clock.now(), who.staff.id
            told = await cancels.foresee(connection, money_limit, asks, person, at)
        return encode(
            [
                ManyOut.of(number, answer, preview=True, above=above)
                for number, (answer, above) in zip(ids, told, strict=True)
            ]
        )

    async def work(tx: Tx) -> list[Foresight | Approval | Refusal]:
        before = await overview.lock(tx, ids)
        told = await cancels.cancel(tx, money_limit, asks, who.staff.id, clock.now())
        return _paired(before, told)

    return encode(_shown(ids, await db.run(work), preview=False))


def _paired(
    before: Sequence[Order | None], done: Sequence[Order | Approval | Refusal]
) -> list[Foresight | Approval | Refusal]:
    return [
        answer if isinstance(answer, Refusal | Approval) else Foresight(old or answer, answer)
        for old, answer in zip(before, done, strict=True)
    ]


def _shown(
    ids: Sequence[int], told: Sequence[Foresight | Approval | Refusal], *, preview: bool
) -> list[ManyOut]:
    return [
        ManyOut.of(number, answer, preview=preview)
        for number, answer in zip(ids, told, strict=True)
    ]


ROUTER = Router(
    path="/admin/api/v1",
    tags=["Orders (staff)"],
    route_handlers=[retry_many, cancel_many],
)
