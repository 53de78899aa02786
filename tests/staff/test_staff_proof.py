"""What is dangerous asks again who sits there (T64); and one's own password."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from rewards.infra.db import Database
from rewards.infra.passwords import Passwords
from rewards.staff.model import Role
from tests.staff.house import PASSWORD, House, MovedClock, furnish, opened
from tests.staff.people import (
    API,
    FACTOR,
    LOGIN,
    ME,
    ask,
    enrol,
    let_in,
    log_in,
    refused,
)
from tests.staff.test_staff_matrix import call, staff_routes

CLIENTS = f"{API}/clients"
NEW_STAFF = {"username": "carla", "role": "viewer", "password": "a quiet password"}
NEXT_PASSWORD = "another quiet one"


@pytest.fixture
async def trusting_house(
    db: Database, tmp_path: Path, passwords: Passwords
) -> AsyncIterator[House]:
    """Nobody is asked again here."""
    client, wallet = await furnish(db)
    rules = {"staff_proof_minutes": 0}
    async with opened(db, tmp_path, passwords, MovedClock(), client, wallet, **rules) as made:
        yield made


async def test_every_dangerous_route_asks_for_a_proof(house: House, passwords: Passwords) -> None:
    await let_in(house, passwords)
    headers = await log_in(house)
    guarded = {key: guard for key, [guard] in guards(house).items() if guard.proof}
    assert len(guarded) >= 10
    house.clock.advance(minutes=10)
    # So that being seen is behind us.
    assert (await house.http.get(CLIENTS, headers=headers)).status_code == 200
    before = await house.everything()
    for method, path in guarded:
        answer = await call(house, method, path, headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "PROOF_NEEDED"), path
        assert answer.json()["details"] == {"do": f"POST {ME}/prove"}
    assert await house.everything() == before
    await ask(house, headers, "POST", f"{ME}/prove", {"password": PASSWORD})
    for method, path in guarded:
        answer = await call(house, method, path, headers)
        assert answer.status_code != 403, path


def guards(house: House) -> dict[tuple[str, str], list[Any]]:
    return {key: found for key, found in staff_routes(house).items() if found}


async def test_a_role_is_looked_at_before_a_proof(house: House, passwords: Passwords) -> None:
    await let_in(house, passwords, role=Role.VIEWER)
    headers = await log_in(house)
    house.clock.advance(minutes=10)
    await house.http.get(CLIENTS, headers=headers)
    assert await refused(house, headers, "POST", f"{API}/staff", NEW_STAFF) == (403, "FORBIDDEN")


async def test_a_login_counts_as_a_proof_for_ten_minutes(
    house: House, passwords: Passwords
) -> None:
    await let_in(house, passwords)
    headers = await log_in(house)
    assert (await ask(house, headers, "GET", ME))["proven_until"] == "2026-03-01T12:10:00Z"
    house.clock.advance(minutes=9, seconds=59)
    await ask(house, headers, "POST", f"{API}/staff", NEW_STAFF)
    house.clock.advance(seconds=1)
    other = NEW_STAFF | {"username": "dora"}
    assert await refused(house, headers, "POST", f"{API}/staff", other) == (403, "PROOF_NEEDED")
    told = await ask(house, headers, "POST", f"{ME}/prove", {"password": PASSWORD})
    assert told == {"proven_until": "2026-03-01T12:20:00Z"}
    await ask(house, headers, "POST", f"{API}/staff", other)
    # A proof is of one session.
    second = await log_in(house)
    house.clock.advance(minutes=10)
    await ask(house, second, "POST", f"{ME}/prove", {"password": PASSWORD})
    third = NEW_STAFF | {"username": "eve"}
    await house.http.get(CLIENTS, headers=headers)
    assert await refused(house, headers, "POST", f"{API}/staff", third) == (403, "PROOF_NEEDED")
    entry = next(row for row in await house.audit() if row["action"] == "staff.proven")
    assert (entry["subject_kind"], entry["actor_kind"]) == ("staff_session", "STAFF")


async def test_a_vendors_secrets_ask_and_its_name_does_not(
    house: House, passwords: Passwords
) -> None:
    await let_in(house, passwords)
    headers = await log_in(house)
    vendor = {
        "name": "acme",
        "adapter": "sandbox",
        "config": {"base_url": "https://vendor.example"},
        "secrets": {"api_key": "the-key-of-a-vendor"},
    }
    made = await ask(house, headers, "POST", f"{API}/vendors", vendor)
    path = f"{API}/vendors/{made['id']}"
    house.clock.advance(minutes=10)
    await ask(house, headers, "PATCH", path, {"name": "acme two"})
    for change in ({"secrets": {"api_key": "another-key-of-it"}}, {"config": {}}):
        assert await refused(house, headers, "PATCH", path, change) == (403, "PROOF_NEEDED")


async def test_a_proof_in_one_process_counts_in_all_at_once(
    house: House, second_house: House, passwords: Passwords
) -> None:
    await let_in(house, passwords)
    headers = await log_in(house)
    house.clock.advance(minutes=10)
    for process in (house, second_house):
        answer = await process.http.post(f"{API}/staff", headers=headers, json=NEW_STAFF)
        assert answer.json()["code"] == "PROOF_NEEDED"
    await ask(house, headers, "POST", f"{ME}/prove", {"password": PASSWORD})
    await ask(second_house, headers, "POST", f"{API}/staff", NEW_STAFF)


async def test_what_is_not_right_proves_nothing_and_soon_waits(
    house: House, passwords: Passwords
) -> None:
    await let_in(house, passwords)
    headers, prove = await log_in(house), f"{ME}/prove"
    for body in ({}, {"password": PASSWORD, "code": "123456"}, {"password": ""}, {"code": "1"}):
        assert await refused(house, headers, "POST", prove, body) == (400, "INVALID_FIELD")
    told = await refused(house, headers, "POST", prove, {"code": "123456"})
    assert told == (409, "SECOND_FACTOR_OFF")
    for _ in range(4):
        told = await refused(house, headers, "POST", prove, {"password": "wrong password"})
        assert told == (403, "PROOF_REFUSED")
    told = await refused(house, headers, "POST", prove, {"password": PASSWORD})
    assert told == (429, "RATE_LIMITED")
    # Whoever holds that session keeps its owner out of nothing else.
    again = await log_in(house)
    await ask(house, again, "POST", prove, {"password": PASSWORD})
    house.clock.advance(minutes=5, seconds=1)
    await ask(house, headers, "POST", prove, {"password": PASSWORD})


async def test_a_code_proves_as_well_and_is_used_up(house: House, passwords: Passwords) -> None:
    await let_in(house, passwords)
    headers, prove = await log_in(house), f"{ME}/prove"
    phone = await enrol(house, headers)
    house.clock.advance(minutes=10)
    body = {"code": phone.code()}
    answers = await asyncio.gather(
        *(house.http.post(prove, headers=headers, json=body) for _ in range(3))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 403, 403]
    assert await refused(house, headers, "POST", prove, body) == (403, "PROOF_REFUSED")


async def test_nobody_is_asked_again_where_the_setting_says_so(
    trusting_house: House, passwords: Passwords
) -> None:
    house = trusting_house
    await let_in(house, passwords)
    headers = await log_in(house)
    house.clock.advance(minutes=50)
    assert (await ask(house, headers, "GET", ME))["proven_until"] is None
    await ask(house, headers, "POST", f"{API}/staff", NEW_STAFF)
    told = await ask(house, headers, "POST", f"{ME}/prove", {"password": PASSWORD})
    assert told == {"proven_until": None}


async def test_who_i_am_and_what_i_may(house: House, passwords: Passwords) -> None:
    person = await let_in(house, passwords, "ann", Role.SUPPORT)
    me = await ask(house, await log_in(house), "GET", ME)
    assert (me["id"], me["username"], me["role"]) == (person.id, "ann", "support")
    assert "orders:retry" in me["permissions"]
    assert "staff:write" not in me["permissions"]
    assert me["session"]["current"] is True
    assert (me["second_factor"], me["second_factor_needed"]) == (False, False)
    assert me["recovery_codes_left"] == 0


async def test_ones_own_password_is_changed_with_the_old_one(
    house: House, passwords: Passwords
) -> None:
    person = await let_in(house, passwords, role=Role.VIEWER)
    first, second = await log_in(house), await log_in(house)
    path, new = f"{ME}/password", {"new_password": NEXT_PASSWORD}
    for body, code in (
        (new, "INVALID_FIELD"),
        ({"old_password": PASSWORD}, "INVALID_FIELD"),
        ({"old_password": PASSWORD, "new_password": "short"}, "INVALID_FIELD"),
        (new | {"old_password": "wrong password"}, "PROOF_REFUSED"),
    ):
        assert (await refused(house, first, "POST", path, body))[1] == code
    await ask(house, first, "POST", path, new | {"old_password": PASSWORD})
    assert (await house.http.get(CLIENTS, headers=first)).status_code == 200
    assert (await house.http.get(CLIENTS, headers=second)).status_code == 401
    body = {"username": "ann", "password": PASSWORD}
    assert await refused(house, None, "POST", LOGIN, body) == (401, "UNAUTHORIZED")
    await log_in(house, password=NEXT_PASSWORD)
    changed, ended = [
        row
        for row in await house.audit()
        if row["action"] in ("staff.changed", "staff.session_ended")
    ]
    assert (changed["subject_id"], changed["facts"]) == (person.id, {"password_changed": True})
    assert ended["facts"]["reason"] == "PASSWORD_CHANGED"
    assert NEXT_PASSWORD not in str(await house.everything())


async def test_a_stolen_session_sets_up_no_factor(house: House, passwords: Passwords) -> None:
    await let_in(house, passwords)
    headers = await log_in(house)
    house.clock.advance(minutes=10)
    await house.http.get(CLIENTS, headers=headers)
    assert await refused(house, headers, "POST", FACTOR) == (403, "PROOF_NEEDED")
