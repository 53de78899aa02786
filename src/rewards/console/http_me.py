"""Oneself: where one is signed in, second factor, password, and a proof of who sits there."""

from typing import Any
from urllib.parse import urlsplit

import segno
from litestar import get, post
from litestar.params import FromPath
from markupsafe import Markup

from rewards.console.acts import Act, perform
from rewards.console.listing import Sends
from rewards.console.places import API, ME
from rewards.infra.pages.caller import ApiRefused
from rewards.infra.pages.forms import FORM_BYTES_MAX
from rewards.infra.pages.routes import GivenRoom, Page, Req
from rewards.infra.pages.visit import Visit, explain

ACTS = {
    "password": Act(
        "POST",
        "/me/password",
        "Changed. Your other sessions have ended.",
        Sends(passwords=("old_password", "new_password")),
    ),
    "end-others": Act("POST", "/sessions/end-others", "Your other sessions have ended.", None),
    "remove-factor": Act(
        "POST",
        "/me/second-factor/remove",
        "The second factor is off.",
        Sends(texts=("code", "recovery_code"), passwords=("password",)),
    ),
}
ONE = {"end": Act("DELETE", "/sessions/{}", "That session has ended.", None)}
PROVE = Sends(texts=("code",), passwords=("password",))
AGAIN = "Thank you. Now do it again: for ten minutes nobody asks."


@get("/me")
async def show_me(request: Req, room: GivenRoom) -> Page:
    """Who one is, and where one is signed in."""
    visit = await room.visit(request)
    me = (await visit.get(f"{API}/me")).body
    # Who has to set up a second factor sees nothing else until it is on.
    sessions = () if me["second_factor_needed"] else (await visit.get(f"{API}/sessions")).body
    return visit.page("console/me.html", me=me, sessions=sessions)


@post("/me/{act:str}", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def act_on_me(request: Req, room: GivenRoom, act: FromPath[str]) -> Page:
    """One of ACTS upon oneself."""
    return await perform(request, room, ACTS, act, ME)


@post(
    "/me/sessions/{session_id:str}/{act:str}",
    status_code=303,
    request_max_body_size=FORM_BYTES_MAX,
)
async def end_session(
    request: Req, room: GivenRoom, session_id: FromPath[str], act: FromPath[str]
) -> Page:
    """End one of one's own sessions."""
    return await perform(request, room, ONE, act, ME, session_id)


@post("/me/second-factor", status_code=200, request_max_body_size=FORM_BYTES_MAX)
async def begin_factor(request: Req, room: GivenRoom) -> Page:
    """A secret for an authenticator, as a picture and to type in; it counts once confirmed."""
    visit, _ = await room.receive(request)
    return await _ask(visit, "/me/second-factor", None, _show_factor)


@post("/me/second-factor/confirm", status_code=200, request_max_body_size=FORM_BYTES_MAX)
async def confirm_factor(request: Req, room: GivenRoom) -> Page:
    """Switch it on with a code of it, and show the recovery codes this once."""
    visit, form = await room.receive(request)
    body = {"code": form.get("code").strip()}
    return await _ask(visit, "/me/second-factor/confirm", body, _show_codes)


async def _ask(visit: Visit, path: str, body: Any, show: Any) -> Page:
    try:
        told = (await visit.send("POST", API + path, body)).body
    except ApiRefused as refused:
        if visit.room.answers(refused):
            raise
        return visit.back(ME, explain(refused), tone="bad")
    page: Page = show(visit, told)
    return page


def _show_factor(visit: Visit, told: Any) -> Page:
    drawn = segno.make(told["uri"], error="m", micro=False)
    picture = drawn.svg_inline(border=2, omitsize=True, svgclass="qr", lineclass=None, dark="#111")
    labelled = picture.replace("<svg ", '<svg role="img" aria-label="QR code" ', 1)
    return visit.page(
        "console/second-factor.html",
        secret=told["secret"],
        picture=Markup(labelled),  # noqa: S704 - made here
    )


def _show_codes(visit: Visit, told: Any) -> Page:
    secrets = {f"Recovery code {n}": code for n, code in enumerate(told["recovery_codes"], 1)}
    return visit.page("console/shown-once.html", title="Second factor", secrets=secrets, back=ME)


def ask_proof(visit: Visit, _refused: ApiRefused) -> Page:
    """What hands out secrets asks first who sits there; then it is done again from its page."""
    came_from = urlsplit(visit.request.headers.get("Referer", "")).path
    return visit.page("console/prove.html", status=403, back=visit.room.own_path(came_from))


@post("/prove", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def prove(request: Req, room: GivenRoom) -> Page:
    """Show by password or code that one still sits there."""
    visit, form = await room.receive(request)
    back = room.own_path(form.get("back"))
    try:
        await visit.send("POST", f"{API}/me/prove", PROVE.body(form))
    except ApiRefused as refused:
        if refused.status == 401:
            raise
        values = {"back": back, "problem": explain(refused)}
        return visit.page("console/prove.html", status=403, **values)
    return visit.back(back, AGAIN)


def set_up_first(visit: Visit, _refused: ApiRefused) -> Page:
    """Where everybody needs a second factor, nothing is open before it is set up."""
    return visit.back(
        ME, "Set up your second factor first; then everything else opens.", tone="wait"
    )


PAGES = [show_me, act_on_me, end_session, begin_factor, confirm_factor, prove]
ANSWERS = {"PROOF_NEEDED": ask_proof, "SECOND_FACTOR_NEEDED": set_up_first}
