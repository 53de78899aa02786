"""A client's credentials and webhooks: made, rotated, and their secrets shown once."""

from typing import Any

from litestar import get, post
from litestar.params import FromPath

from rewards.clients.model import KEY_SCOPES
from rewards.console.acts import Act, perform
from rewards.console.listing import Sends, listed
from rewards.console.places import PREFIX, api, may
from rewards.infra.pages.caller import ApiRefused
from rewards.infra.pages.forms import FORM_BYTES_MAX
from rewards.infra.pages.given import begin_of, recovered
from rewards.infra.pages.routes import GivenRoom, Page, Req
from rewards.infra.pages.visit import explain
from rewards.staff.model import Permission
from rewards.webhooks.model import EventType

ISSUE = Sends(texts=("name", "reason"), ticks=("signing_required",))
WHY = Sends(texts=("reason",))
REVOKE = {"revoke": Act("POST", "/clients/{}/credentials/{}/revoke", "Revoked.", WHY)}
ENDPOINT = Sends(texts=("url", "name"))
HOOKS = {
    "test": Act("POST", "/clients/{}/webhooks/{}/test", "A test event is on its way.", None),
    "change": Act(
        "PATCH", "/clients/{}/webhooks/{}", "Saved.", Sends(texts=("status", "url", "name"))
    ),
    "delete": Act("DELETE", "/clients/{}/webhooks/{}", "Deleted.", None),
}
REDELIVER = {
    "redeliver": Act(
        "POST", "/clients/{}/webhooks/deliveries/{}/redeliver", "It is sent again.", None
    )
}
SECRETS = {
    "api_key": "API key",
    "api_secret": "API secret",
    "signing_secret": "Signing secret",
    "secret": "Signing secret of the webhook",
}


async def _show_once(
    request: Req, room: GivenRoom, path: str, sends: Sends, title: str, back: str, **more: Any
) -> Page:
    """Do what hands out a secret, and show it on a page that is kept nowhere."""
    visit, form = await room.receive(request)
    lists = {name: form.all(name) for name in more.get("lists", ()) if name in form}
    body = sends.body(form) | lists
    try:
        told = (await visit.send("POST", path, body)).body
    except ApiRefused as refused:
        if room.answers(refused):
            raise
        return visit.back(back, explain(refused), tone="bad")
    shown = {text: told[name] for name, text in SECRETS.items() if told.get(name)}
    return visit.page("console/shown-once.html", title=title, secrets=shown, back=back)


@get("/clients/{client_id:str}/credentials")
async def list_credentials(request: Req, room: GivenRoom, client_id: FromPath[str]) -> Page:
    """API keys; their secrets were shown when they were made."""
    visit = await room.visit(request)
    client = (await visit.get(api("/clients/{}", client_id))).body
    found = await listed(visit, api("/clients/{}/credentials", client_id))
    can = may(visit.session, Permission.CREDENTIALS_ISSUE)
    return visit.page(
        "console/client-credentials.html",
        client=client,
        found=found,
        scopes=sorted(KEY_SCOPES),
        can=can,
    )


@post("/clients/{client_id:str}/credentials", status_code=200, request_max_body_size=FORM_BYTES_MAX)
async def issue_credential(request: Req, room: GivenRoom, client_id: FromPath[str]) -> Page:
    """Make an API key and show its secrets this once."""
    back = f"{PREFIX}/clients/{client_id}/credentials"
    path = api("/clients/{}/credentials", client_id)
    title = "A new credential"
    return await _show_once(request, room, path, ISSUE, title, back, lists=("scopes",))


@post(
    "/clients/{client_id:str}/credentials/{key_id:str}/{act:str}",
    status_code=200,
    request_max_body_size=FORM_BYTES_MAX,
)
async def act_on_credential(
    request: Req,
    room: GivenRoom,
    client_id: FromPath[str],
    key_id: FromPath[str],
    act: FromPath[str],
) -> Page:
    """Revoke a key, or give it another signing secret."""
    back = f"{PREFIX}/clients/{client_id}/credentials"
    if act == "rotate":
        path = api("/clients/{}/credentials/{}/rotate-signing-secret", client_id, key_id)
        return await _show_once(request, room, path, WHY, "A new signing secret", back)
    return await perform(request, room, REVOKE, act, back, client_id, key_id)


@get("/clients/{client_id:str}/webhooks")
async def list_webhooks(request: Req, room: GivenRoom, client_id: FromPath[str]) -> Page:
    """Where the client is told of events."""
    visit = await room.visit(request)
    client = (await visit.get(api("/clients/{}", client_id))).body
    hooks = (await visit.get(api("/clients/{}/webhooks", client_id))).body
    return visit.page(
        "console/client-webhooks.html",
        client=client,
        hooks=hooks,
        events=[each for each in EventType if not each.startswith("webhook.")],
        can_issue=may(visit.session, Permission.CREDENTIALS_ISSUE),
    )


