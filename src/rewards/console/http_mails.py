"""Mail: what was sent to whom, how each attempt went, and once more."""

from litestar import get, post
from litestar.params import FromPath

from rewards.console.acts import Act, perform
from rewards.console.listing import Sends, listed, older
from rewards.console.places import API, PREFIX, api, may
from rewards.infra.pages.forms import FORM_BYTES_MAX
from rewards.infra.pages.routes import GivenRoom, Page, Req
from rewards.notices.model import NoticeKind, NoticeState
from rewards.staff.model import Permission

MAILS = f"{PREFIX}/mails"
FILTERS = ("state", "kind", "client_id", "order_id")
REASON = Sends(texts=("reason",))
ACTS = {"resend": Act("POST", "/notices/{}/resend", "It is mailed once more.", REASON)}


@get("/mails")
async def list_mails(request: Req, room: GivenRoom) -> Page:
    """Mails of the last 90 days, newest first."""
    visit = await room.visit(request)
    found = await listed(visit, f"{API}/notices", FILTERS)
    return visit.page(
        "console/mails.html",
        found=found,
        following=older(found),
        states=list(NoticeState),
        kinds=list(NoticeKind),
    )


@get("/mails/{notice_id:str}")
async def show_mail(request: Req, room: GivenRoom, notice_id: FromPath[str]) -> Page:
    """One mail, and what each attempt at sending it met."""
    visit = await room.visit(request)
    mail = (await visit.get(api("/notices/{}", notice_id))).body
    can = may(visit.session, Permission.NOTICES_RESEND)
    return visit.page("console/mail.html", mail=mail, can=can)


@post("/mails/{notice_id:str}/{act:str}", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def act_on_mail(
    request: Req, room: GivenRoom, notice_id: FromPath[str], act: FromPath[str]
) -> Page:
    """Send it once more."""
    return await perform(request, room, ACTS, act, f"{MAILS}/{notice_id}", notice_id)


PAGES = [list_mails, show_mail, act_on_mail]
