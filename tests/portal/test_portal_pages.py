"""The portal without a script: each task from the sign-in to its result, and who may do it."""

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rewards.clients.model_members import MemberRole
from rewards.infra.db import Database
from rewards.portal.service import PLACE
from tests.counting import DRIVER
from tests.members.company import NOBODY, PASSWORD, Company
from tests.portal.visitor import visiting
from tests.webhooks.working import send_events

OWNER, VIEWER = MemberRole.OWNER, MemberRole.VIEWER
PAGES = ("", "/orders", "/money", "/keys", "/webhooks", "/requests", "/team", "/settings")
STATEMENTS_MAX = 12
NEW = "another quiet password"


async def placed(company: Company, quantity: int = 2, **more: Any) -> int:
    known = company.shop.parts.catalog.product(6)
    await company.shop.stock(known or await company.shop.product(), 2)
    order = {"product_id": 6, "denomination": 25, "quantity": quantity}
    answer = await company.call("POST", "/orders", order, **more)
    assert answer.status == 200, answer.text
    number: int = answer.json["id"]
    return number


async def test_every_page_is_for_who_is_signed_in(company: Company) -> None:
    async with visiting(company) as visitor:
        for path in PAGES:
            page = await visitor.get(path)
            assert page.url.partition("?")[0].endswith("/portal/sign-in"), path
        wrong = await visitor.sign_in(OWNER, "wrong password")
        assert (wrong.status, "do not fit" in wrong.text) == (401, True)
        assert PASSWORD not in wrong.text
        page = await visitor.sign_in(OWNER)
        assert (page.status, page.url) == (200, f"{company.url}/portal")
        for path in PAGES:
            page = await visitor.get(path)
            assert page.status == 200, (path, page.text)
            assert "no-store" in page.headers["Cache-Control"]
            assert "script-src 'self'" in page.headers["Content-Security-Policy"]
        assert (await visitor.get("/nowhere")).status == 404
        page = await visitor.send("/sign-out")
        assert "You are signed out" in page.text
        assert (await visitor.get("/team")).url.partition("?")[0].endswith("/sign-in")


async def test_a_page_asks_the_database_little(company: Company) -> None:
    number = await placed(company)
    hook = {"url": "http://127.0.0.1:8099/hook", "name": "Shop"}
    made = (await company.call("POST", "/webhooks", hook)).json["id"]
    await company.call("POST", f"/webhooks/{made}/test")
    await send_events(company.shop.parts)
    delivery = (await company.call("GET", f"/webhooks/{made}/deliveries")).json[0]["id"]
    line = (await company.call("GET", "/transactions")).json[0]["id"]
    hooks = (f"/webhooks/{made}", f"/webhooks/{made}/deliveries/{delivery}")
    async with visiting(company) as visitor:
        await visitor.sign_in(OWNER)
        for path in (*PAGES, f"/orders/{number}", *hooks, f"/money/transactions/{line}"):
            await visitor.get(path)
            with asked(company.shop.parts.db) as seen:
                assert (await visitor.get(path)).status == 200
            assert 0 < len(seen) <= STATEMENTS_MAX, (path, seen)


# What a process asks by itself each second.
BESIDE = ("FROM changes", "client_requests")


@contextmanager
def asked(db: Database) -> Iterator[list[str]]:
    """The statements that this process sends meanwhile, but for those it sends by itself."""
    seen: list[str] = []

    def note(sent: Any) -> None:
        if not any(word in sent.query for word in (*DRIVER, *BESIDE)):
            seen.append(sent.query)

    open_now = [each._con for each in db._pool._holders if each._con is not None]
    for connection in open_now:
        connection.add_query_logger(note)
    try:
        yield seen
    finally:
        for connection in open_now:
            connection.remove_query_logger(note)