@post("/clients/{client_id:str}/webhooks", status_code=200, request_max_body_size=FORM_BYTES_MAX)
async def create_webhook(request: Req, room: GivenRoom, client_id: FromPath[str]) -> Page:
    """Make an endpoint and show its secret this once."""
    back = f"{PREFIX}/clients/{client_id}/webhooks"
    path = api("/clients/{}/webhooks", client_id)
    title = "A new webhook"
    return await _show_once(request, room, path, ENDPOINT, title, back, lists=("events",))


@get("/clients/{client_id:str}/webhooks/{hook_id:str}")
async def show_webhook(
    request: Req, room: GivenRoom, client_id: FromPath[str], hook_id: FromPath[str]
) -> Page:
    """One endpoint and what became of each delivery."""
    visit = await room.visit(request)
    client = (await visit.get(api("/clients/{}", client_id))).body
    hook = (await visit.get(api("/clients/{}/webhooks/{}", client_id, hook_id))).body
    path = api("/clients/{}/webhooks/{}/deliveries", client_id, hook_id)
    found = await listed(visit, path, ("status", "event"))
    return visit.page(
        "console/client-webhook.html",
        client=client,
        hook=hook,
        found=found,
        can_send=may(visit.session, Permission.WEBHOOKS_SEND),
        can_write=may(visit.session, Permission.WEBHOOKS_WRITE),
        can_issue=may(visit.session, Permission.CREDENTIALS_ISSUE),
    )


@get("/clients/{client_id:str}/deliveries/{delivery_id:str}")
async def show_delivery(
    request: Req, room: GivenRoom, client_id: FromPath[str], delivery_id: FromPath[str]
) -> Page:
    """One delivery: each attempt, what was answered, and what is sent."""
    visit = await room.visit(request)
    path = api("/clients/{}/webhooks/deliveries/{}", client_id, delivery_id)
    each = (await visit.get(path)).body
    can = may(visit.session, Permission.WEBHOOKS_SEND)
    return visit.page("console/client-delivery.html", each=each, client_id=client_id, can=can)


@post(
    "/clients/{client_id:str}/webhooks/{hook_id:str}/recover",
    status_code=303,
    request_max_body_size=FORM_BYTES_MAX,
)
async def recover(
    request: Req, room: GivenRoom, client_id: FromPath[str], hook_id: FromPath[str]
) -> Page:
    """Send again what did not get through since a day."""
    visit, form = await room.receive(request)
    back = f"{PREFIX}/clients/{client_id}/webhooks/{hook_id}"
    path = api("/clients/{}/webhooks/{}/recover", client_id, hook_id)
    try:
        done = (await visit.send("POST", path, {"since": begin_of(form.get("since"))})).body
    except ApiRefused as refused:
        if room.answers(refused):
            raise
        return visit.back(back, explain(refused), tone="bad")
    return visit.back(back, recovered(done))


@post(
    "/clients/{client_id:str}/webhooks/{hook_id:str}/{act:str}",
    status_code=200,
    request_max_body_size=FORM_BYTES_MAX,
)
async def act_on_webhook(
    request: Req,
    room: GivenRoom,
    client_id: FromPath[str],
    hook_id: FromPath[str],
    act: FromPath[str],
) -> Page:
    """One of HOOKS upon one endpoint, or another secret for it."""
    hooks = f"{PREFIX}/clients/{client_id}/webhooks"
    if act == "rotate":
        path = api("/clients/{}/webhooks/{}/rotate-secret", client_id, hook_id)
        sends = Sends(ticks=("revoke_previous",))
        return await _show_once(request, room, path, sends, "A new secret", f"{hooks}/{hook_id}")
    back = hooks if act == "delete" else f"{hooks}/{hook_id}"
    return await perform(request, room, HOOKS, act, back, client_id, hook_id)


@post(
    "/clients/{client_id:str}/deliveries/{delivery_id:str}/redeliver",
    status_code=303,
    request_max_body_size=FORM_BYTES_MAX,
)
async def redeliver(
    request: Req, room: GivenRoom, client_id: FromPath[str], delivery_id: FromPath[str]
) -> Page:
    """Send a delivery again."""
    back = f"{PREFIX}/clients/{client_id}/webhooks"
    return await perform(request, room, REDELIVER, "redeliver", back, client_id, delivery_id)


PAGES = [
    list_credentials,
    issue_credential,
    act_on_credential,
    list_webhooks,
    create_webhook,
    show_webhook,
    show_delivery,
    recover,
    act_on_webhook,
    redeliver,
]
