"""Signing in: sessions that nobody can make, fix, carry over or frame (T63)."""

import base64
import json
from datetime import timedelta
from pathlib import Path

import pytest

from rewards.infra.pages import sessions
from rewards.staff.model import Role
from tests.console.counted import counting
from tests.console.desk import PASSWORD, Desk, Visitor, open_desk

COOKIE = "console"


def session_of(visitor: Visitor) -> str:
    return {each.key: each.value for each in visitor.session.cookie_jar}.get(COOKIE, "")


async def test_signed_in_and_out(desk: Desk) -> None:
    visitor = desk.visitor()
    page = await visitor.get("/console")
    assert page.url == f"{desk.url}/console/sign-in?next=/console"
    before = session_of(visitor)
    page = await visitor.sign_in("admin@example.com")
    assert page.url == f"{desk.url}/console"
    assert "admin@example.com" in page.said
    assert "Times are in UTC." in page.said
    after = session_of(visitor)
    # New at sign-in, and the form of the stranger is worth nothing any more.
    assert before
    assert after not in ("", before)
    page = await visitor.post("/console/sign-out", {"csrf": page.csrf})
    assert "You are signed out." in page.said
    # The API's own session is over too: the cookie that somebody kept opens nothing.
    sealed = base64.urlsafe_b64decode(after)
    kept = json.loads(desk.shop.parts.vault.open("pages.console", 0, sealed))
    headers = {"Authorization": f"Bearer {kept['token']}"}
    assert (await visitor.get("/admin/api/v1/orders", **headers)).status == 401


async def test_a_wrong_password_is_told_on_the_form(desk: Desk) -> None:
    visitor = desk.visitor()
    page = await visitor.sign_in("admin@example.com", "not the right password")
    assert page.status == 401
    assert "This name and password do not fit." in page.said
    assert "not the right password" not in page.text
    page = await visitor.get("/console", follow=False)
    assert page.status == 303


async def test_going_on_stays_on_our_pages(desk: Desk) -> None:
    for wanted in ("//evil.example", "https://evil.example", "/\\evil.example", "/console/../x y"):
        visitor = desk.visitor()
        page = await visitor.sign_in("viewer@example.com", following=wanted)
        assert page.url == f"{desk.url}/console"
    page = await desk.visitor().sign_in("viewer@example.com", following="/console/nothing?a=1")
    assert page.url == f"{desk.url}/console/nothing?a=1"
    assert page.status == 404
    assert "There is no such page" in page.said


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
    ],
)
async def test_another_sites_form_does_nothing(desk: Desk, headers: dict[str, str]) -> None:
    visitor = await desk.at(Role.ADMIN)
    csrf = (await visitor.get("/console")).csrf
    before = await desk.shop.everything()
    page = await visitor.post("/console/sign-out", {"csrf": csrf}, **headers)
    assert page.status == 403
    assert await desk.shop.everything() == before
    assert (await visitor.get("/console", follow=False)).status == 200


async def test_a_form_of_another_session_does_nothing(desk: Desk) -> None:
    visitor, other = await desk.at(Role.ADMIN), await desk.at(Role.VIEWER)
    foreign = (await other.get("/console")).csrf
    for csrf in ("", "x", foreign, "0" * 64):
        page = await visitor.post("/console/sign-out", {"csrf": csrf})
        assert page.status == 403
    # Nor does a stranger's form sign anybody in: the token belongs to the page that showed it.
    stranger = desk.visitor()
    fields = {"csrf": foreign, "username": "admin@example.com", "password": PASSWORD}
    page = await stranger.post("/console/sign-in", fields)
    assert page.status == 403


async def test_a_session_that_we_did_not_seal_is_none(desk: Desk) -> None:
    visitor = await desk.at(Role.ADMIN)
    sealed = session_of(visitor)
    for forged in ("x", sealed[:-4] + "AAA=", sealed[4:], "A" * 5_000, "é"):
        stranger = desk.visitor(Cookie=f"{COOKIE}={forged}")
        assert (await stranger.get("/console", follow=False)).status == 303
    # The one of another room is sealed for that room.
    vault = desk.shop.parts.vault
    plain = vault.open("pages.console", 0, base64.urlsafe_b64decode(sealed))
    foreign = base64.urlsafe_b64encode(vault.seal("pages.portal", 0, plain)).decode()
    stranger = desk.visitor(Cookie=f"{COOKIE}={foreign}")
    assert (await stranger.get("/console", follow=False)).status == 303


