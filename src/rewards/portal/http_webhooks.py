"""A company's webhooks at the portal: made, tested, changed, and what became of each delivery."""

from typing import Any

from litestar import get, post
from litestar.params import FromPath

from rewards.clients.model import Scope
from rewards.infra.pages.caller import ApiRefused
from rewards.infra.pages.forms import FORM_BYTES_MAX, Form
from rewards.infra.pages.given import begin_of, recovered
from rewards.infra.pages.routes import GivenRoom, Page, Req
from rewards.infra.pages.visit import explain
from rewards.portal.listing import listed, query_of
from rewards.portal.places import PREFIX, api, may
from rewards.webhooks.model import DeliveryStatus
from rewards.webhooks.model_endpoints import EVERY_EVENT, SUBSCRIBABLE

BACK = f"{PREFIX}/webhooks"
DELIVERIES_A_PAGE = 50
FILTERS = ("status", "event", "from", "to")


@get("/webhooks")
async def list_webhooks(request: Req, room: GivenRoom) -> Page:
    """Every endpoint and how it fares."""
    visit = await room.visit(request)
    hooks = (await visit.get(api("/webhooks"), limit=100)).body
    can = may(visit.session, Scope.WEBHOOKS_WRITE)
    return visit.page("portal/webhooks.html", hooks=hooks, can=can, events=_events())


def _events() -> list[str]:
    return [EVERY_EVENT, *sorted(map(str, SUBSCRIBABLE))]


def _asked(form: Form) -> dict[str, Any]:
    return {
        "url": form.get("url").strip(),
        "name": form.get("name").strip(),
        "events": form.all("events") or [EVERY_EVENT],
    }


@post("/webhooks", status_code=200, request_max_body_size=FORM_BYTES_MAX)
async def make_webhook(request: Req, room: GivenRoom) -> Page:
    """Make one and show its secret."""
    visit, form = await room.receive(request)
    try:
        made = (await visit.send("POST", api("/webhooks"), _asked(form))).body
    except ApiRefused as refused:
        if visit.room.answers(refused):
            raise
        return visit.back(BACK, explain(refused), tone="bad")
    return visit.page(
        "portal/shown-once.html",
        title="A new webhook",
        secrets={"Signing secret": made["secret"]},
        done=f"{BACK}/{made['id']}",
    )


@get("/webhooks/{hook_id:str}")
async def show_webhook(request: Req, room: GivenRoom, hook_id: FromPath[str]) -> Page:
    """One endpoint and its deliveries, newest first."""
    visit = await room.visit(request)
    hook = (await visit.get(api("/webhooks/{}", hook_id))).body
    path = api("/webhooks/{}/deliveries", hook_id)
    found = await listed(visit, path, DELIVERIES_A_PAGE, query_of(visit, FILTERS))
    return visit.page(
        "portal/webhook.html",
        hook=hook,
        **found,
        statuses=list(DeliveryStatus),
        events=_events(),
        can=may(visit.session, Scope.WEBHOOKS_WRITE),
    )


@get("/webhooks/{hook_id:str}/deliveries/{delivery_id:str}")
async def show_delivery(
    request: Req, room: GivenRoom, hook_id: FromPath[str], delivery_id: FromPath[str]
) -> Page:
    """One delivery: each attempt, what was answered, and what is sent."""
    visit = await room.visit(request)
    api("/{}", hook_id)
    each = (await visit.get(api("/webhooks/deliveries/{}", delivery_id))).body
    can = may(visit.session, Scope.WEBHOOKS_WRITE)
    return visit.page("portal/delivery.html", each=each, can=can)


@post("/webhooks/{hook_id:str}", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def change_webhook(request: Req, room: GivenRoom, hook_id: FromPath[str]) -> Page:
    """Another URL, another name, other events."""
    visit, form = await room.receive(request)
    back, asked = f"{BACK}/{hook_id}", _asked(form)
    return await visit.act(
        "PATCH", api("/webhooks/{}", hook_id), asked, back=back, done="It counts from now on."
    )


@post("/webhooks/{hook_id:str}/recover", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def recover_webhook(request: Req, room: GivenRoom, hook_id: FromPath[str]) -> Page:
    """Send again what did not get through since a day."""
    visit, form = await room.receive(request)
    path, back = api("/webhooks/{}/recover", hook_id), f"{BACK}/{hook_id}"
    try:
        done = (await visit.send("POST", path, {"since": begin_of(form.get("since"))})).body
    except ApiRefused as refused:
        if visit.room.answers(refused):
            raise
        return visit.back(back, explain(refused), tone="bad")
    return visit.back(back, recovered(done))


@post("/webhooks/{hook_id:str}/test", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def test_webhook(request: Req, room: GivenRoom, hook_id: FromPath[str]) -> Page:
    """Send it an event that says nothing."""
    visit, _ = await room.receive(request)
    path = api("/webhooks/{}/test", hook_id)
    said = "A test is on its way; it is in the list below."
    return await visit.act("POST", path, back=f"{BACK}/{hook_id}", done=said)


@post("/webhooks/{hook_id:str}/status", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def switch_webhook(request: Req, room: GivenRoom, hook_id: FromPath[str]) -> Page:
    """Switch it on or off."""
    visit, form = await room.receive(request)
    path, body = api("/webhooks/{}", hook_id), {"status": form.get("status")}
    return await visit.act("PATCH", path, body, back=f"{BACK}/{hook_id}", done="It is switched.")


@post("/webhooks/{hook_id:str}/rotate", status_code=200, request_max_body_size=FORM_BYTES_MAX)
async def rotate_webhook(request: Req, room: GivenRoom, hook_id: FromPath[str]) -> Page:
    """Another secret; the one before signs as well for a day, unless it leaked."""
    visit, form = await room.receive(request)
    path, back = api("/webhooks/{}/rotate-secret", hook_id), f"{BACK}/{hook_id}"
    body = {"revoke_previous": form.get("revoke_previous") == "true"}
    try:
        made = (await visit.send("POST", path, body)).body
    except ApiRefused as refused:
        if visit.room.answers(refused):
            raise
        return visit.back(back, explain(refused), tone="bad")
    secrets = {"Signing secret": made["secret"]}
    return visit.page("portal/shown-once.html", title="A new secret", secrets=secrets, done=back)


@post("/webhooks/{hook_id:str}/delete", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def delete_webhook(request: Req, room: GivenRoom, hook_id: FromPath[str]) -> Page:
    """End it for good."""
    visit, _ = await room.receive(request)
    path = api("/webhooks/{}", hook_id)
    return await visit.act("DELETE", path, back=BACK, done="The webhook is deleted.")


@post(
    "/webhooks/{hook_id:str}/deliveries/{delivery_id:str}/redeliver",
    status_code=303,
    request_max_body_size=FORM_BYTES_MAX,
)
async def redeliver(
    request: Req, room: GivenRoom, hook_id: FromPath[str], delivery_id: FromPath[str]
) -> Page:
    """Send one event again."""
    visit, _ = await room.receive(request)
    path, back = api("/webhooks/deliveries/{}/redeliver", delivery_id), f"{BACK}/{hook_id}"
    api("/{}", hook_id)
    return await visit.act("POST", path, back=back, done="It is sent again.")


PAGES = [
    list_webhooks,
    make_webhook,
    show_webhook,
    show_delivery,
    change_webhook,
    recover_webhook,
    test_webhook,
    switch_webhook,
    rotate_webhook,
    delete_webhook,
    redeliver,
]
