"""What waits: by why and since when, and acts upon many of them with a preview."""

from litestar import get

from rewards.console.listing import Sends, listed
from rewards.console.places import API, PREFIX, may
from rewards.infra.pages.routes import GivenRoom, Page, Req
from rewards.orders.model import OPEN_STATUSES, STATES
from rewards.staff.model import Permission

WAITING = f"{PREFIX}/waiting"
FILTERS = ("sub_status", "older_than", "client_id", "product_id", "status")
REASONS = sorted({state.sub_status for state in STATES if state.status in OPEN_STATUSES})
# Of the API's acts upon many, those that make sense here, and what each button says.
MANY = (
    ("retry", "Retry", Permission.ORDERS_RETRY),
    ("vendor-fulfilment", "Buy from a vendor", Permission.VENDORS_APPROVE),
    ("cancel", "Cancel", Permission.ORDERS_CANCEL),
)
SENDS = Sends(texts=("reason", "vendor"))


@get("/waiting")
async def list_waiting(request: Req, room: GivenRoom) -> Page:
    """Orders that wait, the oldest first."""
    visit = await room.visit(request)
    found = await listed(visit, f"{API}/orders/waiting", FILTERS)
    counts = (await visit.get(f"{API}/orders/waiting/counts")).body
    can = [(act, text) for act, text, needs in MANY if may(visit.session, needs)]
    return visit.page("console/waiting.html", found=found, counts=counts, can=can, reasons=REASONS)
