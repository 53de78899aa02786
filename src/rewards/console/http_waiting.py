"""What waits: by why and since when, and acts upon many of them with a preview."""

from litestar import get, post

from rewards.console.listing import Sends, listed, whole_of
from rewards.console.places import API, PREFIX, may
from rewards.core.errors import NotFound
from rewards.infra.pages.caller import ApiRefused
from rewards.infra.pages.forms import FORM_BYTES_MAX, Form
from rewards.infra.pages.routes import GivenRoom, Page, Req
from rewards.infra.pages.visit import Visit, explain
from rewards.orders.model import OPEN_STATUSES, STATES
from rewards.staff.model import Permission

WAITING = f"{PREFIX}/waiting"
FILTERS = (
    *("q", "sub_status", "older_than", "client_id", "product_id", "status"),
    *("placed_from", "placed_to"),
)
REASONS = sorted({state.sub_status for state in STATES if state.status in OPEN_STATUSES})
# Of the API's acts upon many, those that make sense here, and what each button says.
MANY = (
    ("retry", "Retry", Permission.ORDERS_RETRY),
    ("vendor-fulfilment", "Buy from a vendor", Permission.VENDORS_APPROVE),
    ("cancel", "Cancel", Permission.ORDERS_CANCEL),
)
TITLES: dict[str, str] = {act: text for act, text, _ in MANY}
REFUSALS_SHOWN = 5
# To choose one from, for all of the chosen orders.
VENDORS_MAX = 100
SENDS = Sends(texts=("reason", "vendor"))


@get("/waiting")
async def list_waiting(request: Req, room: GivenRoom) -> Page:
    """Orders that wait, the oldest first."""
    visit = await room.visit(request)
    found = await listed(visit, f"{API}/orders/waiting", FILTERS)
    counts = (await visit.get(f"{API}/orders/waiting/counts")).body
    return visit.page(
        "console/waiting.html",
        found=found,
        counts=counts,
        can=[(act, text) for act, text, needs in MANY if may(visit.session, needs)],
        buys=may(visit.session, Permission.VENDORS_APPROVE),
        reasons=REASONS,
    )


@post("/waiting/preview", status_code=200, request_max_body_size=FORM_BYTES_MAX)
async def preview(request: Req, room: GivenRoom) -> Page:
    """What an act would do to each of the chosen orders, before anybody does it."""
    visit, form = await room.receive(request)
    return await _preview(visit, form, "")


async def _preview(visit: Visit, form: Form, problem: str) -> Page:
    act, chosen = _act_of(form), _chosen(form)
    if not chosen:
        return visit.back(WAITING, "Choose some orders first.", tone="bad")
    body = SENDS.body(form) | {"order_ids": chosen, "preview": True}
    # A preview is asked before anybody has said why.
    body.setdefault("reason", "preview")
    try:
        told = (await visit.send("POST", f"{API}/orders/{act}", body)).body
    except ApiRefused as refused:
        if visit.room.answers(refused):
            raise
        return visit.back(WAITING, explain(refused), tone="bad")
    return visit.page(
        "console/waiting-preview.html",
        vendors=await _vendors(visit) if act == "vendor-fulfilment" else (),
        act=act,
        title=TITLES[act],
        told=told,
        ids=chosen,
        open=[each["order_id"] for each in told if not each["code"]],
        vendor=form.get("vendor"),
        problem=problem,
    )


@post("/waiting/do", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def do_many(request: Req, room: GivenRoom) -> Page:
    """Do it, and say of how many orders it was refused."""
    visit, form = await room.receive(request)
    act, chosen = _act_of(form), _chosen(form)
    body = SENDS.body(form) | {"order_ids": chosen, "preview": False}
    try:
        told = (await visit.send("POST", f"{API}/orders/{act}", body)).body
    except ApiRefused as refused:
        if room.answers(refused):
            raise
        return await _preview(visit, form, explain(refused))
    left = [each for each in told if each["code"]]
    asked = [each for each in told if each.get("approval_id") or each.get("approval")]
    said = f"Done for {len(told) - len(left) - len(asked):,} of {len(told):,} orders."
    if asked:
        said += f" {len(asked):,} wait for a second person."
    for each in left[:REFUSALS_SHOWN]:
        said += f"\nOrder {each['order_id']}: {each['message']}"
    return visit.back(WAITING, said, tone="wait" if left or asked else "good")


async def _vendors(visit: Visit) -> list[tuple[str, str]]:
    """Those that could be asked, by the names that the API knows them by."""
    told = (await visit.get(f"{API}/vendors", limit=VENDORS_MAX)).body
    return [(each["name"], each["name"]) for each in told]


def _act_of(form: Form) -> str:
    act = form.get("act")
    if act not in TITLES:
        raise NotFound
    return act


def _chosen(form: Form) -> list[int]:
    numbers = map(whole_of, dict.fromkeys(form.all("order_ids")))
    return [number for number in numbers if isinstance(number, int)]


PAGES = [list_waiting, preview, do_many]
