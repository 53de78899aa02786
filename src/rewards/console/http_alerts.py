"""Alerts: what is wrong now and what was, what to do about it, and who looks after it."""

from collections.abc import Mapping
from types import MappingProxyType

from litestar import get, post
from litestar.params import FromPath

from rewards.alerts.model import AlertKind, AlertState
from rewards.console.acts import Act, perform
from rewards.console.leads import alert_lead
from rewards.console.listing import ANY, Sends, listed
from rewards.console.places import API, PREFIX, may
from rewards.infra.pages.forms import FORM_BYTES_MAX
from rewards.infra.pages.routes import GivenRoom, Page, Req
from rewards.staff.model import Permission

ALERTS = f"{PREFIX}/alerts"
USUAL = {"state": AlertState.OPEN}
ALERTS_A_PAGE = 50
ACTS = {
    "acknowledge": Act(
        *("POST", "/alerts/{}/acknowledge"),
        "Acknowledged. It stays open until what it is about is well again.",
        Sends(texts=("note",)),
    )
}
# What docs/operations/monitoring.md says at length.
ADVICE: Mapping[str, str] = MappingProxyType(
    {
        AlertKind.ORDERS_STUCK: "Open what waits: retry after a pump, buy from a vendor, or cancel."
        " Orders that are processing wait for a worker.",
        AlertKind.POOL_COVER_LOW: "Import stock, or order it from a vendor; then pump.",
        AlertKind.VENDOR_BALANCE_LOW: "Top it up with the vendor. It is read every ten minutes.",
        AlertKind.ENDPOINT_FAILING: "Look at its deliveries and call the client.",
        AlertKind.ENDPOINT_DISABLED: "Once the client repaired it, enable it and recover what was"
        " missed.",
        AlertKind.DRIFT_FOUND: "Find out why the two books differ, and put it down for each.",
        AlertKind.WORKER_SILENT: "Start a worker: meanwhile nothing is filled, sent or mailed.",
        AlertKind.JOBS_LATE: "Start another worker, or see in the log of the workers what fails.",
        AlertKind.KEY_NEAR_END: "Rotate it; a client's signing secret together with the client.",
        AlertKind.SEALING_BEHIND: "Start a worker, or end a long transaction on the database.",
    }
)
assert ADVICE.keys() == set(AlertKind), "every kind says what to do"


@get("/alerts")
async def list_alerts(request: Req, room: GivenRoom) -> Page:
    """What is wrong now; on demand what was, newest first."""
    visit = await room.visit(request)
    found = await listed(visit, f"{API}/alerts", ("state", "kind"), size=ALERTS_A_PAGE, usual=USUAL)
    return visit.page(
        "console/alerts.html",
        found=found,
        state=found.query.get("state", AlertState.OPEN).upper(),
        leads=[alert_lead(alert) for alert in found.rows],
        advice=ADVICE,
        states=[*AlertState, ANY],
        kinds=list(AlertKind),
        can=may(visit.session, Permission.ALERTS_ACKNOWLEDGE),
    )


@post("/alerts/{alert_id:str}/{act:str}", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def act_on_alert(
    request: Req, room: GivenRoom, alert_id: FromPath[str], act: FromPath[str]
) -> Page:
    """Say that somebody looks after it."""
    return await perform(request, room, ACTS, act, ALERTS, alert_id)


PAGES = [list_alerts, act_on_alert]
