"""How a client's mail looks, in which language, and who of it gets which."""

from typing import Any

from litestar import get, post
from litestar.params import FromPath

from rewards.console.listing import Sends
from rewards.console.places import PREFIX, api, may
from rewards.infra.pages.forms import FORM_BYTES_MAX
from rewards.infra.pages.routes import GivenRoom, Page, Req
from rewards.notices.model import NoticeKind
from rewards.staff.model import Permission

TEXTS = ("brand_name", "accent", "logo_url", "sender_name", "sender_address", "reply_to", "footer")
CHOSEN = Sends(texts=(*TEXTS, "language"), lines=("contacts",))


@get("/clients/{client_id:str}/mail")
async def show_mail(request: Req, room: GivenRoom, client_id: FromPath[str]) -> Page:
    """The settings as they are."""
    visit = await room.visit(request)
    client = (await visit.get(api("/clients/{}", client_id))).body
    chosen = (await visit.get(api("/clients/{}/notice-settings", client_id))).body
    can = may(visit.session, Permission.CLIENTS_WRITE)
    return visit.page(
        "console/client-mail.html", client=client, chosen=chosen, kinds=list(NoticeKind), can=can
    )


@post("/clients/{client_id:str}/mail", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def change_mail(request: Req, room: GivenRoom, client_id: FromPath[str]) -> Page:
    """Set them whole: ticked kinds are sent, the others muted; an own picture stays until it is
    taken away, or another is linked."""
    visit, form = await room.receive(request)
    path = api("/clients/{}/notice-settings", client_id)
    told = set(form.all("told"))
    body: dict[str, Any] = CHOSEN.body(form)
    body["muted"] = [kind for kind in NoticeKind if kind not in told]
    shown = (await visit.get(path)).body
    if shown["logo"] and form.get("no_logo") != "true" and "logo_url" not in body:
        body["logo"] = shown["logo"]
    back = f"{PREFIX}/clients/{client_id}/mail"
    said = "Kept. It counts for every mail from now on."
    return await visit.act("PUT", path, body, back=back, done=said)


PAGES = [show_mail, change_mail]
