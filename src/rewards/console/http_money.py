"""Money: what is owed, exchange rates, and where books disagree."""

from litestar import get, post
from litestar.params import FromPath

from rewards.console.acts import Act, perform
from rewards.console.listing import Sends, listed, whole
from rewards.console.places import API, PREFIX, may
from rewards.infra.pages.forms import FORM_BYTES_MAX
from rewards.infra.pages.routes import GivenRoom, Page, Req
from rewards.staff.model import Permission

MONEY = f"{PREFIX}/money"
REASON = Sends(texts=("reason",))
RATE = Sends(texts=("source", "target", "rate", "reason", "spread_percent"), ticks=("confirm",))
RATES = {
    "set": Act("POST", "/fx-rates", "The rate counts from now on.", RATE),
}
HELD = {
    "confirm": Act("POST", "/fx-rates/held/{}/confirm", "The rate counts now.", REASON),
    "dismiss": Act("POST", "/fx-rates/held/{}/dismiss", "Dismissed.", REASON),
}
DRIFTS = {"explain": Act("POST", "/reconciliation/drifts/{}/explain", "Explained.", REASON)}


@get("/money")
async def show_owed(request: Req, room: GivenRoom) -> Page:
    """Refunds that could not be booked yet."""
    visit = await room.visit(request)
    found = await listed(visit, f"{API}/orders", fixed={"sub_status": "NOT_REFUNDED"})
    can = may(visit.session, Permission.ORDERS_REFUND)
    return visit.page("console/money.html", found=found, can=can)


@get("/money/rates")
async def list_rates(request: Req, room: GivenRoom) -> Page:
    """Rates in force, and those that jumped and wait for a person."""
    visit = await room.visit(request)
    found = await listed(visit, f"{API}/fx-rates")
    held = await whole(visit, f"{API}/fx-rates/held", state="OPEN")
    can = may(visit.session, Permission.FX_WRITE)
    return visit.page("console/rates.html", found=found, held=held or (), can=can)


@post("/money/rates", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def set_rate(request: Req, room: GivenRoom) -> Page:
    """Set a rate."""
    return await perform(request, room, RATES, "set", f"{MONEY}/rates")


@post("/money/rates/{held_id:str}/{act:str}", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def decide_rate(
    request: Req, room: GivenRoom, held_id: FromPath[str], act: FromPath[str]
) -> Page:
    """Confirm or dismiss a rate that jumped."""
    return await perform(request, room, HELD, act, f"{MONEY}/rates", held_id)


@get("/money/drifts")
async def list_drifts(request: Req, room: GivenRoom) -> Page:
    """Where two books disagree, and how the last nights went."""
    visit = await room.visit(request)
    names = ("state", "day", "vendor_id")
    usual = {"state": "OPEN"}
    found = await listed(visit, f"{API}/reconciliation/drifts", names, usual=usual)
    runs = (await visit.get(f"{API}/reconciliation/runs", limit=10)).body
    return visit.page(
        "console/drifts.html",
        found=found,
        state=found.query.get("state", "OPEN"),
        runs=runs,
        can=may(visit.session, Permission.RECONCILIATION_EXPLAIN),
    )


@post("/money/drifts/{drift_id:str}/explain", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def explain_drift(request: Req, room: GivenRoom, drift_id: FromPath[str]) -> Page:
    """Say why two books disagree; nothing is repaired by it."""
    return await perform(request, room, DRIFTS, "explain", f"{MONEY}/drifts", drift_id)


PAGES = [show_owed, list_rates, set_rate, decide_rate, list_drifts, explain_drift]
