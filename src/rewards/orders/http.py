"""The orders of `/api/v1`: place, list, get, history, summary (spec.md §2, §3)."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeAlias, cast

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, SkipValidation

from rewards.catalog.model import ProductNotFound
from rewards.clients.auth import actor_of, principal_of, requires
from rewards.clients.limits import Limiter
from rewards.clients.model import Principal
from rewards.core.currency import exponent_of
from rewards.core.errors import InvalidField, Refusal
from rewards.core.money import to_decimal
from rewards.core.page import Page
from rewards.core.text import day, printable, timestamp
from rewards.infra import cursor, idempotency
from rewards.infra.db import Record
from rewards.infra.http import (
    ID_MAX,
    answer_with,
    cursor_answer,
    decode,
    encode,
    one_of,
    page_answer,
    page_ask,
    path_id,
    whole,
)
from rewards.infra.openapi import PAGE, answers, asks, choice, takes, whole_number
from rewards.infra.query import yes_or_no
from rewards.orders import service, sql_read
from rewards.orders.decide import KeyUse, PlaceAsk
from rewards.orders.model import (
    OrderNotFound,
    Status,
    SubStatus,
    tier,
)
from rewards.orders.request import (
    DECODER,
    REF_LENGTH_MAX,
    Checked,
    CreateOrder,
    check,
    check_against,
)
from rewards.orders.service import Orders, Placed
from rewards.orders.sql_read import OrderFilter
from rewards.orders.view import OrderOut, show

LIST_DEFAULT, LIST_MAX = 10, 100
# Provided by `entry/api.py` under these names.
GivenOrders: TypeAlias = NamedDependency[SkipValidation[Orders]]


class SummaryLine(msgspec.Struct):
    """How many orders stand in one place, and their worth in `currency`."""

    status: str
    sub_status: str
    product_id: int
    currency: str
    orders: int
    amount: Decimal


class HistoryLine(msgspec.Struct):
    """One transition; `from_*` are null for the first one."""

    at: datetime
    from_status: str | None
    from_sub_status: str | None
    to_status: str
    to_sub_status: str
    actor: str
    reason: str | None

    @classmethod
    def of(cls, step: sql_read.Step, source: str | None, target: str) -> "HistoryLine":
        from_status, _, from_sub_status = (source or "").partition("·")
        to_status, _, to_sub_status = target.partition("·")
        return cls(
            step.at,
            from_status or None,
            from_sub_status or None,
            to_status,
            to_sub_status,
            step.actor_kind,
            step.reason,
        )


@post(
    "/orders",
    status_code=200,
    before_request=requires("orders:write"),
    operation_id="createOrder",
    summary="Place an order",
    operation_class=takes(CreateOrder, needs=("product_id", "denomination", "quantity")),
    responses=answers(OrderOut, 400, 401, 403, 404, 409, 413, 422, 429, 503, told="The order"),
)
async def create_order(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Place an order: debits the wallet and delivers from the pool in the same request.

    200 with the order: DELIVERED, PARTIALLY_DELIVERED, or PENDING when it waits. Refused in this
    order: 401, 429, body format, field rules, 404 product, denomination, quantity, 404 wallet,
    duplicate reference, insufficient funds; a refusal changes nothing. Send an `Idempotency-Key` to
    make the call safe to retry: the same key and body repeat the first answer.
    """
    # Not injected: two dependencies would cost every order a task group of the framework's.
    orders: Orders = request.app.state.orders
    limiter: Limiter = request.app.state.limiter
    principal = principal_of(request)
    async with limiter.order_slot(principal) as headers:
        answer_with(request, headers)
        placed = await _place(request, principal, orders)
        cast("dict[str, Any]", request.scope)["rewards_order_id"] = placed.order.id
        replayed = {"Idempotent-Replayed": "true"} if placed.replayed else {}
        return encode(await orders.show(placed), headers=replayed)


async def _place(request: Request[Any, Any, Any], principal: Principal, orders: Orders) -> Placed:
    raw = await request.body()
    body = check(decode(DECODER, raw), orders.clock.now())
    use = _key_use(request, principal, raw, orders, secret=body.claim_password is not None)
    try:
        ask = _ask(request, principal, orders, body, use)
    except Refusal:
        # The catalogue may have changed since: a repeated key still hears its first answer.
        first = await orders.first_answer(use, actor_of(request)) if use else None
        if first is None:
            raise
        return first
    if body.claim_password is not None:
        digest = await orders.passwords.digest(body.claim_password)
        ask = replace(ask, claim_password_hash=digest)
    return await orders.place(ask)


