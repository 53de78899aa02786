"""Vendors: their state and balances, how they answer, and what was said on the wire."""

from litestar import get, post
from litestar.params import FromPath

from rewards.console.acts import Act, perform
from rewards.console.listing import Sends, listed, whole
from rewards.console.places import API, PREFIX, api, may
from rewards.infra.pages.caller import ApiRefused
from rewards.infra.pages.forms import FORM_BYTES_MAX
from rewards.infra.pages.routes import GivenRoom, Page, Req
from rewards.infra.pages.visit import explain
from rewards.staff.model import Permission

VENDORS = f"{PREFIX}/vendors"
CALLS_SHOWN = 25
ACTS = {
    "status": Act(
        "PATCH", "/vendors/{}", "The state was changed.", Sends(texts=("status", "reason"))
    ),
    "rename": Act("PATCH", "/vendors/{}", "It is called so now.", Sends(texts=("name", "reason"))),
    "sync": Act("POST", "/vendors/{}/sync", "Its catalogue will be read in a moment.", None),
}


@get("/vendors")
async def list_vendors(request: Req, room: GivenRoom) -> Page:
    """Every account: its state, its balances and how old they are."""
    visit = await room.visit(request)
    found = await listed(visit, f"{API}/vendors")
    cases = await whole(visit, f"{API}/vendor-orders/unknown", limit="1")
    can = may(visit.session, Permission.VENDORS_SECRETS)
    return visit.page("console/vendors.html", found=found, cases=cases, can=can)


@get("/vendors/{vendor_id:str}")
async def show_vendor(request: Req, room: GivenRoom, vendor_id: FromPath[str]) -> Page:
    """One account: whether it answers, its balances and settings."""
    visit = await room.visit(request)
    vendor = (await visit.get(api("/vendors/{}", vendor_id))).body
    health = (await visit.get(api("/vendors/{}/health", vendor_id))).body
    return visit.page(
        "console/vendor.html",
        vendor=vendor,
        health=health,
        can=may(visit.session, Permission.VENDORS_WRITE),
        can_set=may(visit.session, Permission.VENDORS_SECRETS),
    )


@get("/vendors/{vendor_id:str}/calls")
async def list_calls(request: Req, room: GivenRoom, vendor_id: FromPath[str]) -> Page:
    """What was said on the wire, with every secret removed, newest first."""
    visit = await room.visit(request)
    vendor = (await visit.get(api("/vendors/{}", vendor_id))).body
    path, narrowed = api("/vendors/{}/exchanges", vendor_id), ("failed", "order_id", "status")
    found = await listed(visit, path, narrowed, size=CALLS_SHOWN)
    return visit.page("console/vendor-calls.html", vendor=vendor, found=found)


@post("/vendors/{vendor_id:str}/check", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def check_vendor(request: Req, room: GivenRoom, vendor_id: FromPath[str]) -> Page:
    """Call the vendor now, and say what came of it."""
    visit, _ = await room.receive(request)
    back = f"{VENDORS}/{vendor_id}"
    try:
        told = (await visit.send("POST", api("/vendors/{}/check", vendor_id))).body
    except ApiRefused as refused:
        if room.answers(refused):
            raise
        return visit.back(back, explain(refused), tone="bad")
    if told["ok"]:
        return visit.back(back, f"It answered in {told['took_ms']:,} ms.")
    return visit.back(back, f"It does not work: {told['problem']}", tone="bad")


@post("/vendors/{vendor_id:str}/{act:str}", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def act_on_vendor(
    request: Req, room: GivenRoom, vendor_id: FromPath[str], act: FromPath[str]
) -> Page:
    """One of ACTS upon one account."""
    return await perform(request, room, ACTS, act, f"{VENDORS}/{vendor_id}", vendor_id)


PAGES = [list_vendors, show_vendor, list_calls, check_vendor, act_on_vendor]
