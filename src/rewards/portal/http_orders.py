"""A company's orders at the portal: found, read, and their codes shown when somebody asks."""

from typing import Any

from litestar import get, post
from litestar.params import FromPath

from rewards.clients.model import Scope
from rewards.infra.pages.caller import ApiRefused
from rewards.infra.pages.forms import FORM_BYTES_MAX
from rewards.infra.pages.given import begin_of, end_of
from rewards.infra.pages.routes import GivenRoom, Page, Req
from rewards.infra.pages.visit import Visit
from rewards.orders.model import Status
from rewards.portal.listing import listed, query_of
from rewards.portal.places import PREFIX, api, may

FILTERS = ("ref", "status", "product_id", "from", "to")
ORDERS_A_PAGE = 25
DIGITS_MAX = 16


@get("/orders")
async def list_orders(request: Req, room: GivenRoom) -> Page:
    """Orders, newest first; a number finds the order of that id at once: its page follows; while
    somebody types, the list has it alone."""
    visit = await room.visit(request)
    query = query_of(visit, FILTERS)
    words = request.query_params.get("q", "").strip()
    order = await _of_id(visit, words)
    if order is not None and "HX-Request" not in request.headers:
        return visit.back(f"{PREFIX}/orders/{order['id']}")
    if order is not None:
        alone: dict[str, Any] = {"rows": [order], "following": None, "cursor": "", "query": query}
        return visit.page("portal/orders.html", **alone, statuses=list(Status), problem_text="")
    if words:
        query["ref"] = words
    asked = {name: query[name] for name in ("ref", "status", "product_id") if name in query}
    days = {
        "placed_from": begin_of(query.get("from", "")),
        "placed_to": end_of(query.get("to", "")),
    }
    found = await listed(visit, api("/orders"), ORDERS_A_PAGE, query, asked | days)
    return visit.page("portal/orders.html", **found, statuses=list(Status))


async def _of_id(visit: Visit, words: str) -> Any:
    """The order of this id; None where the words are no id, or nobody's."""
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
