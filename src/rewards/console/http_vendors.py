"""Vendors: their state and balances, what was said, and the outcomes that nobody can tell."""

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
UNKNOWN = f"{VENDORS}/unknown"
ACTS = {
    "status": Act("PATCH", "/vendors/{}", "The state was changed.", Sends(texts=("status",))),
    "sync": Act("POST", "/vendors/{}/sync", "Its catalogue will be read in a moment.", None),
}
VERDICT = Act(
    "POST", "/vendor-orders/{}/verdict", "The verdict counts.", Sends(texts=("verdict", "reason"))
)


@get("/vendors")
async def list_vendors(request: Req, room: GivenRoom) -> Page:
    """Every account: its state, its balances and how old they are."""
    visit = await room.visit(request)
    found = await listed(visit, f"{API}/vendors")
    cases = await whole(visit, f"{API}/vendor-orders/unknown", limit="1")
    return visit.page("console/vendors.html", found=found, cases=cases)


@get("/vendors/unknown")
async def list_unknown(request: Req, room: GivenRoom) -> Page:
    """Purchases of which nobody can tell whether they were placed."""
    visit = await room.visit(request)
    found = await listed(visit, f"{API}/vendor-orders/unknown")
    can = may(visit.session, Permission.VENDORS_APPROVE)
    return visit.page("console/vendors-unknown.html", found=found, can=can)


@get("/vendors/{vendor_id:str}")
async def show_vendor(request: Req, room: GivenRoom, vendor_id: FromPath[str]) -> Page:
    """One account: balances, what it sells us, and what was said on the wire."""
    visit = await room.visit(request)
    vendor = (await visit.get(api("/vendors/{}", vendor_id))).body
    products = (await visit.get(api("/vendors/{}/products", vendor_id), limit=100)).body
    found = await listed(visit, api("/vendors/{}/exchanges", vendor_id), ("failed",), size=25)
    return visit.page(
        "console/vendor.html",
        vendor=vendor,
        products=products,
        found=found,
        can=may(visit.session, Permission.VENDORS_WRITE),
    )


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
    """One of ACTS upon one account; of `unknown`, the verdict upon one purchase."""
    if vendor_id == "unknown":
        return await perform(request, room, {act: VERDICT}, act, UNKNOWN, act)
    return await perform(request, room, ACTS, act, f"{VENDORS}/{vendor_id}", vendor_id)


PAGES = [list_vendors, list_unknown, show_vendor, check_vendor, act_on_vendor]
