"""Sessions of staff: what a login makes, how it ends, and how soon that counts (T54, T63)."""

import asyncio
from typing import Any

import pytest

from rewards.infra.passwords import Passwords
from rewards.staff import sessions
from rewards.staff.model import Role
from tests.staff.house import NOON, PASSWORD, House
from tests.staff.people import API, LOGIN, LOGOUT, ask, let_in, log_in, refused

CLIENTS = f"{API}/clients"
SESSIONS = f"{API}/sessions"


async def status(house: House, headers: dict[str, str], path: str = CLIENTS) -> int:
    return (await house.http.get(path, headers=headers)).status_code


async def rows(house: House, statement: str = "SELECT * FROM staff_sessions ORDER BY id") -> Any:
    async with house.db.connection() as connection:
        return [dict(row) for row in await connection.fetch(statement)]


async def test_a_login_is_a_session_that_says_where_it_came_from(
    house: House, passwords: Passwords
) -> None:
    person = await let_in(house, passwords)
    body = {"username": "ann", "password": PASSWORD}
    agent = {"User-Agent": "Mozilla/5.0 (X11)\t" + "x" * 500}
    told = (await house.http.post(LOGIN, json=body, headers=agent)).json()
    headers = {"Authorization": f"Bearer {told['access_token']}"}
    [one] = await ask(house, headers, "GET", SESSIONS)
    assert one == {
        "id": told["session_id"],
        "state": "LIVE",
        "current": True,
        "proof": "PASSWORD",
        "created_at": "2026-03-01T12:00:00Z",
        "last_seen_at": "2026-03-01T12:00:00Z",
        "proven_at": "2026-03-01T12:00:00Z",
        "expires_at": told["access_expires_at"],
        "address": "192.0.2.7",
        "user_agent": ("Mozilla/5.0 (X11)" + "x" * 500)[:120],
        "ended_at": None,
        "ended_by": None,
        "end_reason": None,
    }
    entry = (await house.audit())[-1]
    assert (entry["action"], entry["subject_id"]) == ("staff.logged_in", person.id)
    assert entry["facts"] == {"session": told["session_id"], "proof": "PASSWORD"}


async def test_a_login_never_takes_a_session_that_was_there(
    house: House, passwords: Passwords
) -> None:
    """Fixation: whatever a request brings along, a login makes a session of its own."""
    await let_in(house, passwords)
    planted = await log_in(house)
    body = {"username": "ann", "password": PASSWORD}
    answer = await house.http.post(LOGIN, json=body, headers={**planted, "Cookie": "session=1"})
    fresh = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    assert fresh != planted
    await ask(house, fresh, "POST", LOGOUT)
    assert await status(house, fresh) == 401
    # What was planted is one's own session still, and another one.
    [mine] = await ask(house, planted, "GET", f"{SESSIONS}?state=live")
    assert mine["current"]
    assert mine["id"] != answer.json()["session_id"]
    body["session_id"] = mine["id"]
    assert await refused(house, None, "POST", LOGIN, body) == (400, "INVALID_BODY")


async def test_a_session_ends_after_ten_hours_though_it_is_used(
    house: House, passwords: Passwords
) -> None:
    await let_in(house, passwords)
    headers = await log_in(house)
    for _ in range(11):
        house.clock.advance(minutes=54)
        assert await status(house, headers) == 200
    house.clock.advance(minutes=5, seconds=59)
    assert await status(house, headers) == 200
    house.clock.advance(seconds=1)
    assert await refused(house, headers, "GET", CLIENTS) == (401, "UNAUTHORIZED")


async def test_a_session_that_nobody_uses_for_an_hour_is_over(
    house: House, passwords: Passwords
) -> None:
    await let_in(house, passwords)
    headers = await log_in(house)
    house.clock.advance(minutes=59)
    assert await status(house, headers) == 200
    house.clock.advance(minutes=60)
    assert await refused(house, headers, "GET", CLIENTS) == (401, "UNAUTHORIZED")
    again = await log_in(house)
    states = [one["state"] for one in await ask(house, again, "GET", SESSIONS)]
    assert states == ["LIVE", "EXPIRED"]
    [live] = await ask(house, again, "GET", f"{SESSIONS}?state=LIVE")
    [over] = await ask(house, again, "GET", f"{SESSIONS}?state=expired")
    assert (live["current"], over["current"]) == (True, False)
    assert await ask(house, again, "GET", f"{SESSIONS}?state=ENDED") == []


async def test_who_is_busy_in_another_process_is_not_idle_here(
    house: House, second_house: House, passwords: Passwords
) -> None:
    await let_in(house, passwords)
    headers = await log_in(house)
    assert await status(second_house, headers) == 200
    for _ in range(3):
        house.clock.advance(minutes=50)
        assert await status(house, headers) == 200
    assert await status(second_house, headers) == 200


