"""A company's request log at the portal."""

from litestar import get

from rewards.infra.pages.routes import GivenRoom, Page, Req
from rewards.portal.listing import listed, query_of
from rewards.portal.places import api
from rewards.traffic.model import StatusClass

FILTERS = ("request_id", "status", "route", "from", "to")
LINES_A_PAGE = 50


@get("/requests")
async def list_requests(request: Req, room: GivenRoom) -> Page:
    """What keys asked of the API, newest first."""
    visit = await room.visit(request)
    found = await listed(visit, api("/requests"), LINES_A_PAGE, query_of(visit, FILTERS))
    return visit.page("portal/requests.html", **found, statuses=list(StatusClass))


PAGES = [list_requests]
