"""Approvals: what one person asked for and another must agree to."""

from litestar import get, post
from litestar.params import FromPath

from rewards.console.acts import Act, perform
from rewards.console.leads import subject_path
from rewards.console.listing import Sends, listed, older
from rewards.console.places import API, PREFIX, may
from rewards.infra.pages.forms import FORM_BYTES_MAX
from rewards.infra.pages.routes import GivenRoom, Page, Req
from rewards.staff.model import Permission
from rewards.staff.model_approvals import ApprovalKind, ApprovalState

APPROVALS = f"{PREFIX}/approvals"
ACTS = {
    "approve": Act(
        "POST", "/approvals/{}/approve", "Approved; it is carried out now.", Sends(texts=("note",))
    ),
    "reject": Act("POST", "/approvals/{}/reject", "Rejected.", Sends(texts=("reason",))),
    "withdraw": Act("POST", "/approvals/{}/withdraw", "Withdrawn; nothing comes of it.", None),
}


@get("/approvals")
async def list_approvals(request: Req, room: GivenRoom) -> Page:
    """What waits for a second person, and on demand what was decided."""
    visit = await room.visit(request)
    usual = {"state": "REQUESTED"}
    found = await listed(visit, f"{API}/approvals", ("state", "kind"), usual=usual)
    return visit.page(
        "console/approvals.html",
        found=found,
        leads=[subject_path(each["subject_kind"], each["subject_id"], None) for each in found.rows],
        state=found.query.get("state", "REQUESTED"),
        before=older(found, "approval_id"),
        states=list(ApprovalState),
        kinds=list(ApprovalKind),
        me=visit.session.facts.get("id", ""),
        can=may(visit.session, Permission.APPROVALS_DECIDE),
    )


@post(
    "/approvals/{approval_id:str}/{act:str}", status_code=303, request_max_body_size=FORM_BYTES_MAX
)
async def decide(
    request: Req, room: GivenRoom, approval_id: FromPath[str], act: FromPath[str]
) -> Page:
    """Agree to one request, say no, or take back one's own."""
    return await perform(request, room, ACTS, act, APPROVALS, approval_id)


PAGES = [list_approvals, decide]