def _key_use(
    request: Request[Any, Any, Any],
    principal: Principal,
    raw: bytes,
    orders: Orders,
    *,
    secret: bool,
) -> KeyUse | None:
    keys = request.headers.getall("idempotency-key", [])
    if not keys:
        return None
    if len(keys) > 1:
        raise InvalidField("Idempotency-Key", "one")
    key = idempotency.validate(keys[0])
    return KeyUse(principal.client_id, key, orders.fingerprint(raw, secret=secret))


def _ask(
    request: Request[Any, Any, Any],
    principal: Principal,
    orders: Orders,
    body: Checked,
    use: KeyUse | None,
) -> PlaceAsk:
    product = orders.catalog.product(body.product_id)
    if product is None or not product.visible_to(principal.client_id) or not product.active:
        raise ProductNotFound
    return PlaceAsk(
        actor=actor_of(request),
        client_id=principal.client_id,
        conversion_fee_percent=principal.conversion_fee_percent,
        product=product,
        denomination_minor=check_against(body, product, principal.max_quantity),
        quantity=body.quantity,
        tier=tier(
            body.quantity,
            realtime=product.realtime,
            request_max=product.request_quantity_max or orders.settings.request_quantity_max,
            filled_max=product.filled_quantity_max or orders.settings.filled_quantity_max,
        ),
        wallet_id=body.wallet_id,
        ref=body.ref,
        email=body.email,
        mobile=body.mobile,
        metadata=body.metadata,
        on_partial=body.on_partial,
        deliver_by=body.deliver_by,
        key_use=use,
    )


@get(
    "/orders",
    guards=[requires("orders:read")],
    operation_id="listOrders",
    operation_class=asks(
        {
            "page": PAGE,
            "limit": whole_number("Orders a page", maximum=LIST_MAX, default=LIST_DEFAULT),
            "cursor": {
                "type": "string",
                "maxLength": 64,
                "description": "`X-Next-Cursor` of the page before, for deep paging",
            },
            "status": choice(Status, "In any case"),
            "sub_status": choice(SubStatus, "In any case"),
            "product_id": whole_number("Of this product", maximum=ID_MAX),
            "ref": {
                "type": "string",
                "maxLength": REF_LENGTH_MAX,
                "description": "With this reference",
            },
            "placed_from": {
                "type": "string",
                "format": "date-time",
                "description": "Placed then or later",
            },
            "placed_to": {"type": "string", "format": "date-time", "description": "Placed before"},
        }
    ),
    summary="List orders",
    responses=answers(list[OrderOut], 400, 401, 403, 503, told="A page of orders"),
)
async def list_orders(request: Request[Any, Any, Any], orders: GivenOrders) -> Response[bytes]:
    """The client's orders, newest first, without vouchers.

    Filters: `status`, `sub_status` (any case), `product_id`, `ref`, `placed_from` (inclusive),
    `placed_to` (exclusive). Paging: `page` and `limit` (10, at most 100), totals in the headers; or
    `cursor` (from `X-Next-Cursor`) for deep paging without them.
    """
    query = request.query_params
    narrow = _filter(principal_of(request).client_id, query)
    ask = page_ask(query.get("page"), query.get("limit"), default=LIST_DEFAULT, maximum=LIST_MAX)
    before = cursor.read(query["cursor"]) if query.get("cursor") else None
    offset = 0 if before else ask.offset
    async with orders.db.connection() as connection:
        # One more than asked tells whether there are more.
        found = await sql_read.list_orders(
            connection, narrow, before=before, limit=ask.size + 1, offset=offset
        )
        total = None if before else await sql_read.count_orders(connection, narrow)
    shown, more = found[: ask.size], len(found) > ask.size
    following = cursor.write(shown[-1].placed_at, shown[-1].id) if more else None
    body = [show(order) for order in shown]
    if total is None:
        return cursor_answer(request, body, ask.size, following)
    answer = page_answer(request, Page(shown, ask, total), body)
    if following:
        answer.headers["X-Next-Cursor"] = following
    return answer


