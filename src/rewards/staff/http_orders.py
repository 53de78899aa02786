"""Orders, as staff act upon them: retry from the pool, cancel and refund."""

from typing import Any

import msgspec
from litestar import Request, Response, Router, post
from litestar.params import FromPath

from rewards.core.errors import InvalidField, Refusal
from rewards.core.text import printable
from rewards.infra.db import Tx
from rewards.infra.http import decode, encode, path_id
from rewards.infra.openapi import answers, takes
from rewards.orders import service as orders
from rewards.orders.model import Order, OrderNotFound
from rewards.orders.service import BulkLimits, CancelAsk, RetryAsk
from rewards.orders.view import OrderOut, show
from rewards.staff.auth import caller, requires
from rewards.staff.given import GivenClock, GivenDatabase, GivenSettings
from rewards.staff.model import Permission

REASON_CHARS_MAX = 500
ITEMS_MAX = 10_000


class RetryIn(msgspec.Struct, forbid_unknown_fields=True):
    """Why, for the history; may be left out."""

    reason: str | None = None


class CancelIn(msgspec.Struct, forbid_unknown_fields=True):
    """Why, always. Without `item_ids` the whole order; with them only these items."""

    reason: str = ""
    item_ids: list[str] | None = None


RETRY = msgspec.json.Decoder(RetryIn)
CANCEL = msgspec.json.Decoder(CancelIn)


@post(
    "/orders/{order_id:str}/retry",
    status_code=200,
    operation_id="retryOrder",
    guards=[requires(Permission.ORDERS_RETRY)],
    operation_class=takes(RetryIn, required=False),
    responses=answers(OrderOut, 400, 401, 403, 404, 409),
)
async def retry_order(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    settings: GivenSettings,
    order_id: FromPath[str],
) -> Response[bytes]:
    """Look into the pool again for a waiting order and deliver what is there; calls no vendor.

    The answer is the order as it stands now, without vouchers; one that got nothing is unchanged. A
    bulk order gets its items here, or is cancelled and refunded when its client's open bulk units
    exceed the cap. 409 when nobody waits for it: delivered, closed, or with a vendor.
    """
    body = decode(RETRY, await request.body() or b"{}")
    reason = None if body.reason is None else printable("Reason", body.reason, REASON_CHARS_MAX)
    ask = RetryAsk(path_id(order_id, OrderNotFound), caller(request).actor, reason)
    limits = BulkLimits(settings.filled_quantity_max, settings.bulk_units_max)

    async def work(tx: Tx) -> Order:
        [answer] = await orders.retry(tx, [ask], limits, clock.now())
        return _raised(answer)

    return encode(show(await db.run(work)))


@post(
    "/orders/{order_id:str}/cancel",
    status_code=200,
    operation_id="cancelOrder",
    guards=[requires(Permission.ORDERS_CANCEL)],
    operation_class=takes(CancelIn),
    responses=answers(OrderOut, 400, 401, 403, 404, 409),
)
async def cancel_order(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    order_id: FromPath[str],
) -> Response[bytes]:
    """Cancel and refund, exact to the minor unit; `reason` is required and kept.

    Of a waiting order what was not delivered; delivered items stay delivered. Of a delivered one
    (recall, fraud) the items and their units are REVOKED. With `item_ids` only those. A wallet that
    takes no money leaves the order NOT_REFUNDED, and the refund is booked later. 409 when somebody
    was faster, or the order or an item is not in a state to be given back.
    """
    body = decode(CANCEL, await request.body())
    if not body.reason.strip():
        raise InvalidField("Reason", "required")
    reason = printable("Reason", body.reason, REASON_CHARS_MAX)
    item_ids = _item_ids(body.item_ids)
    ask = CancelAsk(path_id(order_id, OrderNotFound), caller(request).actor, reason, item_ids)

    async def work(tx: Tx) -> Order:
        [answer] = await orders.cancel(tx, [ask], clock.now())
        return _raised(answer)

    return encode(show(await db.run(work)))


def _item_ids(given: list[str] | None) -> tuple[str, ...] | None:
    if given is None:
        return None
    if not given:
        raise InvalidField("ItemIds", "min")
    if len(given) > ITEMS_MAX:
        raise InvalidField("ItemIds", "max")
    return tuple(given)


def _raised(answer: Order | Refusal) -> Order:
    if isinstance(answer, Refusal):
        raise answer
    return answer


ROUTER = Router(
    path="/admin/api/v1", tags=["Orders (staff)"], route_handlers=[retry_order, cancel_order]
)
