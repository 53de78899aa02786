"""The audit trail: who did what, when, why, and from where."""

from litestar import get

from rewards.console.listing import listed
from rewards.console.places import API
from rewards.infra.pages.routes import GivenRoom, Page, Req

FILTERS = ("action", "subject_kind", "subject_id", "client_id", "staff_id")


@get("/audit")
async def search_trail(request: Req, room: GivenRoom) -> Page:
    """Rows that fit, newest first."""
    visit = await room.visit(request)
    found = await listed(visit, f"{API}/audit", FILTERS)
    return visit.page("console/audit.html", found=found)


PAGES = [search_trail]
