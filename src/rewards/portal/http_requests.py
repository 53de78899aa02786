"""A company's request log at the portal."""

from litestar import get

from rewards.infra.pages.caller import ApiRefused
from rewards.infra.pages.routes import GivenRoom, Page, Req
from rewards.infra.pages.visit import explain
from rewards.portal.places import api
from rewards.traffic.model import StatusClass

FILTERS = ("request_id", "status", "route", "from", "to")
LINES_A_PAGE = 50


@get("/requests")
async def list_requests(request: Req, room: GivenRoom) -> Page:
    """What keys asked of the API, newest first."""
    visit = await room.visit(request)
    query = {name: request.query_params.get(name, "").strip() for name in FILTERS}
    query = {name: value for name, value in query.items() if value}
    cursor = request.query_params.get("cursor", "")
    problem, lines, following = "", [], None
    try:
        answer = await visit.get(api("/requests"), limit=LINES_A_PAGE, cursor=cursor, **query)
        lines, following = answer.body, answer.following
    except ApiRefused as refused:
        if refused.status != 400:
            raise
        problem = explain(refused)
    return visit.page(
        "portal/requests.html",
        lines=lines,
        following=following,
        cursor=cursor,
        query=query,
        statuses=list(StatusClass),
        problem_text=problem,
    )


PAGES = [list_requests]
