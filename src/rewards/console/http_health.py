"""Health: processes, what waits for how long, and jobs that failed too often."""

from litestar import get, post
from litestar.params import FromPath

from rewards.console.acts import Act, perform
from rewards.console.listing import whole
from rewards.console.places import API, PREFIX, may
from rewards.infra.pages.forms import FORM_BYTES_MAX
from rewards.infra.pages.routes import GivenRoom, Page, Req
from rewards.staff.model import Permission

HEALTH = f"{PREFIX}/health"
JOBS = {"revive": Act("POST", "/jobs/{}/revive", "It runs again.", None)}


@get("/health")
async def show_health(request: Req, room: GivenRoom) -> Page:
    """Whether all is at work, and what is not."""
    visit = await room.visit(request)
    told = (await visit.get(f"{API}/health")).body
    return visit.page(
        "console/health.html",
        told=told,
        silent=[each for each in told["processes"] if each["state"] == "SILENT"],
        open_alerts=sum(told["alerts_open"].values()),
        late_s=max((queue["late_s"] for queue in told["queues"]), default=0),
        failed=sum(queue["dead"] for queue in told["queues"]),
        jobs=await whole(visit, f"{API}/jobs/dead"),
        can=may(visit.session, Permission.JOBS_REVIVE),
        alerts_page=may(visit.session, Permission.ALERTS_READ),
    )


@post("/health/jobs/{job_id:str}/revive", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def revive(request: Req, room: GivenRoom, job_id: FromPath[str]) -> Page:
    """Run a failed job again."""
    return await perform(request, room, JOBS, "revive", HEALTH, job_id)


PAGES = [show_health, revive]
