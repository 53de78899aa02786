"""Reports: ask for a file, watch it being made, take it along."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from litestar import get, post
from litestar.params import FromPath
from litestar.types import ASGIApp

from rewards.console.acts import Act, perform
from rewards.console.listing import Sends, listed, whole
from rewards.console.places import API, PREFIX, api, may
from rewards.console.watching import watch
from rewards.infra.pages.caller import ApiRefused
from rewards.infra.pages.forms import FORM_BYTES_MAX
from rewards.infra.pages.routes import GivenRoom, Page, Req
from rewards.infra.pages.sessions import Session
from rewards.infra.pages.showing import with_query
from rewards.infra.pages.visit import Visit, explain
from rewards.orders.model import Status
from rewards.reports.model import NEEDS, OPEN_MAX, OPEN_STATES, ReportKind
from rewards.staff.model import Permission

REPORTS = f"{PREFIX}/reports"
DAYS = ("from", "to")
# What each kind is narrowed by, as the API takes it.
FIELDS: Mapping[ReportKind, Sequence[str]] = MappingProxyType(
    {
        ReportKind.ORDERS: (*DAYS, "client_id", "status"),
        ReportKind.TRANSACTIONS: (*DAYS, "client_id"),
        ReportKind.REFUNDS: (*DAYS, "client_id"),
        ReportKind.STOCK_DEPTH: (),
        ReportKind.STOCK_MOVEMENTS: DAYS,
        ReportKind.DELIVERIES: (*DAYS, "client_id"),
        ReportKind.VENDOR_ORDERS: (*DAYS, "vendor_id"),
    }
)
ASKED = Sends(texts=(*DAYS, "status"), numbers=("client_id", "vendor_id"))
ACTS = {
    "cancel": Act("POST", "/reports/{}/cancel", "Cancelled; what was written is dropped.", None)
}
# Offered by name; whoever has more of them types an id.
NAMES_MAX = "100"


@get("/reports")
async def list_reports(request: Req, room: GivenRoom) -> Page:
    """The form of one kind, and what was asked for lately, newest first."""
    visit = await room.visit(request)
    kinds = offered(visit.session)
    kind = next((each for each in kinds if each == request.query_params.get("kind")), kinds[0])
    found = await listed(visit, f"{API}/reports")
    open_ones = [row for row in found.rows if row["state"] in OPEN_STATES]
    me = visit.session.facts.get("id", "")
    return visit.page(
        "console/reports.html",
        found=found,
        kinds=kinds,
        kind=kind,
        fields=FIELDS[kind],
        names=await _names(visit, kind),
        given=request.query_params,
        statuses=list(Status),
        me=me,
        full=sum(str(row["asked_by"]) == me for row in open_ones) >= OPEN_MAX,
        open_max=OPEN_MAX,
        open_states=OPEN_STATES,
        watch=watch(visit, under_way=bool(open_ones)),
        sees_trail=may(visit.session, Permission.AUDIT_READ),
    )


def offered(session: Session) -> list[ReportKind]:
    """The kinds that this person may see; all where that is none, for the API to refuse."""
    return [kind for kind in ReportKind if may(session, NEEDS[kind])] or list(ReportKind)


async def _names(visit: Visit, kind: ReportKind) -> Sequence[Any]:
    """Of whom a file may be; not read again while the page only looks how far one is."""
    if visit.request.headers.get("HX-Request"):
        return ()
    for field, path in (("client_id", "clients"), ("vendor_id", "vendors")):
        if field in FIELDS[kind]:
            return await whole(visit, f"{API}/{path}", limit=NAMES_MAX) or ()
    return ()


@post("/reports", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def ask_for_report(request: Req, room: GivenRoom) -> Page:
    """Have one made, and go on to its page; refused, back to the form with what was filled in."""
    visit, form = await room.receive(request)
    kind, asked = form.get("kind"), ASKED.body(form)
    try:
        body = {"kind": kind, "parameters": asked}
        made = (await visit.send("POST", f"{API}/reports", body)).body
    except ApiRefused as refused:
        if room.answers(refused):
            raise
        return visit.back(with_query(REPORTS, kind=kind, **asked), explain(refused), tone="bad")
    return visit.back(f"{REPORTS}/{made['report_id']}")


@get("/reports/{report_id:str}")
async def show_report(request: Req, room: GivenRoom, report_id: FromPath[str]) -> Page:
    """How far one is; done, the way to its file, and until when it is kept."""
    visit = await room.visit(request)
    report = (await visit.get(api("/reports/{}", report_id))).body
    return visit.page(
        "console/report.html",
        report=report,
        me=visit.session.facts.get("id", ""),
        open_states=OPEN_STATES,
        watch=watch(visit, under_way=report["state"] in OPEN_STATES),
    )


@get("/reports/{report_id:str}/file")
async def download_report(request: Req, room: GivenRoom, report_id: FromPath[str]) -> ASGIApp:
    """Its file, handed on as the API reads it."""
    visit = await room.visit(request)
    return visit.file(api("/reports/{}/file", report_id), back=f"{REPORTS}/{report_id}")


@post("/reports/{report_id:str}/{act:str}", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def act_on_report(
    request: Req, room: GivenRoom, report_id: FromPath[str], act: FromPath[str]
) -> Page:
    """One of ACTS upon one report."""
    return await perform(request, room, ACTS, act, REPORTS, report_id)


PAGES = [list_reports, ask_for_report, show_report, download_report, act_on_report]
