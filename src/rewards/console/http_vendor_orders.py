"""Purchases from vendors: the outcomes that nobody can tell, what was said, and the verdict."""

from litestar import get, post
from litestar.params import FromPath

from rewards.console.acts import Act, perform
from rewards.console.listing import Sends, listed
from rewards.console.places import API, PREFIX, api, may
from rewards.infra.pages.forms import FORM_BYTES_MAX
from rewards.infra.pages.routes import GivenRoom, Page, Req
from rewards.staff.model import Permission

BOUGHT = f"{PREFIX}/vendors/orders"
SAID_MAX = 100
VERDICT = {
    "verdict": Act(
        *("POST", "/vendor-orders/{}/verdict", "The verdict counts."),
        Sends(texts=("verdict", "reason")),
    )
}


@get("/vendors/unknown")
async def list_unknown(request: Req, room: GivenRoom) -> Page:
    """Purchases of which nobody can tell whether they were placed."""
    visit = await room.visit(request)
    found = await listed(visit, f"{API}/vendor-orders/unknown")
    names = {each["id"]: each["name"] for each in (await visit.get(f"{API}/vendors")).body}
    return visit.page("console/vendors-unknown.html", found=found, names=names)


@get("/vendors/orders/{purchase_id:str}")
async def show_purchase(request: Req, room: GivenRoom, purchase_id: FromPath[str]) -> Page:
    """One purchase: what was sent, what was read, and what a person may decide about it."""
    visit = await room.visit(request)
    bought = (await visit.get(api("/vendor-orders/{}", purchase_id))).body
    vendor_id = str(bought["vendor_id"])
    vendor = (await visit.get(api("/vendors/{}", vendor_id))).body
    path = api("/vendors/{}/exchanges", vendor_id)
    said = (await visit.get(path, purchase_id=purchase_id, limit=SAID_MAX)).body
    return visit.page(
        "console/vendor-order.html",
        bought=bought,
        vendor=vendor,
        said=said,
        can=may(visit.session, Permission.VENDORS_APPROVE),
    )


@post("/vendors/orders/{purchase_id:str}", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def judge(request: Req, room: GivenRoom, purchase_id: FromPath[str]) -> Page:
    """Say what is true of it, and how one knows."""
    return await perform(request, room, VERDICT, "verdict", f"{BOUGHT}/{purchase_id}", purchase_id)


PAGES = [list_unknown, show_purchase, judge]
