"""Settings: the people of the staff, and jobs that failed too often."""

from litestar import get, post
from litestar.params import FromPath

from rewards.console.acts import Act, perform
from rewards.console.listing import Sends, listed
from rewards.console.places import API, PREFIX, may
from rewards.infra.pages.forms import FORM_BYTES_MAX
from rewards.infra.pages.routes import GivenRoom, Page, Req
from rewards.staff.model import Permission, Role

SETTINGS = f"{PREFIX}/settings"
PERSON = Sends(texts=("username", "role", "password"))
NEW = {"hire": Act("POST", "/staff", "They can sign in now.", PERSON)}
STAFF = {
    "role": Act("PATCH", "/staff/{}", "The new role counts at once.", Sends(texts=("role",))),
    "deactivate": Act("PATCH", "/staff/{}", "Signed out everywhere.", Sends(ticks=("active",))),
    "activate": Act("PATCH", "/staff/{}", "They can sign in again.", Sends(ticks=("active",))),
}
JOBS = {"revive": Act("POST", "/jobs/{}/revive", "It runs again.", None)}


@get("/settings")
async def list_staff(request: Req, room: GivenRoom) -> Page:
    """Who of the staff may what."""
    visit = await room.visit(request)
    if not may(visit.session, Permission.STAFF_READ):
        return visit.back(f"{SETTINGS}/jobs")
    found = await listed(visit, f"{API}/staff")
    can = may(visit.session, Permission.STAFF_WRITE)
    return visit.page("console/staff.html", found=found, roles=list(Role), can=can)


@post("/settings/staff", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def hire(request: Req, room: GivenRoom) -> Page:
    """Let somebody in."""
    return await perform(request, room, NEW, "hire", SETTINGS)


@post(
    "/settings/staff/{staff_id:str}/{act:str}",
    status_code=303,
    request_max_body_size=FORM_BYTES_MAX,
)
async def act_on_person(
    request: Req, room: GivenRoom, staff_id: FromPath[str], act: FromPath[str]
) -> Page:
    """One of STAFF upon one person."""
    return await perform(request, room, STAFF, act, SETTINGS, staff_id)


@get("/settings/jobs")
async def list_jobs(request: Req, room: GivenRoom) -> Page:
    """Background jobs that failed too often and wait for a person."""
    visit = await room.visit(request)
    found = await listed(visit, f"{API}/jobs/dead")
    can = may(visit.session, Permission.JOBS_REVIVE)
    return visit.page("console/jobs.html", found=found, can=can)


@post("/settings/jobs/{job_id:str}/revive", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def revive(request: Req, room: GivenRoom, job_id: FromPath[str]) -> Page:
    """Run a failed job again."""
    return await perform(request, room, JOBS, "revive", f"{SETTINGS}/jobs", job_id)


PAGES = [
    list_staff,
    hire,
    act_on_person,
    list_jobs,
    revive,
]
