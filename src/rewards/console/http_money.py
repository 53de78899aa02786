"""Money: what a day moved and left open, refunds owed, statements, rates, books that differ."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from litestar import get, post
from litestar.params import FromPath
from litestar.types import ASGIApp

from rewards.console.acts import Act, perform
from rewards.console.listing import Sends, listed, whole
from rewards.console.places import API, PREFIX, may
from rewards.infra.csvtext import CSV
from rewards.infra.http import JSON
from rewards.infra.pages.forms import FORM_BYTES_MAX
from rewards.infra.pages.routes import GivenRoom, Page, Req
from rewards.staff.model import Permission
from rewards.staff.model_approvals import ApprovalKind
from rewards.wallets.model import SystemAccount

MONEY = f"{PREFIX}/money"
STATEMENTS = f"{MONEY}/statements"
A_DAY = timedelta(days=1)
# Of what is open so many are counted.
COUNT_MAX = 50
NAMES_MAX = "100"
OF_MONEY = frozenset({ApprovalKind.TOPUP, ApprovalKind.ADJUSTMENT, ApprovalKind.CREDIT_LIMIT})
FORMS = {"json": JSON, "csv": CSV}
WHOSE = ("from", "to", "client", "vendor")
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


@dataclass(frozen=True, slots=True)
class Moved:
    """What a day moved in one currency, none below 0; `net`: by how much clients hold more."""

    currency: str
    topped_up: Decimal
    given: Decimal
    refunded: Decimal
    ordered: Decimal
    taken: Decimal

    @property
    def net(self) -> Decimal:
        return self.topped_up + self.given + self.refunded - self.ordered - self.taken


@get("/money")
async def show_day(request: Req, room: GivenRoom) -> Page:
    """A day: what came in and went out in each currency, and what is open before it is closed."""
    visit = await room.visit(request)
    today = room.today()
    day = _day(request.query_params.get("day", "")) or today
    flows = (await visit.get(f"{API}/ledger/accounts", **{"from": day.isoformat()})).body
    owed = (await visit.get(f"{API}/refunds-owed", limit=COUNT_MAX)).body
    low = (await visit.get(f"{API}/wallets", low="true", limit=COUNT_MAX)).body
    asked = await whole(visit, f"{API}/approvals", state="REQUESTED", limit="500")
    runs = await whole(visit, f"{API}/reconciliation/runs", day=day.isoformat())
    return visit.page(
        "console/money.html",
        day=day,
        today=today,
        before=day - A_DAY,
        after=day + A_DAY if day < today else None,
        moved=moved(flows),
        open_max=COUNT_MAX,
        owed=len(owed),
        low=len(low),
        waiting=sum(each["kind"] in OF_MONEY for each in asked or ()),
        runs=runs or (),
        drifts=sum(run["drifts"] for run in runs or ()),
    )


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def moved(flows: Iterable[Mapping[str, Any]]) -> Sequence[Moved]:
    """What went through our accounts, as what clients had of it; by currency."""
    sums: dict[str, dict[str, tuple[Decimal, Decimal]]] = {}
    for flow in flows:
        both = (Decimal(flow["came_in"]), Decimal(flow["went_out"]))
        sums.setdefault(flow["currency"], {})[flow["account"]] = both
    nothing = (Decimal(0), Decimal(0))
    found = []
    for currency, accounts in sorted(sums.items()):
        ordered, refunded = accounts.get(SystemAccount.SALES, nothing)
        _, topped_up = accounts.get(SystemAccount.FUNDING, nothing)
        taken, given = accounts.get(SystemAccount.ADJUSTMENTS, nothing)
        found.append(Moved(currency, topped_up, given, refunded, ordered, taken))
    return found


@get("/money/owed")
async def list_owed(request: Req, room: GivenRoom) -> Page:
    """Refunds that could not be booked yet, and what stands in the way of each."""
    visit = await room.visit(request)
    found = await listed(visit, f"{API}/refunds-owed")
    can = may(visit.session, Permission.ORDERS_REFUND)
    return visit.page("console/owed.html", found=found, can=can)


@get("/money/statements")
async def choose_statement(request: Req, room: GivenRoom) -> Page:
    """The form for a signed statement, and how anybody checks one."""
    visit = await room.visit(request)
    yesterday = room.today() - A_DAY
    return visit.page(
        "console/statements.html",
        clients=await whole(visit, f"{API}/clients", limit=NAMES_MAX) or (),
        vendors=await whole(visit, f"{API}/vendors", limit=NAMES_MAX) or (),
        given=request.query_params,
        yesterday=yesterday,
    )


@get("/money/statements/file")
async def download_statement(request: Req, room: GivenRoom) -> ASGIApp:
    """A signed statement, as JSON or CSV; refused, back to the form."""
    visit = await room.visit(request)
    accept = FORMS.get(request.query_params.get("form", ""), JSON)
    asked = {name: request.query_params.get(name, "").strip() for name in WHOSE}
    back = room.own_path(request.query_params.get("back") or STATEMENTS)
    return visit.file(f"{API}/statements", back=back, accept=accept, **asked)


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


PAGES = [
    show_day,
    list_owed,
    choose_statement,
    download_statement,
    list_rates,
    set_rate,
    decide_rate,
    list_drifts,
    explain_drift,
]
