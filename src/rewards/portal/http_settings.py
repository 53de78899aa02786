"""Settings at the portal: who is mailed, below which balance, and one's own password."""

from typing import Any

from litestar import get, post

from rewards.clients.model import Scope
from rewards.infra.pages.forms import FORM_BYTES_MAX
from rewards.infra.pages.routes import GivenRoom, Page, Req
from rewards.notices.model import NoticeKind
from rewards.portal.places import PREFIX, api, may

BACK = f"{PREFIX}/settings"
WALLET = "low-"


@get("/settings")
async def show_settings(request: Req, room: GivenRoom) -> Page:
    """Who is mailed of what."""
    visit = await room.visit(request)
    chosen = (await visit.get(api("/notice-settings"))).body
    can = may(visit.session, Scope.SETTINGS_WRITE)
    return visit.page("portal/settings.html", chosen=chosen, can=can, kinds=list(NoticeKind))


@post("/settings", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def change_settings(request: Req, room: GivenRoom) -> Page:
    """Set them whole: ticked kinds are mailed, the others muted."""
    visit, form = await room.receive(request)
    shown = (await visit.get(api("/notice-settings"))).body
    told = set(form.all("told"))
    wallets: list[dict[str, Any]] = []
    for wallet in shown["wallets"]:
        number = wallet["wallet_id"]
        if f"{WALLET}{number}" in form:
            low = form.get(f"{WALLET}{number}").strip()
            wallets.append({"wallet_id": number, "low_balance": low or None})
    asked = {
        "contacts": [line.strip() for line in form.get("contacts").splitlines() if line.strip()],
        "muted": [kind for kind in NoticeKind if kind not in told],
        "wallets": wallets,
    }
    said = "The settings are kept."
    return await visit.act("PUT", api("/notice-settings"), asked, back=BACK, done=said)


@post("/settings/password", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def change_password(request: Req, room: GivenRoom) -> Page:
    """One's own; other sessions end."""
    visit, form = await room.receive(request)
    if form.get("new_password") != form.get("again"):
        return visit.back(BACK, "The new password was not the same twice.", tone="bad")
    asked = {name: form.get(name) for name in ("current_password", "new_password")}
    said = "Your password is changed. Your other sessions have ended."
    return await visit.act("POST", api("/me/password"), asked, back=BACK, done=said)


PAGES = [show_settings, change_settings, change_password]
