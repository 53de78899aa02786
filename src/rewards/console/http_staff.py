"""The people of the staff: let in, changed, signed out, and freed of a lost second factor."""

from litestar import get, post
from litestar.params import FromPath

from rewards.console.acts import Act, perform
from rewards.console.listing import Sends, listed, older
from rewards.console.places import API, PREFIX, api, may
from rewards.infra.pages.forms import FORM_BYTES_MAX
from rewards.infra.pages.routes import GivenRoom, Page, Req
from rewards.staff.model import Permission, Role

SETTINGS = f"{PREFIX}/settings"
PERSON = Sends(texts=("username", "role", "reason"), passwords=("password",))
NEW = {"hire": Act("POST", "/staff", "They can sign in now.", PERSON)}
WHY = Sends(texts=("reason",))
ROLE = Sends(texts=("role", "reason"))
PASSWORD = Sends(texts=("reason",), passwords=("password",))
ACTIVE = Sends(texts=("reason",), ticks=("active",))
RESET = "Their second factor is off, and they are signed out everywhere."
STAFF = {
    "role": Act("PATCH", "/staff/{}", "The new role counts at once.", ROLE),
    "deactivate": Act("PATCH", "/staff/{}", "Signed out everywhere.", ACTIVE),
    "activate": Act("PATCH", "/staff/{}", "They can sign in again.", ACTIVE),
    "password": Act("PATCH", "/staff/{}", "Set, and they are signed out everywhere.", PASSWORD),
    "sign-out": Act("POST", "/staff/{}/sessions/end", "They are signed out everywhere.", WHY),
    "reset-factor": Act("POST", "/staff/{}/second-factor/reset", RESET, WHY),
}

SESSION = {"end": Act("POST", "/staff/{}/sessions/{}/end", "That session has ended.", WHY)}


@get("/settings")
async def list_staff(request: Req, room: GivenRoom) -> Page:
    """Who of the staff may what."""
    visit = await room.visit(request)
    if not may(visit.session, Permission.STAFF_READ):
        return visit.back(f"{SETTINGS}/installation")
    found = await listed(visit, f"{API}/staff")
    can = may(visit.session, Permission.STAFF_WRITE)
    return visit.page("console/staff.html", found=found, roles=list(Role), can=can)


@post("/settings/staff", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def hire(request: Req, room: GivenRoom) -> Page:
    """Let somebody in."""
    return await perform(request, room, NEW, "hire", SETTINGS)


@get("/settings/staff/{staff_id:str}")
async def show_person(request: Req, room: GivenRoom, staff_id: FromPath[str]) -> Page:
    """One person, and where they are and were signed in."""
    visit = await room.visit(request)
    person = (await visit.get(api("/staff/{}", staff_id))).body
    found = await listed(visit, api("/staff/{}/sessions", staff_id), ("state",))
    return visit.page(
        "console/person.html",
        person=person,
        found=found,
        following=older(found),
        roles=list(Role),
        can=may(visit.session, Permission.STAFF_WRITE),
    )


@post(
    "/settings/staff/{staff_id:str}/{act:str}",
    status_code=303,
    request_max_body_size=FORM_BYTES_MAX,
)
async def act_on_person(
    request: Req, room: GivenRoom, staff_id: FromPath[str], act: FromPath[str]
) -> Page:
    """One of STAFF upon one person."""
    return await perform(request, room, STAFF, act, f"{SETTINGS}/staff/{staff_id}", staff_id)


@post(
    "/settings/staff/{staff_id:str}/sessions/{session_id:str}/{act:str}",
    status_code=303,
    request_max_body_size=FORM_BYTES_MAX,
)
async def act_on_session(
    request: Req,
    room: GivenRoom,
    staff_id: FromPath[str],
    session_id: FromPath[str],
    act: FromPath[str],
) -> Page:
    """End one session of one person."""
    back = f"{SETTINGS}/staff/{staff_id}"
    return await perform(request, room, SESSION, act, back, staff_id, session_id)


@get("/settings/installation")
async def show_installation(request: Req, room: GivenRoom) -> Page:
    """What this runs with: versions, settings, and how long things are kept."""
    visit = await room.visit(request)
    told = (await visit.get(f"{API}/settings")).body
    people = may(visit.session, Permission.STAFF_READ)
    return visit.page("console/installation.html", told=told, people=people)


PAGES = [list_staff, hire, show_person, act_on_person, act_on_session, show_installation]
