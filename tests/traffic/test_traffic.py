"""The request log: what is kept of a request, who reads it, and what becomes of it."""

import asyncio
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.clients.model_members import MemberRole
from rewards.core.clock import SystemClock
from rewards.infra.address import parse_address
from rewards.infra.db import Database
from rewards.infra.settings import Settings
from rewards.traffic import recorder, tasks
from rewards.traffic.model import DAYS_MAX, SLOTS, forgotten_slots, slot_of
from rewards.traffic.recorder import RequestLog
from tests.members.company import NOBODY, Company, opened
from tests.members.test_members_money import MovedClock

VIEWER = MemberRole.VIEWER


async def kept(company: Company, query: str = "", **more: Any) -> list[dict[str, Any]]:
    await company.shop.parts.requests.flush()
    answer = await company.call("GET", f"/requests{query}", **more)
    assert answer.status == 200, answer.text
    lines: list[dict[str, Any]] = answer.json
    return lines


async def test_a_request_is_told_of_without_its_body_path_or_query(company: Company) -> None:
    named = {"X-Request-Id": "till-4711"}
    asked = await company.call("GET", "/orders/77?vouchers=false", headers=named)
    assert asked.status == 404
    [line] = await kept(company)
    assert line.pop("took_ms") > 0
    assert line.pop("at") is not None
    assert line == {
        "request_id": "till-4711",
        "method": "GET",
        "route": "/api/v1/orders/{order_id}",
        "status": 404,
        "code": "ORDER_NOT_FOUND",
        "credential_id": None,
        "member_id": company.members[MemberRole.OWNER],
        "address": "127.0.0.1",
        "order_id": None,
    }
    key = await company.key()
    await company.call("POST", "/orders", {"product_id": "SECRET-WORD"}, by=key)
    lines = await kept(company, by=VIEWER)
    assert "SECRET" not in str(lines)
    [placed] = [each for each in lines if each["method"] == "POST"]
    assert (placed["status"], placed["code"]) == (400, "INVALID_BODY")
    assert placed["credential_id"] is not None


async def test_a_line_leads_to_the_order_it_was_about(company: Company, other: Company) -> None:
    await company.shop.stock(await company.shop.product(), 1)
    order = {"product_id": 6, "denomination": 25, "quantity": 1, "ref": "till-1"}
    placed = await company.call("POST", "/orders", order)
    assert placed.status == 200, placed.text
    number = placed.json["id"]
    assert (await company.call("POST", "/orders", order)).status == 400
    assert (await company.call("GET", f"/orders/{number}/history")).status == 200
    assert (await other.call("GET", f"/orders/{number}")).status == 404
    told = [(each["method"], each["status"], each["order_id"]) for each in await kept(company)]
    assert told == [("GET", 200, number), ("POST", 400, None), ("POST", 200, number)]
    assert [each["order_id"] for each in await kept(other)] == [None]


async def test_what_nobody_sent_is_nobodys(company: Company) -> None:
    await company.call("GET", "/orders", by=NOBODY)
    await company.call("GET", "/orders", by={"Authorization": "Bearer a.b.c"})
    await company.call("GET", "/status", by=NOBODY)
    await company.bearer(VIEWER)
    assert await kept(company, by=VIEWER) == []
    refused = await company.call("GET", "/credentials", by=VIEWER)
    assert refused.status == 403
    assert [each["code"] for each in await kept(company, "?status=error")] == ["FORBIDDEN"]


async def test_a_company_reads_its_own(company: Company, other: Company) -> None:
    named = {"X-Request-Id": "theirs"}
    await other.call("GET", "/wallets", headers=named)
    assert [each["request_id"] for each in await kept(other)] == ["theirs"]
    assert await kept(company) == []
    assert await kept(company, "?request_id=theirs") == []
    narrow = await company.key(scopes=frozenset({"orders:read"}))
    assert (await company.call("GET", "/requests", by=narrow)).status == 403


