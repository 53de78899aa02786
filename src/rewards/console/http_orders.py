"""Orders: find them, see one's whole story, end its wait."""

from collections.abc import Mapping
from typing import Any

from litestar import get, post
from litestar.params import FromPath

from rewards.console.acts import Act, perform
from rewards.console.leads import subject_path
from rewards.console.listing import Sends, listed, whole, whole_of
from rewards.console.places import API, PREFIX, api, may
from rewards.infra.pages.caller import ApiRefused
from rewards.infra.pages.forms import FORM_BYTES_MAX
from rewards.infra.pages.routes import GivenRoom, Page, Req
from rewards.infra.pages.showing import with_query
from rewards.infra.pages.visit import explain
from rewards.orders.model import ItemStatus, Status, SubStatus
from rewards.staff.model import Permission, Role

ORDERS = f"{PREFIX}/orders"
FILTERS = (
    *("q", "id", "ref", "status", "sub_status", "client_id", "product_id", "email", "currency"),
    *("min_amount", "max_amount", "placed_from", "placed_to", "older_than", "sort"),
)
# What is asked for less often stands folded away.
RARE = ("ref", *FILTERS[FILTERS.index("product_id") :])
SECOND_PERSON = "Asked for: nothing happens before a second person has approved it."
REASON = Sends(texts=("reason",))
ACTS = {
    "retry": Act("POST", "/orders/{}/retry", "The pool was looked into again.", REASON),
    "cancel": Act("POST", "/orders/{}/cancel", "Cancelled.", REASON, SECOND_PERSON),
    "cancel-items": Act(
        *("POST", "/orders/{}/cancel", "These items were given back."),
        *(Sends(texts=("reason",), lists=("item_ids",)), SECOND_PERSON),
    ),
    "refund-retry": Act("POST", "/orders/{}/refund-retry", "The refund was tried again.", None),
    "links-resend": Act("POST", "/orders/{}/links/resend", "The links were mailed again.", REASON),
    "links-reissue": Act(
        "POST", "/orders/{}/links/reissue", "New links were made; the old ones are dead.", REASON
    ),
    "vendor-fulfilment": Act(
        *("POST", "/orders/{}/vendor-fulfilment", "Approved; a worker now asks the vendor."),
        *(Sends(texts=("reason", "vendor")), SECOND_PERSON),
    ),
    "notes": Act("POST", "/orders/{}/notes", "Noted.", Sends(texts=("text",))),
}
FORGET = {"forget": Act("DELETE", "/saved-searches/{}", "Forgotten.", None)}
# As many as the API masks the vouchers of.
ITEMS_SHOWN = 100
REVEAL = Sends(texts=("reason",), numbers=("position",))
# Items that can be given back one by one.
RETURNABLE = frozenset({ItemStatus.DELIVERED, ItemStatus.PENDING})
# Items whose code can be shown, of an order that has codes; also where its end user has a link.
REVEALABLE = frozenset({ItemStatus.DELIVERED})


@get("/orders")
async def list_orders(request: Req, room: GivenRoom) -> Page:
    """Orders that fit, newest first, and searches that somebody kept."""
    visit = await room.visit(request)
    found = await listed(visit, f"{API}/orders", FILTERS)
    kept = await whole(visit, f"{API}/saved-searches")
    return visit.page(
        "console/orders.html",
        found=found,
        kept=kept or (),
        statuses=list(Status),
        sub_statuses=list(SubStatus),
        # An admin forgets also what others share.
        may_forget=visit.session.facts.get("role") == Role.ADMIN,
        opened=any(name in found.query for name in RARE),
    )