async def test_a_session_is_seen_at_most_once_a_minute(house: House, passwords: Passwords) -> None:
    await let_in(house, passwords, role=Role.VIEWER)
    headers = await log_in(house)
    seen = []
    for _ in range(5):
        house.clock.advance(seconds=30)
        await asyncio.gather(*(status(house, headers) for _ in range(4)))
        seen.append((await rows(house))[0]["last_seen_at"])
    assert [round((at - NOON).total_seconds()) for at in seen] == [0, 60, 60, 120, 120]
    # Who is not let in is not seen.
    house.clock.advance(minutes=5)
    assert await refused(house, headers, "GET", f"{API}/staff") == (403, "FORBIDDEN")


async def test_ones_own_sessions_are_ended_one_by_one(house: House, passwords: Passwords) -> None:
    await let_in(house, passwords)
    await let_in(house, passwords, "bob", Role.VIEWER)
    first, second, other = await log_in(house), await log_in(house), await log_in(house, "bob")
    mine = [one["id"] for one in await ask(house, first, "GET", SESSIONS)]
    [theirs] = [one["id"] for one in await ask(house, other, "GET", SESSIONS)]
    for number in (theirs, 999_999, "x"):
        told = await refused(house, first, "DELETE", f"{SESSIONS}/{number}")
        assert told == (404, "SESSION_NOT_FOUND")
    await ask(house, first, "DELETE", f"{SESSIONS}/{mine[0]}")
    assert [await status(house, each) for each in (first, second, other)] == [200, 401, 200]
    [_, entry] = (await house.audit())[-2:]
    assert (entry["action"], entry["subject_kind"]) == ("staff.session_ended", "staff_session")
    assert entry["subject_id"] == mine[0]
    assert entry["facts"]["reason"] == "ENDED"
    again = await refused(house, first, "DELETE", f"{SESSIONS}/{mine[0]}")
    assert again == (404, "SESSION_NOT_FOUND")


async def test_an_admin_ends_one_session_of_somebody(house: House, passwords: Passwords) -> None:
    person = await let_in(house, passwords)
    other = await let_in(house, passwords, "bob")
    await let_in(house, passwords, "viv", Role.VIEWER)
    first, second, bob = await log_in(house), await log_in(house), await log_in(house, "bob")
    viv = await log_in(house, "viv")
    late, early = [one["id"] for one in await ask(house, first, "GET", SESSIONS)]
    path = f"{API}/staff/{person.id}/sessions/{early}/end"
    assert await refused(house, viv, "POST", path) == (403, "FORBIDDEN")
    # Of somebody else, of nobody, and what is none.
    for wrong in (
        f"{API}/staff/{other.id}/sessions/{early}/end",
        f"{API}/staff/999999/sessions/{early}/end",
        f"{API}/staff/{person.id}/sessions/x/end",
    ):
        assert await refused(house, bob, "POST", wrong) == (404, "SESSION_NOT_FOUND")
    await ask(house, bob, "POST", path, {"reason": "left it open"})
    assert [await status(house, each) for each in (first, second, bob)] == [401, 200, 200]
    entry = (await house.audit())[-1]
    assert (entry["action"], entry["subject_id"]) == ("staff.session_ended", early)
    assert entry["facts"] == {"staff_id": person.id, "reason": "ENDED_BY_ADMIN"}
    assert await refused(house, bob, "POST", path) == (404, "SESSION_NOT_FOUND")
    # Like whatever an admin does to others, it asks again who sits there.
    house.clock.advance(minutes=11)
    again = f"{API}/staff/{person.id}/sessions/{late}/end"
    assert await refused(house, bob, "POST", again) == (403, "PROOF_NEEDED")


async def test_all_others_are_ended_at_once(house: House, passwords: Passwords) -> None:
    person = await let_in(house, passwords)
    await let_in(house, passwords, "bob")
    held = [await log_in(house) for _ in range(3)]
    other = await log_in(house, "bob")
    assert await ask(house, held[1], "POST", f"{SESSIONS}/end-others") == {"ended": 2}
    assert [await status(house, each) for each in held] == [401, 200, 401]
    assert await ask(house, held[1], "POST", f"{SESSIONS}/end-others") == {"ended": 0}
    # An admin sees how they ended, and ends what is left.
    path = f"{API}/staff/{person.id}/sessions"
    listed = await ask(house, other, "GET", path)
    assert [one["end_reason"] for one in listed] == ["ENDED", None, "ENDED"]
    assert {one["ended_by"] for one in listed} == {person.id, None}
    assert not any(one["current"] for one in listed)
    assert await ask(house, other, "POST", f"{path}/end") == {"ended": 1}
    assert [await status(house, each) for each in (held[1], other)] == [401, 200]
    entry = (await house.audit())[-1]
    assert entry["facts"] == {"staff_id": person.id, "reason": "ENDED_BY_ADMIN"}
    for method, end in (("GET", ""), ("POST", "/end")):
        nobody = f"{API}/staff/999999/sessions{end}"
        assert await refused(house, other, method, nobody) == (404, "STAFF_NOT_FOUND")