async def test_somebody_finds_an_order_and_looks_at_its_codes(company: Company) -> None:
    number = await placed(company)
    async with visiting(company) as visitor:
        await visitor.sign_in(OWNER)
        page = await visitor.get(f"/orders?q={number}")
        assert page.url.endswith(f"/portal/orders/{number}")
        assert "CANARY" not in page.text
        assert "Show the codes" in page.text
        # Of a page that is there already a script takes the list, and nothing else.
        part = await visitor.get(f"/orders?q={number}", **{"HX-Request": "true"})
        assert part.url.endswith(f"/portal/orders?q={number}")
        assert part.text.count(f'class="row-link" href="/portal/orders/{number}"') == 1
        await visitor.get(f"/orders/{number}")
        opened = await visitor.send(f"/orders/{number}/codes")
        assert opened.text.count("CANARY") >= 2
        assert (await visitor.get(f"/orders?q=REF-{number}")).text.count("No order fits") == 1
        assert (await visitor.get("/orders/999999999")).status == 404
        assert "CANARY" not in (await visitor.get("/orders")).text
    async with visiting(company) as visitor:
        await visitor.sign_in(VIEWER)
        page = await visitor.get(f"/orders/{number}")
        assert "sees orders without their codes" in page.text
        assert "CANARY" not in (await visitor.send(f"/orders/{number}/codes")).text


async def test_a_foreign_order_is_as_unknown(company: Company, other: Company) -> None:
    number = await placed(company)
    async with visiting(other) as visitor:
        await visitor.sign_in(OWNER)
        texts = set()
        for each in (number, 999_999_999):
            page = await visitor.get(f"/orders/{each}")
            assert page.status == 404
            texts.add(re.sub(r"req_[0-9a-f]+|orders%2F\d+|orders/\d+|[0-9a-f]{32,}", "", page.text))
        assert len(texts) == 1


async def test_a_key_is_made_shown_once_and_revoked(company: Company) -> None:
    async with visiting(company) as visitor:
        await visitor.sign_in(OWNER)
        await visitor.get("/keys")
        form = {"name": "till", "scopes": ["orders:read", "wallets:read"]}
        refused = await visitor.send("/keys", {**form, "current_password": "wrong password"})
        assert "Your password is wrong" in refused.text
        made = await visitor.send("/keys", {**form, "current_password": PASSWORD})
        key, secret, _ = re.findall(r'<code class="secret"[^>]*>([^<]+)</code>', made.text)
        shown = {"X-API-Key": key, "X-API-Secret": secret}
        assert (await company.call("GET", "/wallets", by=shown)).status == 200
        listed = await visitor.get("/keys")
        assert "till" in listed.text
        assert secret not in listed.text
        [number] = re.findall(r"/portal/keys/(\d+)/revoke", listed.text)
        gone = await visitor.send(f"/keys/{number}/revoke", {"current_password": PASSWORD})
        assert "The key is revoked" in gone.text
        assert (await company.call("GET", "/wallets", by=shown)).status == 401


async def test_a_team_is_changed_and_a_password(company: Company) -> None:
    async with visiting(company) as visitor:
        await visitor.sign_in(OWNER)
        await visitor.get("/team")
        form = {"username": "ada", "password": NEW, "role": "viewer", "current_password": PASSWORD}
        assert "They may log in now" in (await visitor.send("/team", form)).text
        last = company.members[OWNER]
        form = {"role": "viewer", "active": "true", "current_password": PASSWORD}
        assert "last active owner" in (await visitor.send(f"/team/{last}", form)).text
        await visitor.get("/settings")
        form = {"current_password": PASSWORD, "new_password": NEW, "again": NEW}
        assert "Your password is changed" in (await visitor.send("/settings/password", form)).text
        assert (await visitor.get("/team")).status == 200
    assert (await company.login(company.name(OWNER), NEW)).status == 200