async def test_made_up_cookies_cost_the_database_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each names a data key that nobody has read: that is looked for once, not by each."""
    monkeypatch.setattr(sessions, "LEARN_EVERY_S", 60.0)
    parts = desk.shop.parts
    async with counting(parts.db, parts.settings.pool_size) as seen:
        for number in range(20):
            forged = b"\x01" + (70_000 + number).to_bytes(4, "big") + b"x" * 60
            cookie = f"{COOKIE}={base64.urlsafe_b64encode(forged).decode()}"
            page = await desk.visitor(Cookie=cookie).get("/console", follow=False)
            assert page.status == 303
    assert len([each for each in seen if "FROM data_keys" in each]) == 1


async def test_a_session_ends_with_its_token(desk: Desk) -> None:
    visitor = await desk.at(Role.ADMIN)
    desk.clock.ahead += timedelta(hours=10, minutes=1)
    page = await visitor.get("/console", follow=False)
    assert page.status == 303


async def test_a_page_is_framed_by_nobody_and_kept_by_nobody(desk: Desk) -> None:
    visitor = await desk.at(Role.VIEWER)
    for path in ("/console", "/console/sign-in", "/console/nowhere"):
        page = await visitor.get(path)
        policy = page.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in policy
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert page.headers["X-Frame-Options"] == "DENY"
        assert page.headers["Cache-Control"] == "no-store"
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert page.headers["Referrer-Policy"] == "same-origin"
        assert "<script>" not in page.text
        assert " style=" not in page.text


async def test_cookies_are_for_this_host_and_for_no_script(dsn: str, tmp_path: Path) -> None:
    async with open_desk(dsn, tmp_path, public_url="https://rewards.example.com") as desk:
        page = await desk.visitor().get("/console/sign-in")
        cookie = page.headers["Set-Cookie"]
        assert cookie.startswith("__Host-console=")
        for word in ("HttpOnly", "Secure", "SameSite=strict", "Path=/"):
            assert word in cookie
        assert "Domain" not in cookie


async def test_files_are_kept_for_ever_under_the_name_of_their_content(desk: Desk) -> None:
    visitor = desk.visitor()
    page = await visitor.get("/console/sign-in")
    start = page.text.index("/console/static/pages.")
    path = page.text[start : page.text.index('"', start)]
    file = await visitor.get(path)
    assert file.status == 200
    assert file.headers["Content-Type"].startswith("text/css")
    assert "immutable" in file.headers["Cache-Control"]
    for other in ("pages.css", "x", "pages.000000000000.css"):
        assert (await visitor.get(f"/console/static/{other}")).status != 200


async def test_the_api_is_told_the_browsers_own_address(dsn: str, tmp_path: Path) -> None:
    """Of a trusted proxy's client; what a browser writes itself is not believed."""
    trusted = ("127.0.0.1/32",)
    async with open_desk(dsn, tmp_path, trusted_proxies=trusted) as desk:
        name = desk.staff[Role.ADMIN].username
        visitor = desk.visitor(**{"X-Forwarded-For": "198.51.100.9, 203.0.113.7"})
        assert (await visitor.sign_in(name)).status == 200
        async with desk.shop.parts.db.connection() as connection:
            rows = await connection.fetch(
                "SELECT address FROM audit_entries WHERE action = 'staff.logged_in'"
            )
        assert [row[0] for row in rows] == ["203.0.113.7"]


async def test_light_and_dark_are_kept(desk: Desk) -> None:
    visitor = await desk.at(Role.VIEWER)
    page = await visitor.send("/console", "/console/theme", theme="dark", back="/console")
    assert 'data-theme="dark"' in page.text
    page = await visitor.send("/console", "/console/theme", theme="", back="https://evil.example")
    assert "data-theme" not in page.text
    assert page.url == f"{desk.url}/console"


async def test_a_link_from_elsewhere_asks_nobody_to_sign_in_again(desk: Desk) -> None:
    """A browser keeps a strict cookie back from what another site opens; our page asks again."""
    page = await desk.visitor().get("/console/orders/7", **{"Sec-Fetch-Site": "cross-site"})
    assert page.status == 200
    assert 'http-equiv="refresh"' in page.text
    assert 'href="/console/orders/7"' in page.text
