"""Orders, as staff see and act upon them: list, read, retry from the pool, cancel and refund."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.params import FromPath

from rewards.core.currency import exponent_of
from rewards.core.errors import InvalidField, Refusal
from rewards.core.money import to_decimal
from rewards.core.text import printable
from rewards.infra.db import Tx
from rewards.infra.http import answer_with, cursor_answer, decode, encode, path_id, whole
from rewards.infra.openapi import answers, asks, takes, whole_number
from rewards.orders import overview, search
from rewards.orders import service as orders
from rewards.orders.model import Item, Order, OrderNotFound
from rewards.orders.service import CancelAsk, RetryAsk
from rewards.orders.view import OrderOut, show
from rewards.staff import cancels, searching
from rewards.staff.auth import caller, requires
from rewards.staff.given import (
    REASON_CHARS_MAX,
    GivenClock,
    GivenDatabase,
    GivenMoneyLimit,
    GivenSettings,
    reason_of,
)
from rewards.staff.http_approvals import WAITS, waits
from rewards.staff.model import Permission
from rewards.staff.model_approvals import Approval
from rewards.staff.naming import client_names

LIST_DEFAULT, LIST_MAX = 50, 500
ITEMS_MAX = 10_000


class StaffOrderOut(OrderOut):
    """An order as its client sees it, without vouchers, and what only staff may know."""

    client_id: int
    wallet_id: int
    # Due back to the client, and not bookable yet.
    refund_owed_amount: Decimal
    # Whose forex_rate it is, and of when.
    forex_rate_source: str | None
    forex_rate_at: datetime | None


class ActOut(msgspec.Struct):
    """Something done to the order; `path` is every STATUS·SUB_STATUS it went through."""

    at: datetime
    path: list[str]
    actor: str
    actor_id: int | None
    reason: str | None


class FoundOrderOut(StaffOrderOut):
    """An order in a list of all clients', with whose it is."""

    client_name: str | None


class WholeOrderOut(FoundOrderOut):
    history: list[ActOut]


def shown(order: Order, items: Sequence[Item] = ()) -> StaffOrderOut:
    """An order as staff see it; without items where none are given."""
    owed = to_decimal(order.refund_owed_minor, exponent_of(order.currency))
    return StaffOrderOut(
        **msgspec.structs.asdict(show(order, items)),
        client_id=order.client_id,
        wallet_id=order.wallet_id,
        refund_owed_amount=owed,
        forex_rate_source=order.forex_rate_source,
        forex_rate_at=order.forex_rate_at,
    )


async def found(tx: Tx, orders_found: Sequence[Order]) -> list[FoundOrderOut]:
    """Orders without items, with the names of their clients: one statement for all."""
    names = await client_names(tx, {order.client_id for order in orders_found})
    return [
        FoundOrderOut(
            **msgspec.structs.asdict(shown(order)), client_name=names.get(order.client_id)
        )
        for order in orders_found
    ]


class RetryIn(msgspec.Struct, forbid_unknown_fields=True):
    """Why, for the history; may be left out."""

    reason: str | None = None


class CancelIn(msgspec.Struct, forbid_unknown_fields=True):
    """Why, always. Without `item_ids` the whole order; with them only these items."""

    reason: str = ""
    item_ids: list[str] | None = None


RETRY = msgspec.json.Decoder(RetryIn)
CANCEL = msgspec.json.Decoder(CancelIn)


@get(
    "/orders",
    operation_id="findOrders",
    operation_class=asks(
        {
            "limit": whole_number("Lines a page", maximum=LIST_MAX, default=LIST_DEFAULT),
            "cursor": {
                "type": "string",
                "maxLength": 64,
                "description": "`X-Next-Cursor` of the page before",
            },
            **searching.PARAMETERS,
        }
    ),
    guards=[requires(Permission.ORDERS_READ)],
    responses=answers(list[FoundOrderOut], 400, 401, 403),
)
async def find_orders(
    request: Request[Any, Any, Any], db: GivenDatabase, clock: GivenClock
) -> Response[bytes]:
    """Orders of all clients, newest (or oldest) first, without items; all that is asked holds.

    A search for something rare looks at so many orders and no more. Then a page is short, or empty,
    though `X-Has-More` is true: `X-Searched-To` says how far in time it came, and the next cursor
    goes on from there.
    """
    query = request.query_params
    limit = whole("Limit", query.get("limit"), default=LIST_DEFAULT, maximum=LIST_MAX)
    wanted = searching.read(query, clock.now())
    async with db.connection() as connection:
        page = await search.find(connection, wanted, after=query.get("cursor"), limit=limit)
        body = await found(connection, page.orders)
    if page.searched_to is not None:
        answer_with(request, {"X-Searched-To": page.searched_to.isoformat()})
    return cursor_answer(request, body, limit, page.following)


