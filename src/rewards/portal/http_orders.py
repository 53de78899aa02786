"""A company's orders at the portal: found, read, and their codes shown when somebody asks."""

from typing import Any

from litestar import get, post
from litestar.params import FromPath

from rewards.clients.model import Scope
from rewards.infra.pages.caller import ApiRefused
from rewards.infra.pages.forms import FORM_BYTES_MAX
from rewards.infra.pages.routes import GivenRoom, Page, Req
from rewards.infra.pages.visit import Visit, explain
from rewards.orders.model import Status
from rewards.portal.places import PREFIX, api, may

FILTERS = ("ref", "status", "product_id", "placed_from", "placed_to")
ORDERS_A_PAGE = 25
DIGITS_MAX = 16


@get("/orders")
async def list_orders(request: Req, room: GivenRoom) -> Page:
    """Orders, newest first; a number finds the order of that id at once."""
    visit = await room.visit(request)
    query = {name: request.query_params.get(name, "").strip() for name in FILTERS}
    words = request.query_params.get("q", "").strip()
    named = await _named(visit, words)
    # Who is still typing gets a list, for the number may become a longer one.
    if named is not None and not request.headers.get("HX-Request"):
        return visit.back(f"{PREFIX}/orders/{named['id']}")
    if words:
        query["ref"] = words
    cursor = request.query_params.get("cursor", "")
    problem, orders, following = "", [], None
    try:
        if named is not None:
            orders = [named]
        else:
            answer = await visit.get(api("/orders"), limit=ORDERS_A_PAGE, cursor=cursor, **query)
            orders, following = answer.body, answer.following
    except ApiRefused as refused:
        if refused.status != 400:
            raise
        problem = explain(refused)
    asked = {name: value for name, value in query.items() if value}
    return visit.page(
        "portal/orders.html",
        orders=orders,
        following=following,
        cursor=cursor,
        query=asked,
        statuses=list(Status),
        problem_text=problem,
    )


async def _named(visit: Visit, words: str) -> Any:
    """The order of this id; None where the words are no id, or there is none of it."""
    if not (words.isdecimal() and words.isascii() and len(words) <= DIGITS_MAX):
        return None
    try:
        return (await visit.get(api("/orders/{}", words), vouchers="false")).body
    except ApiRefused as refused:
        if refused.status != 404:
            raise
        return None


@get("/orders/{order_id:str}")
async def show_order(request: Req, room: GivenRoom, order_id: FromPath[str]) -> Page:
    """One order and its history, without its codes."""
    visit = await room.visit(request)
    return await _order(visit, order_id, opens=False)


@post("/orders/{order_id:str}/codes", status_code=200, request_max_body_size=FORM_BYTES_MAX)
async def show_codes(request: Req, room: GivenRoom, order_id: FromPath[str]) -> Page:
    """The same with its codes: opening them is an act, and is in the audit trail."""
    visit, _ = await room.receive(request)
    return await _order(visit, order_id, opens=True)


async def _order(visit: Visit, order_id: str, *, opens: bool) -> Page:
    vouchers = "true" if opens else "false"
    order = (await visit.get(api("/orders/{}", order_id), vouchers=vouchers)).body
    history = (await visit.get(api("/orders/{}/history", order_id))).body
    return visit.page(
        "portal/order.html",
        order=order,
        history=history,
        opened=opens,
        may_open=may(visit.session, Scope.VOUCHERS_READ) and order["fulfilledFromCache"] > 0,
    )


PAGES = [list_orders, show_order, show_codes]