async def test_settings_and_files(company: Company) -> None:
    async with visiting(company) as visitor:
        await visitor.sign_in(MemberRole.FINANCE)
        await visitor.get("/settings")
        [wallet] = (await company.call("GET", "/wallets")).json
        form = {
            "contacts": "money@example.com\n",
            f"low-{wallet['id']}": "12.50",
            "told": ["LOW_BALANCE"],
        }
        assert "The settings are kept" in (await visitor.send("/settings", form)).text
        chosen = (await company.call("GET", "/notice-settings")).json
        assert chosen["contacts"] == ["money@example.com"]
        assert chosen["wallets"][0]["low_balance"] == 12.5
        assert "LOW_BALANCE" not in chosen["muted"]
        lines = await visitor.get("/money/transactions.csv")
        assert lines.headers["Content-Type"].startswith("text/csv")
        assert "TOPUP" in lines.text
        signed = await visitor.get("/money/statement?from=2026-01-01&to=2026-01-02&form=json")
        assert signed.text.startswith("{")
        refused = await visitor.get("/money/statement?from=2026-01-02&to=2026-01-01")
        assert "Invalid To" in refused.text


async def test_tabs_that_renew_at_once_stay_signed_in(company: Company) -> None:
    """One shows the refresh token, the others wait; shown twice it would end them all."""
    db = company.shop.parts.db
    async with visiting(company) as visitor:
        await visitor.sign_in(OWNER)
        for turn in (1, 2):
            async with db.connection() as connection:
                await connection.execute("UPDATE portal_sessions SET access_expires_at = now()")
            pages = await asyncio.gather(*(visitor.get("/team") for _ in range(6)))
            assert [page.url.endswith("/portal/team") for page in pages] == [True] * 6
            async with db.connection() as connection:
                assert await connection.fetchval("SELECT turn FROM portal_sessions") == turn
        # The browser has none of it, and the row has it sealed.
        cookies = " ".join(cookie.value for cookie in visitor.session.cookie_jar)
        assert "rt_" not in cookies
        async with db.connection() as connection:
            [row] = await connection.fetch("SELECT * FROM portal_sessions")
        assert b"rt_" not in row["tokens_sealed"]


async def test_a_session_whose_tokens_are_worth_nothing_ends(company: Company) -> None:
    async with visiting(company) as visitor:
        await visitor.sign_in(VIEWER)
        gone = await company.prove(
            "PATCH", f"/members/{company.members[VIEWER]}", {"active": False}
        )
        assert gone.status == 200
        assert (await visitor.get("/team")).url.partition("?")[0].endswith("/sign-in")
        page = await visitor.sign_in(VIEWER)
        assert page.status == 401


async def test_whose_renewer_died_is_signed_out_and_not_stuck(company: Company) -> None:
    """The refresh token was shown, and its answer never kept."""
    parts = company.shop.parts
    async with visiting(company) as visitor:
        await visitor.sign_in(OWNER)
        async with parts.db.connection() as connection:
            await connection.execute(
                "UPDATE portal_sessions SET access_expires_at = now(),"
                " refreshing_until = now() - interval '1 s'"
            )
            row = await connection.fetchrow("SELECT id, tokens_sealed FROM portal_sessions")
        tokens = parts.vault.open(PLACE, row["id"], row["tokens_sealed"])
        used = {"refresh_token": json.loads(tokens)["refresh_token"]}
        assert (await company.call("POST", "/auth/refresh", used, by=NOBODY)).status == 200
        assert (await visitor.get("/team")).url.partition("?")[0].endswith("/sign-in")
        async with parts.db.connection() as connection:
            assert await connection.fetchval("SELECT count(*) FROM portal_sessions") == 0


async def test_a_webhook_is_made_tested_and_deleted(company: Company) -> None:
    async with visiting(company) as visitor:
        await visitor.sign_in(OWNER)
        await visitor.get("/webhooks")
        form = {"url": "http://127.0.0.1:8099/hook", "name": "Shop", "events": ["*"]}
        made = await visitor.send("/webhooks", form)
        assert "whsec_" in made.text, made.text
        [hook] = (await company.call("GET", "/webhooks")).json
        page = await visitor.get(f"/webhooks/{hook['id']}")
        assert "whsec_" not in page.text
        assert "on its way" in (await visitor.send(f"/webhooks/{hook['id']}/test")).text
        off = await visitor.send(f"/webhooks/{hook['id']}/status", {"status": "DISABLED"})
        assert "Disabled" in off.text
        assert "switched off" in (await visitor.get("")).text
        assert "is deleted" in (await visitor.send(f"/webhooks/{hook['id']}/delete")).text
