"""A client's people sign in to the portal, and out of it."""

from dataclasses import replace
from typing import TypeAlias, cast

import msgspec
from litestar import post

from rewards.infra.pages.caller import ApiRefused
from rewards.infra.pages.entry import ask_again, show_sign_in
from rewards.infra.pages.forms import FORM_BYTES_MAX
from rewards.infra.pages.routes import GivenRoom, Page, Req
from rewards.portal.places import api
from rewards.portal.room import Portal
from rewards.portal.service import Tokens

GivenPortal: TypeAlias = GivenRoom


def portal_of(room: GivenRoom) -> Portal:
    return cast("Portal", room)


@post("/sign-in", status_code=200, request_max_body_size=FORM_BYTES_MAX)
async def sign_in(request: Req, room: GivenRoom) -> Page:
    """Ask the API for tokens, keep them here, and give the browser a name of them."""
    visit, form = await room.receive(request, stranger=True)
    following = room.own_path(form.get("next"))
    name = form.get("username").strip()
    asked = {"username": name, "password": form.get("password")}
    caller = replace(visit.caller, token="")
    try:
        answer = await caller.ask("POST", "/auth/login", body=asked)
        tokens = msgspec.json.decode(answer.raw, type=Tokens)
        me = (await replace(caller, token=tokens.access_token).ask("GET", api("/me"))).body
    except ApiRefused as refused:
        return ask_again(visit, following, name, refused)
    kept = await portal_of(room).kept.keep(tokens)
    facts = {
        "name": me["member"]["username"],
        "role": me["member"]["role"],
        "company": me["client"]["name"],
        "id": str(me["member"]["id"]),
    }
    session = room.sessions.signed_in(kept.key, kept.expires_at, facts)
    return room.enter(session, following)


@post("/sign-out", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def sign_out(request: Req, room: GivenRoom) -> Page:
    """End the API's session and take it from the browser.

    Nobody is told that they are signed out while the API, being away, still has their session.
    """
    visit, _ = await room.receive(request)
    try:
        await visit.send("POST", api("/me/logout"))
    except ApiRefused as refused:
        if refused.status != 401:
            raise
    await portal_of(room).kept.end(visit.session.token)
    return room.leave("You are signed out.")


PAGES = [show_sign_in, sign_in, sign_out]
