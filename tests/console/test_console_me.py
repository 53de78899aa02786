"""Oneself in the console: a second factor from set-up to sign-in, sessions, a proof asked for."""

import base64
import re
from datetime import timedelta

from rewards.staff.model import Role
from rewards.staff.totp import code_of, step_at
from tests.console.desk import PASSWORD, Desk, Visitor


async def test_a_second_factor_from_set_up_to_sign_in(desk: Desk) -> None:
    visitor = await desk.at(Role.ADMIN)
    recovery = await set_up(desk, visitor)
    other = desk.visitor()
    page = await other.sign_in(desk.staff[Role.ADMIN].username)
    assert page.status == 401
    assert "Second factor" in page.said
    assert PASSWORD not in page.text
    step = re.search(r'name="step" value="([^"]+)"', page.text)
    assert step
    fields = {"csrf": page.csrf, "step": step[1], "next": "/console/me"}
    for code, said in (
        ("ABCDEFGHIJKLMNOP", "The code is wrong"),
        # Who mistypes it is asked for the code again, not for the name and the password.
        ("12345", "Invalid Code"),
    ):
        page = await other.post("/console/sign-in", fields | {"code": code})
        assert page.status in (400, 401)
        assert said in page.said
        assert "Code of your authenticator" in page.said
    page = await other.post("/console/sign-in", fields | {"code": recovery})
    assert page.status == 200, page.said
    assert page.url == f"{desk.url}/console/me"
    # A step of one browser is worth nothing in another.
    third = desk.visitor()
    page = await third.get("/console/sign-in")
    page = await third.post("/console/sign-in", fields | {"csrf": page.csrf, "code": recovery})
    assert page.status == 401
    assert "Begin again" in page.said


async def set_up(desk: Desk, visitor: Visitor) -> str:
    """A second factor for whoever visits; the first of its recovery codes."""
    page = await visitor.send("/console/me", "/console/me/second-factor")
    assert "Set up your second factor" in page.said
    found = re.search(r'<code class="secret">([A-Z2-7]+)</code>', page.text)
    assert found
    code = code_now(found[1], desk)
    page = await visitor.send("/console/me", "/console/me/second-factor/confirm", code=code)
    assert "Recovery code 1" in page.said
    recovery = re.search(r'id="secret-1">([^<]+)<', page.text)
    assert recovery
    return recovery[1]


async def test_a_factor_whose_authenticator_is_lost_is_taken_off(desk: Desk) -> None:
    """With the password and a recovery code, by a form that asks for both."""
    visitor = await desk.at(Role.VIEWER)
    recovery = await set_up(desk, visitor)
    page = await visitor.get("/console/me")
    ways = re.findall(r'action="/console/me/remove-factor">(.*?)</form>', page.text, re.DOTALL)
    asked = [set(re.findall(r'<input id="[^"]+" name="([^"]+)"', way)) for way in ways]
    assert asked == [{"code"}, {"password", "recovery_code"}]
    for password, code in ((PASSWORD, "ABCDEFGHIJKLMNOP"), ("not the password", recovery)):
        fields = {"password": password, "recovery_code": code}
        page = await visitor.send("/console/me", "/console/me/remove-factor", **fields)
        assert "The second factor is off." not in page.said
        assert "10 recovery codes are left" in page.said
    fields = {"password": PASSWORD, "recovery_code": recovery}
    page = await visitor.send("/console/me", "/console/me/remove-factor", **fields)
    assert "The second factor is off." in page.said
    assert "With one, a stolen password alone opens nothing." in page.said
    # The password alone is enough again.
    assert (await desk.visitor().sign_in(desk.name(Role.VIEWER))).status == 200


def code_now(secret: str, desk: Desk) -> str:
    """What an authenticator shows."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    return code_of(key, step_at(desk.shop.now))


async def test_what_hands_out_secrets_asks_who_sits_there(desk: Desk) -> None:
    visitor = await desk.at(Role.ADMIN)
    client = await desk.shop.client()
    desk.clock.ahead += timedelta(minutes=11)
    path = f"/console/clients/{client}/credentials"
    before = await desk.shop.everything()
    page = await visitor.send(path, path)
    assert page.status == 403
    assert "Show that it is you" in page.said
    assert await desk.shop.everything() == before
    page = await visitor.post("/console/prove", {"csrf": page.csrf, "password": "wrong one here"})
    assert page.status == 403
    fields = {"csrf": page.csrf, "password": PASSWORD, "back": path}
    page = await visitor.post("/console/prove", fields)
    assert "for ten minutes nobody asks" in page.said
    page = await visitor.send(path, path)
    assert "This is shown once." in page.said


async def test_another_session_is_ended(desk: Desk) -> None:
    first, second = await desk.at(Role.VIEWER), await desk.at(Role.VIEWER)
    page = await first.get("/console/me")
    found = re.search(r"/console/me/sessions/\d+/end", page.text)
    assert found
    page = await first.send("/console/me", found[0])
    assert "That session has ended." in page.said
    assert "/console/sign-in" in (await second.get("/console")).url


async def test_only_a_session_that_lives_can_be_ended(desk: Desk) -> None:
    """One that is over by itself has no end that somebody could bring about."""
    visitor = await desk.at(Role.VIEWER)
    await desk.at(Role.VIEWER)
    async with desk.shop.parts.db.transaction() as tx:
        over = await tx.fetchval(
            "UPDATE staff_sessions SET last_seen_at = last_seen_at - interval '30 days',"
            " created_at = created_at - interval '30 days', proven_at = created_at"
            " - interval '30 days' WHERE id = (SELECT max(id) FROM staff_sessions) RETURNING id"
        )
    page = await visitor.get("/console/me")
    assert "Expired" in page.said
    assert f"/console/me/sessions/{over}/end" not in page.text
    await desk.at(Role.VIEWER)
    page = await visitor.get("/console/me")
    assert len(re.findall(r"/console/me/sessions/\d+/end", page.text)) == 1
    admin = await desk.at(Role.ADMIN)
    path = f"/console/settings/staff/{desk.staff[Role.VIEWER].id}"
    # Each state that the list offers is one that the API knows.
    states = re.findall(r'<option value="(\w+)"', (await admin.get(path)).text.split("Any<")[1])
    told = {state: await admin.get(f"{path}?state={state}") for state in states}
    rows = {state: page.text.count('<th scope="row"') for state, page in told.items()}
    assert rows == {"LIVE": 2, "EXPIRED": 1, "ENDED": 0}


async def test_a_password_is_taken_as_it_was_typed(desk: Desk) -> None:
    """The way in takes it so: what a form changed would open nothing."""
    spaced = "  a quiet word with air around  "
    visitor = await desk.at(Role.VIEWER)
    fields = {"old_password": PASSWORD, "new_password": spaced}
    page = await visitor.send("/console/me", "/console/me/password", **fields)
    assert "Changed." in page.said
    name = desk.staff[Role.VIEWER].username
    assert (await desk.visitor().sign_in(name, spaced.strip())).status == 401
    other = desk.visitor(**{"User-Agent": "Bröwser 北"})
    assert (await other.sign_in(name, spaced)).url == f"{desk.url}/console"
    page = await other.send("/console/me", "/console/prove", password=spaced, back="/console/me")
    assert "for ten minutes nobody asks" in page.said
