"""A company's API keys at the portal: made, rotated and ended, their secrets shown once."""

from typing import Any

from litestar import get, post
from litestar.params import FromPath

from rewards.clients.model import KEY_SCOPES, Scope
from rewards.clients.model_members import ROLE_SCOPES, MemberRole
from rewards.infra.pages.caller import ApiRefused
from rewards.infra.pages.forms import FORM_BYTES_MAX
from rewards.infra.pages.routes import GivenRoom, Page, Req
from rewards.infra.pages.visit import Visit, explain
from rewards.portal.places import PREFIX, api, may

BACK = f"{PREFIX}/keys"


@get("/keys")
async def list_keys(request: Req, room: GivenRoom) -> Page:
    """Every key that is valid, and after them those that were revoked last."""
    visit = await room.visit(request)
    keys = (await visit.get(api("/credentials"))).body
    keys.sort(key=lambda key: (key["revoked_at"] is not None, -key["id"]))
    role = MemberRole(visit.session.facts["role"])
    return visit.page(
        "portal/keys.html",
        keys=keys,
        can=may(visit.session, Scope.CREDENTIALS_WRITE),
        scopes=sorted(KEY_SCOPES & ROLE_SCOPES[role]),
    )


@post("/keys", status_code=200, request_max_body_size=FORM_BYTES_MAX)
async def make_key(request: Req, room: GivenRoom) -> Page:
    """Make one and show its secrets."""
    visit, form = await room.receive(request)
    asked: dict[str, Any] = {
        "name": form.get("name").strip(),
        "scopes": form.all("scopes"),
        "signing_required": form.get("signing_required") == "true",
        "current_password": form.get("current_password"),
    }
    return await _shown(visit, "POST", api("/credentials"), asked, "A new API key")


@post("/keys/{key_id:str}/rotate", status_code=200, request_max_body_size=FORM_BYTES_MAX)
async def rotate_key(request: Req, room: GivenRoom, key_id: FromPath[str]) -> Page:
    """Another signing secret; shown."""
    visit, form = await room.receive(request)
    path = api("/credentials/{}/rotate-signing-secret", key_id)
    body = {"current_password": form.get("current_password")}
    return await _shown(visit, "POST", path, body, "A new signing secret")


@post("/keys/{key_id:str}/revoke", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def revoke_key(request: Req, room: GivenRoom, key_id: FromPath[str]) -> Page:
    """End it."""
    visit, form = await room.receive(request)
    path = api("/credentials/{}/revoke", key_id)
    body = {"current_password": form.get("current_password")}
    return await visit.act("POST", path, body, back=BACK, done="The key is revoked.")


SECRETS = {"api_key": "API key", "api_secret": "API secret", "signing_secret": "Signing secret"}


async def _shown(visit: Visit, method: str, path: str, body: object, title: str) -> Page:
    try:
        made = (await visit.send(method, path, body)).body
    except ApiRefused as refused:
        if visit.room.answers(refused):
            raise
        return visit.back(BACK, explain(refused), tone="bad")
    secrets = {text: made[name] for name, text in SECRETS.items() if name in made}
    return visit.page("portal/shown-once.html", title=title, secrets=secrets, done=BACK)


PAGES = [list_keys, make_key, rotate_key, revoke_key]