@post("/searches", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def keep_search(request: Req, room: GivenRoom) -> Page:
    """Keep what the list is narrowed to, under a name."""
    visit, form = await room.receive(request)
    query = form.chosen(*FILTERS)
    body = {"name": form.get("name"), "query": query, "shared": form.get("shared") == "true"}
    back = with_query(ORDERS, **query)
    return await visit.act("POST", f"{API}/saved-searches", body, back=back, done="Kept.")


@post("/searches/{search_id:str}/forget", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def forget_search(request: Req, room: GivenRoom, search_id: FromPath[str]) -> Page:
    """Forget a search that was kept."""
    return await perform(request, room, FORGET, "forget", ORDERS, search_id)


@get("/orders/{order_id:str}")
async def show_order(request: Req, room: GivenRoom, order_id: FromPath[str]) -> Page:
    """One order: where it stands, who must act, what happened, and what can be done.

    `item`: the position of one whose page of items is shown.
    """
    visit = await room.visit(request)
    number = whole_of(request.query_params.get("item", ""))
    first = (max(number, 1) - 1) // ITEMS_SHOWN * ITEMS_SHOWN + 1 if isinstance(number, int) else 1
    path = api("/orders/{}/story", order_id)
    told = (await visit.get(path, from_item=str(first))).body
    return visit.page(
        "console/order.html",
        **told,
        can=set(told["acts"]),
        first=first,
        shown=ITEMS_SHOWN,
        mails=may(visit.session, Permission.NOTICES_RESEND),
        leads=[_lead(told["order"], moment) for moment in told["moments"]],
        returnable=RETURNABLE,
        revealable=REVEALABLE,
    )


def _lead(order: Mapping[str, Any], moment: Mapping[str, Any]) -> str:
    """The page of what a moment of an order's story is about; nothing where there is none."""
    facts = moment["facts"]
    match moment["told"]:
        case "MONEY":
            return f"{PREFIX}/money/lines/{facts['transaction_id']}"
        case "APPROVAL":
            return with_query(f"{PREFIX}/approvals", kind=facts["kind"])
        case "VENDOR_ORDER":
            return subject_path("vendor", facts["vendor_id"], None)
        case "MAIL":
            return subject_path("notice", facts["notice_id"], None)
        case "DELIVERY":
            return subject_path("webhook", facts["webhook_id"], order["client_id"])
        case _:
            return ""


@get("/orders/{order_id:str}/vendors")
async def compare_vendors(request: Req, room: GivenRoom, order_id: FromPath[str]) -> Page:
    """What each vendor would take for what the pool lacks, and the form that asks one."""
    visit = await room.visit(request)
    order = (await visit.get(api("/orders/{}", order_id))).body
    options = (await visit.get(api("/orders/{}/vendor-options", order_id))).body
    can = may(visit.session, Permission.VENDORS_APPROVE)
    return visit.page("console/order-vendors.html", order=order, options=options, can=can)


@post("/orders/{order_id:str}/reveal", status_code=200, request_max_body_size=FORM_BYTES_MAX)
async def reveal_code(request: Req, room: GivenRoom, order_id: FromPath[str]) -> Page:
    """Show one code in the clear, on a page that is kept nowhere; why stays in the trail."""
    visit, form = await room.receive(request)
    wanted = form.get("back")
    back = room.own_path(wanted) if wanted else f"{ORDERS}/{order_id}"
    try:
        path = api("/orders/{}/reveal", order_id)
        told = (await visit.send("POST", path, REVEAL.body(form))).body
    except ApiRefused as refused:
        if room.answers(refused):
            raise
        return visit.back(back, explain(refused), tone="bad")
    secrets = {name: text for name, text in told["voucher"].items() if text}
    title = f"Item {told['position']} of order {told['order_id']}"
    return visit.page("console/shown-once.html", title=title, secrets=secrets, back=back, kept=True)


@post("/orders/{order_id:str}/{act:str}", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def act_on_order(
    request: Req, room: GivenRoom, order_id: FromPath[str], act: FromPath[str]
) -> Page:
    """One of ACTS upon one order."""
    return await perform(request, room, ACTS, act, f"{ORDERS}/{order_id}", order_id)


PAGES = [
    list_orders,
    keep_search,
    forget_search,
    show_order,
    compare_vendors,
    reveal_code,
    act_on_order,
]
