"""A vendor's account: which adapters there are, a new one, and its settings and secrets."""

from collections.abc import Mapping
from typing import Any

from litestar import get, post
from litestar.params import FromPath

from rewards.console.places import API, PREFIX, api, check_may
from rewards.core.errors import NotFound
from rewards.infra.pages.caller import ApiRefused
from rewards.infra.pages.forms import FORM_BYTES_MAX, Form
from rewards.infra.pages.routes import GivenRoom, Page, Req
from rewards.infra.pages.visit import Visit, explain
from rewards.staff.model import Permission

VENDORS = f"{PREFIX}/vendors"
# What the fields of an adapter are called in a form, apart from our own.
CONFIG, SECRET = "config.", "secret."


@get("/vendors/new")
async def choose_adapter(request: Req, room: GivenRoom) -> Page:
    """The kinds of vendors there are, and what each can do."""
    visit = await room.visit(request)
    check_may(visit.session, Permission.VENDORS_SECRETS)
    kinds = (await visit.get(f"{API}/vendor-adapters")).body
    return visit.page("console/vendor-adapters.html", kinds=kinds)


@get("/vendors/new/{adapter:str}")
async def ask_for_vendor(request: Req, room: GivenRoom, adapter: FromPath[str]) -> Page:
    """The form that opens an account with one kind."""
    visit = await room.visit(request)
    check_may(visit.session, Permission.VENDORS_SECRETS)
    kind = await _kind(visit, adapter)
    return visit.page("console/vendor-new.html", kind=kind, given=Form([]), problem="")


@post("/vendors/new/{adapter:str}", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def open_vendor(request: Req, room: GivenRoom, adapter: FromPath[str]) -> Page:
    """Open the account. Refused, the form comes back as it was filled in, but for its secrets."""
    visit, form = await room.receive(request)
    kind = await _kind(visit, adapter)
    body = {
        "name": form.get("name").strip(),
        "adapter": adapter,
        "config": _given(form, kind["config"], CONFIG),
        "secrets": _given(form, kind["secrets"], SECRET),
    }
    try:
        made = (await visit.send("POST", f"{API}/vendors", body)).body
    except ApiRefused as refused:
        if room.answers(refused) or refused.status == 403:
            raise
        values = {"kind": kind, "given": form, "problem": explain(refused)}
        return visit.page("console/vendor-new.html", status=400, **values)
    told = "Opened. Check the connection, have its catalogue read, then map what it sells."
    return visit.back(f"{VENDORS}/{made['id']}", told)


@get("/vendors/{vendor_id:str}/settings")
async def show_settings(request: Req, room: GivenRoom, vendor_id: FromPath[str]) -> Page:
    """The form that changes settings, and gives secrets anew."""
    visit = await room.visit(request)
    check_may(visit.session, Permission.VENDORS_SECRETS)
    vendor = (await visit.get(api("/vendors/{}", vendor_id))).body
    kind = await _kind(visit, vendor["adapter"])
    return visit.page("console/vendor-settings.html", vendor=vendor, kind=kind)


@post("/vendors/{vendor_id:str}/settings", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def change_settings(request: Req, room: GivenRoom, vendor_id: FromPath[str]) -> Page:
    """Change the settings; one that is empty goes back to its default, a secret stays as it is."""
    visit, form = await room.receive(request)
    vendor = (await visit.get(api("/vendors/{}", vendor_id))).body
    kind = await _kind(visit, vendor["adapter"])
    config: dict[str, Any] = dict.fromkeys(each["name"] for each in kind["config"])
    body = {
        "config": config | _given(form, kind["config"], CONFIG),
        "secrets": _given(form, kind["secrets"], SECRET),
        **form.chosen("reason"),
    }
    back, done = f"{VENDORS}/{vendor_id}/settings", "Saved; it counts within a second."
    return await visit.act("PATCH", api("/vendors/{}", vendor_id), body, back=back, done=done)


async def _kind(visit: Visit, adapter: str) -> Any:
    for kind in (await visit.get(f"{API}/vendor-adapters")).body:
        if kind["name"] == adapter:
            return kind
    raise NotFound


def _given(form: Form, fields: list[Mapping[str, Any]], prefix: str) -> dict[str, str]:
    """What was filled in of these fields, by their own names."""
    given = form.chosen(*(prefix + each["name"] for each in fields))
    return {name.removeprefix(prefix): value for name, value in given.items()}


PAGES = [choose_adapter, ask_for_vendor, open_vendor, show_settings, change_settings]
