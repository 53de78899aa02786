"""Staff sign in to the console, and out of it."""

from collections.abc import Mapping
from datetime import datetime

from litestar import post

from rewards.infra.pages.caller import ApiRefused
from rewards.infra.pages.entry import ask_again, show_sign_in
from rewards.infra.pages.forms import FORM_BYTES_MAX
from rewards.infra.pages.routes import GivenRoom, Page, Req
from rewards.infra.pages.visit import Visit, explain

LOGIN = "/admin/auth/login"
# Six digits, and whatever people put between them; a recovery code is longer.
CODE_CHARS_MAX = 8
TOO_LATE = {"code": "STEP_OVER", "message": "That took too long. Begin again"}


@post("/sign-in", status_code=200, request_max_body_size=FORM_BYTES_MAX)
async def sign_in(request: Req, room: GivenRoom) -> Page:
    """Ask the API for a token, and begin a session of which the browser had nothing before.

    Where a second factor is on, the right password opens a second step that asks for its code.
    """
    visit, form = await room.receive(request, stranger=True)
    following = room.own_path(form.get("next"))
    carried = room.sessions.carried(visit.session, form.get("step"))
    if form.get("step") and carried is None:
        return ask_again(visit, following, "", ApiRefused(401, TOO_LATE, {}))
    given = carried or {"username": form.get("username"), "password": form.get("password")}
    code = form.get("code").strip()
    proof = {"recovery_code" if len(code) > CODE_CHARS_MAX else "code": code} if code else {}
    try:
        told = (await visit.caller.ask("POST", LOGIN, body={**given, **proof})).body
    except ApiRefused as refused:
        # Whose password was right is asked again for the code alone.
        if refused.code == "SECOND_FACTOR_REQUIRED" or (
            carried is not None and refused.code != "UNAUTHORIZED"
        ):
            return _second_step(visit, following, given, refused)
        return ask_again(visit, following, given["username"], refused)
    until = datetime.fromisoformat(told["access_expires_at"])
    name = given["username"].strip()
    facts = {"name": name, "role": told["role"], "id": str(told["staff_id"])}
    return room.enter(room.sessions.signed_in(told["access_token"], until, facts), following)


def _second_step(
    visit: Visit, following: str, given: Mapping[str, str], refused: ApiRefused
) -> Page:
    """Name and password go on sealed: nobody types them twice, and no page has them in clear."""
    step = visit.room.sessions.carry(visit.session, given)
    problem = "" if refused.code == "SECOND_FACTOR_REQUIRED" else explain(refused)
    values = {"following": following, "step": step, "problem": problem}
    return visit.page("console/sign-in-code.html", status=refused.status, **values)


@post("/sign-out", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def sign_out(request: Req, room: GivenRoom) -> Page:
    """End the API's session and take it from the browser.

    Nobody is told that they are signed out while the API, being away, still has their session.
    """
    visit, _ = await room.receive(request)
    try:
        await visit.send("POST", "/admin/auth/logout")
    except ApiRefused as refused:
        if refused.status != 401:
            raise
    return room.leave("You are signed out.")


PAGES = [show_sign_in, sign_in, sign_out]