def _filter(client_id: int, query: Mapping[str, str]) -> OrderFilter:
    return OrderFilter(
        client_id=client_id,
        status=one_of("Status", Status, query.get("status")),
        sub_status=one_of("SubStatus", SubStatus, query.get("sub_status")),
        product_id=_optional_id("ProductId", query.get("product_id")),
        ref=printable("Ref", query["ref"], REF_LENGTH_MAX) if query.get("ref") else None,
        placed_from=timestamp("PlacedFrom", query["placed_from"])
        if query.get("placed_from")
        else None,
        placed_to=timestamp("PlacedTo", query["placed_to"]) if query.get("placed_to") else None,
    )


def _optional_id(field: str, text: str | None) -> int | None:
    return whole(field, text, default=1, maximum=ID_MAX) if text is not None else None


@get(
    "/orders/summary",
    guards=[requires("orders:read")],
    operation_id="summariseOrders",
    operation_class=asks(
        {
            "from": {"type": "string", "format": "date", "description": "First UTC day, included"},
            "to": {"type": "string", "format": "date", "description": "Last UTC day, included"},
        }
    ),
    summary="Summarise orders",
    responses=answers(list[SummaryLine], 400, 401, 403, 503, told="The pipeline at a glance"),
)
async def summarise_orders(request: Request[Any, Any, Any], orders: GivenOrders) -> Response[bytes]:
    """Counts and amounts by status, sub-status, product and currency: the pipeline at a glance.

    `from` and `to` are UTC days (2026-11-21), both inclusive and both optional.
    """
    query = request.query_params
    first = day("From", query["from"]) if query.get("from") else None
    last = day("To", query["to"]) if query.get("to") else None
    client_id = principal_of(request).client_id
    async with orders.db.connection() as connection:
        rows = await sql_read.summary(connection, client_id, first, last)
    return encode([_summary_line(row) for row in rows])


def _summary_line(row: Record) -> SummaryLine:
    amount = to_decimal(row["amount_minor"], exponent_of(row["currency"]))
    return SummaryLine(
        row["status"], row["sub_status"], row["product_id"], row["currency"], row["orders"], amount
    )


@get(
    "/orders/{order_id:str}",
    guards=[requires("orders:read")],
    operation_id="getOrder",
    summary="Get an order",
    operation_class=asks(
        {
            "vouchers": {
                "type": "boolean",
                "default": True,
                "description": "false: without its vouchers, which are then not opened",
            }
        }
    ),
    responses=answers(OrderOut, 400, 401, 403, 404, 503, told="The order with its vouchers"),
)
async def get_order(
    request: Request[Any, Any, Any], orders: GivenOrders, order_id: FromPath[str]
) -> Response[bytes]:
    """One order with its items and, for what is delivered, its vouchers.

    Vouchers are left out where `vouchers` is false, and for people whose role may not see them. 404
    for an unknown id and for another client's order alike.
    """
    principal = principal_of(request)
    number = path_id(order_id, OrderNotFound)
    opens = yes_or_no("Vouchers", request.query_params.get("vouchers")) is not False
    opens = opens and principal.sees_codes
    return encode(await orders.read(actor_of(request), principal.client_id, number, opens=opens))


@get(
    "/orders/{order_id:str}/history",
    guards=[requires("orders:read")],
    operation_id="getOrderHistory",
    summary="Get an order's history",
    responses=answers(list[HistoryLine], 401, 403, 404, 503, told="Every transition"),
)
async def order_history(
    request: Request[Any, Any, Any], orders: GivenOrders, order_id: FromPath[str]
) -> Response[bytes]:
    """Every transition of an order, oldest first: at, from, to, who kind of actor, and why."""
    number = path_id(order_id, OrderNotFound)
    async with orders.db.connection() as connection:
        steps = await service.history(connection, principal_of(request).client_id, number)
    return encode([line for step in steps for line in _history_lines(step)])


def _history_lines(step: sql_read.Step) -> list[HistoryLine]:
    pairs = service.split_path(step)
    # An act without a step (some items cancelled, say) is still part of the story.
    pairs = pairs or [(step.path[0], step.path[0])]
    first = [HistoryLine.of(step, None, step.path[0])] if step.seq == 1 else []
    return first + [HistoryLine.of(step, source, target) for source, target in pairs]


ROUTER = Router(
    path="/",
    tags=["Orders"],
    route_handlers=[create_order, list_orders, summarise_orders, get_order, order_history],
)
