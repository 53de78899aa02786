"""A company's people at the portal: who they are, let in, changed."""

from litestar import get, post
from litestar.params import FromPath

from rewards.clients.model import Scope
from rewards.clients.model_members import MemberRole
from rewards.infra.pages.forms import FORM_BYTES_MAX
from rewards.infra.pages.routes import GivenRoom, Page, Req
from rewards.portal.places import PREFIX, api, may

BACK = f"{PREFIX}/team"


@get("/team")
async def list_team(request: Req, room: GivenRoom) -> Page:
    """Everybody who may log in, and who might no more."""
    visit = await room.visit(request)
    people = (await visit.get(api("/members"))).body
    can = may(visit.session, Scope.MEMBERS_WRITE)
    return visit.page("portal/team.html", people=people, can=can, roles=list(MemberRole))


@post("/team", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def add_member(request: Req, room: GivenRoom) -> Page:
    """Let somebody in."""
    visit, form = await room.receive(request)
    names = ("username", "password", "role", "current_password")
    asked = {name: form.get(name) for name in names}
    asked["username"] = asked["username"].strip()
    said = "They may log in now. Have them change their password."
    return await visit.act("POST", api("/members"), asked, back=BACK, done=said)


@post("/team/{member_id:str}", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def change_member(request: Req, room: GivenRoom, member_id: FromPath[str]) -> Page:
    """Another role or password, or whether they may log in."""
    visit, form = await room.receive(request)
    asked = {
        "role": form.get("role"),
        "active": form.get("active") == "true",
        "current_password": form.get("current_password"),
    }
    if form.get("password"):
        asked["password"] = form.get("password")
    path = api("/members/{}", member_id)
    return await visit.act("PATCH", path, asked, back=BACK, done="It counts from now on.")


PAGES = [list_team, add_member, change_member]