async def test_a_page_of_sessions_follows_another(house: House, passwords: Passwords) -> None:
    await let_in(house, passwords)
    for _ in range(5):
        headers = await log_in(house)
    first = await ask(house, headers, "GET", f"{SESSIONS}?limit=3")
    rest = await ask(house, headers, "GET", f"{SESSIONS}?limit=3&before={first[-1]['id']}")
    ids = [one["id"] for one in first + rest]
    assert len(ids) == 5
    assert ids == sorted(ids, reverse=True)
    for query in ("state=x", "limit=501", "before=-1"):
        assert await refused(house, headers, "GET", f"{SESSIONS}?{query}") == (400, "INVALID_FIELD")


async def test_an_ended_session_is_refused_by_every_process_within_a_second(
    house: House, second_house: House, passwords: Passwords
) -> None:
    person = await let_in(house, passwords)
    await let_in(house, passwords, "bob")
    first, second, bob = await log_in(house), await log_in(house), await log_in(house, "bob")

    async def both(headers: dict[str, str]) -> list[int]:
        """The process that was told answers at once, the other within a second."""
        here = await status(house, headers)
        await asyncio.sleep(1)
        return [here, await status(second_house, headers)]

    for headers in (first, second, bob):
        assert await both(headers) == [200, 200]
    await ask(house, first, "POST", LOGOUT)
    assert await both(first) == [401, 401]
    assert await both(second) == [200, 200]
    await ask(house, bob, "POST", f"{API}/staff/{person.id}/sessions/end")
    assert await both(second) == [401, 401]
    assert await both(bob) == [200, 200]


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"password": "another quiet one"}, "PASSWORD_CHANGED"), ({"active": False}, "DEACTIVATED")],
)
async def test_what_an_admin_changes_ends_the_sessions(
    house: House, passwords: Passwords, change: dict[str, Any], reason: str
) -> None:
    person = await let_in(house, passwords)
    await let_in(house, passwords, "bob")
    held, bob = [await log_in(house), await log_in(house)], await log_in(house, "bob")
    await ask(house, bob, "PATCH", f"{API}/staff/{person.id}", change)
    assert [await status(house, each) for each in held] == [401, 401]
    listed = await ask(house, bob, "GET", f"{API}/staff/{person.id}/sessions")
    assert {(one["state"], one["end_reason"]) for one in listed} == {("ENDED", reason)}
    actions = [row["action"] for row in await house.audit()]
    assert actions[-3:].count("staff.session_ended") == 2
    # A role is none of it.
    await ask(house, bob, "PATCH", f"{API}/staff/{person.id}", {"role": "viewer"})
    assert len(await house.audit()) == len(actions) + 1


async def test_a_login_that_began_before_a_new_password_makes_no_session(
    house: House, passwords: Passwords
) -> None:
    """The digest takes long; what is set meanwhile counts."""
    person = await let_in(house, passwords)
    await let_in(house, passwords, "bob")
    bob = await log_in(house, "bob")
    begun, go_on = asyncio.Event(), asyncio.Event()
    matches = Passwords.matches

    async def slowly(self: Passwords, digest: str | None, password: str) -> bool:
        right = await matches(self, digest, password)
        begun.set()
        await go_on.wait()
        return right

    body = {"username": "ann", "password": PASSWORD}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Passwords, "matches", slowly)
        login = asyncio.create_task(house.http.post(LOGIN, json=body))
        await begun.wait()
        await ask(house, bob, "PATCH", f"{API}/staff/{person.id}", {"password": "a newer quiet 1"})
        go_on.set()
        answer = await login
    assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHORIZED")
    assert await ask(house, bob, "GET", f"{API}/staff/{person.id}/sessions") == []


async def test_sessions_long_over_are_forgotten(house: House, passwords: Passwords) -> None:
    await let_in(house, passwords)
    await log_in(house)
    house.clock.advance(days=1)
    await log_in(house)
    async with house.db.transaction() as tx:
        assert await sessions.forget(tx, house.clock.now()) == 1
    assert len(await rows(house)) == 1