async def test_it_is_narrowed_and_paged(company: Company) -> None:
    for turn in range(4):
        await company.call("GET", "/wallets", headers={"X-Request-Id": f"wallets-{turn}"})
    await company.call("GET", "/orders/1", headers={"X-Request-Id": "order"})
    names = [each["request_id"] for each in await kept(company, "?route=/api/v1/wallets")]
    assert names == [f"wallets-{turn}" for turn in (3, 2, 1, 0)]
    assert [each["request_id"] for each in await kept(company, "?status=4xx")] == ["order"]
    assert [each["status"] for each in await kept(company, "?request_id=wallets-2")] == [200]
    assert await kept(company, "?status=5XX") == []
    today, tomorrow = company.shop.now.date(), company.shop.now.date() + timedelta(days=1)
    assert len(await kept(company, f"?from={today}&to={today}&limit=500")) >= 5
    assert await kept(company, f"?from={tomorrow}") == []
    seen, cursor = [], ""
    for _ in range(4):
        answer = await company.call(
            "GET", f"/requests?limit=2&route=/api/v1/wallets&cursor={cursor}"
        )
        seen += [each["request_id"] for each in answer.json]
        cursor = answer.headers.get("X-Next-Cursor", "")
        if not cursor:
            break
    assert seen == names
    for wrong in ("status=3XX", "limit=501", "cursor=x", "from=x", "request_id=" + "x" * 65):
        assert (await company.call("GET", f"/requests?{wrong}")).status == 400


async def test_a_day_is_forgotten_at_one_stroke(dsn: str, tmp_path: Path) -> None:
    clock = MovedClock()
    async with opened(dsn, tmp_path, clock, request_log_days=2) as company:
        parts = company.shop.parts
        key = await company.key()
        await company.call("GET", "/wallets", by=key)
        await parts.requests.flush()
        clock.at += timedelta(days=1)
        assert await tasks.forget_requests(parts.db, clock, parts.settings) == 0
        assert len(await kept(company, by=key)) == 1
        clock.at += timedelta(days=1)
        # Not read any more before it is gone.
        assert len(await kept(company, "?route=/api/v1/wallets", by=key)) == 0
        assert await tasks.forget_requests(parts.db, clock, parts.settings) == 1
        assert await tasks.forget_requests(parts.db, clock, parts.settings) == 0
        async with parts.db.connection() as connection:
            first = await connection.fetchval("SELECT min(at)::date FROM client_requests")
        assert first == clock.at.date() - timedelta(days=1)


@given(st.dates(date(2000, 1, 1), date(9000, 1, 1)), st.integers(1, DAYS_MAX))
def test_a_day_that_is_kept_is_never_emptied(today: date, days: int) -> None:
    gone = forgotten_slots(today, days)
    assert gone, "there is always one to empty"
    for back in range(-1, days):
        assert slot_of(today - timedelta(days=back)) not in gone
    assert set(gone) <= set(range(SLOTS))


SCOPE: Any = {
    "type": "http",
    "method": "GET",
    "headers": [],
    "rewards_address": parse_address("192.0.2.7"),
    "rewards_request_id": "r",
    "path_template": "/api/v1/wallets",
}


async def test_what_the_database_does_not_take_is_dropped_and_counted(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = company.shop.parts
    principal = await parts.directory.principal_by_token(
        (await company.bearer(VIEWER))["Authorization"].removeprefix("Bearer ")
    )
    held = RequestLog(parts.db, SystemClock())
    monkeypatch.setattr(recorder, "ROWS_MAX", 5)
    for _ in range(7):
        held.note({**SCOPE, "rewards_principal": principal}, 200, 0.001)
        held.note(SCOPE, 401, 0.001)
    assert held.dropped == 2
    away = await Database.connect(
        company.shop.parts.db._pool._connect_args[0], Settings(pool_size=1)
    )
    await away.close()
    held._db, kept_db = away, held._db
    await held.flush()
    assert (held.written, held.dropped) == (0, 7)
    held._db = kept_db
    held.note({**SCOPE, "rewards_principal": principal}, 200, 0.001)
    await held.close()
    assert (held.written, held.dropped) == (1, 7)


async def test_a_full_buffer_is_written_at_once(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "FLUSH_EVERY_S", 60.0)
    monkeypatch.setattr(recorder, "FLUSH_ROWS", 3)
    parts = company.shop.parts
    principal = await parts.directory.principal_by_token(
        (await company.bearer(VIEWER))["Authorization"].removeprefix("Bearer ")
    )
    held = RequestLog(parts.db, SystemClock())
    held.start()
    for _ in range(3):
        held.note({**SCOPE, "rewards_principal": principal}, 200, 0.001)
    async with asyncio.timeout(20):
        while held.written < 3:
            await asyncio.sleep(0.01)
    await held.close()
    assert held.dropped == 0