@get(
    "/orders/{order_id:str}",
    operation_id="inspectOrder",
    guards=[requires(Permission.ORDERS_READ)],
    responses=answers(WholeOrderOut, 401, 403, 404),
)
async def inspect_order(order_id: FromPath[str], db: GivenDatabase) -> Response[bytes]:
    """One order with its items and every act upon it: who, why, and where it led. No voucher."""
    async with db.transaction() as tx:
        order, items, steps = await overview.read(tx, path_id(order_id, OrderNotFound))
        names = await client_names(tx, [order.client_id])
    history = [
        ActOut(step.at, step.path, step.actor_kind, step.actor_id, step.reason) for step in steps
    ]
    facts = msgspec.structs.asdict(shown(order, items))
    name = names.get(order.client_id)
    return encode(WholeOrderOut(**facts, client_name=name, history=history))


@post(
    "/orders/{order_id:str}/retry",
    status_code=200,
    operation_id="retryOrder",
    guards=[requires(Permission.ORDERS_RETRY)],
    operation_class=takes(RetryIn, required=False),
    responses=answers(StaffOrderOut, 400, 401, 403, 404, 409),
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

    async def work(tx: Tx) -> StaffOrderOut:
        [answer] = await orders.retry(tx, [ask], settings.bulk_units_max, clock.now())
        return await answered(tx, answer)

    return encode(await db.run(work))


@post(
    "/orders/{order_id:str}/cancel",
    status_code=200,
    operation_id="cancelOrder",
    guards=[requires(Permission.ORDERS_CANCEL)],
    operation_class=takes(CancelIn, needs=("reason",)),
    responses=answers(StaffOrderOut, 400, 401, 403, 404, 409) | WAITS,
)
async def cancel_order(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    money_limit: GivenMoneyLimit,
    order_id: FromPath[str],
) -> Response[bytes]:
    """Cancel and refund, exact to the minor unit; `reason` is required and kept.

    Of a waiting order what was not delivered; delivered items stay delivered. Of a delivered one
    (recall, fraud) the items and their units are REVOKED. With `item_ids` only those. A wallet that
    takes no money leaves the order NOT_REFUNDED, and the refund is booked later. 409 when somebody
    was faster, or the order or an item is not in a state to be given back.

    202 where one person may not give back so much for delivered items: nothing happens before
    another has approved. It counts with what they moved alone on the client's wallets within 24
    hours.
    """
    body = decode(CANCEL, await request.body())
    reason = reason_of(body.reason)
    item_ids = item_ids_of(body.item_ids)
    who = caller(request)
    ask = CancelAsk(path_id(order_id, OrderNotFound), who.actor, reason, item_ids)

    async def work(tx: Tx) -> StaffOrderOut | Approval:
        [told] = await cancels.cancel(tx, money_limit, [ask], who.staff.id, clock.now())
        return told if isinstance(told, Approval) else await answered(tx, told)

    told = await db.run(work)
    return waits(told) if isinstance(told, Approval) else encode(told)


@post(
    "/orders/{order_id:str}/refund-retry",
    status_code=200,
    operation_id="retryRefund",
    guards=[requires(Permission.ORDERS_REFUND)],
    responses=answers(StaffOrderOut, 401, 403, 404, 409),
)
async def retry_refund(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    order_id: FromPath[str],
) -> Response[bytes]:
    """Book a refund that is owed, now that the wallet takes money again; the worker tries as well.

    409 when nothing is owed, or when the wallet still refuses the money and why: frozen, closed,
    or too full for it. Then it stays owed.
    """
    number = path_id(order_id, OrderNotFound)

    async def work(tx: Tx) -> StaffOrderOut:
        [answer] = await orders.pay_owed(tx, [number], caller(request).actor, clock.now())
        return await answered(tx, answer)

    return encode(await db.run(work))


def item_ids_of(given: list[str] | None) -> tuple[str, ...] | None:
    """What `item_ids` of a body names; None for all. Refuses an empty list and one too long."""
    if given is None:
        return None
    if not given:
        raise InvalidField("ItemIds", "min")
    if len(given) > ITEMS_MAX:
        raise InvalidField("ItemIds", "max")
    return tuple(given)


async def answered(tx: Tx, answer: Order | Refusal) -> StaffOrderOut:
    """The order that an act answered, with its items; a refusal is raised, and undoes the act."""
    if isinstance(answer, Refusal):
        raise answer
    [items] = await overview.read_items(tx, [answer])
    return shown(answer, items)


ROUTER = Router(
    path="/admin/api/v1",
    tags=["Orders (staff)"],
    route_handlers=[find_orders, inspect_order, retry_order, cancel_order, retry_refund],
)
