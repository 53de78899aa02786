"""Settings: jobs that failed too often."""

from litestar import get, post
from litestar.params import FromPath

from rewards.console.acts import Act, perform
from rewards.console.listing import listed
from rewards.console.places import API, PREFIX, may
from rewards.infra.pages.forms import FORM_BYTES_MAX
from rewards.infra.pages.routes import GivenRoom, Page, Req
from rewards.staff.model import Permission

SETTINGS = f"{PREFIX}/settings"
JOBS = {"revive": Act("POST", "/jobs/{}/revive", "It runs again.", None)}


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
    list_jobs,
    revive,
]
