"""Logging in and out as staff, and how soon a change counts."""

import asyncio
from datetime import timedelta

from rewards.core.errors import InvalidField, Refusal
from rewards.infra.passwords import Passwords
from rewards.staff import service
from rewards.staff.model import LastAdmin, NewStaff, Role, Staff, StaffChange, UsernameTaken
from tests.staff.house import NOON, PASSWORD, House
from tests.staff.people import LOGIN, let_in, log_in

CLIENTS = "/admin/api/v1/clients"


async def test_a_login_gives_a_token_that_works(house: House, passwords: Passwords) -> None:
    person = await let_in(house, passwords, "Ann", Role.SUPPORT)
    answer = await house.http.post(LOGIN, json={"username": "ANN", "password": PASSWORD})
    assert answer.status_code == 200
    told = answer.json()
    assert told.keys() == {"access_token", "access_expires_at", "role", "staff_id", "session_id"}
    assert (told["role"], told["staff_id"]) == ("support", person.id)
    assert told["access_expires_at"] == (NOON + timedelta(hours=10)).isoformat().replace(
        "+00:00", "Z"
    )
    assert answer.headers["cache-control"] == "no-store"
    headers = {"Authorization": f"Bearer {told['access_token']}"}
    assert (await house.http.get(CLIENTS, headers=headers)).status_code == 200
    [*_, entry] = await house.audit()
    assert (entry["action"], entry["actor_id"], entry["address"]) == (
        "staff.logged_in",
        person.id,
        "192.0.2.7",
    )


async def test_whatever_is_wrong_the_answer_is_the_same(house: House, passwords: Passwords) -> None:
    await let_in(house, passwords)
    gone = await let_in(house, passwords, "gone", Role.VIEWER)
    async with house.db.transaction() as tx:
        await service.change_staff(tx, [StaffChange(gone.id, active=False)], [None], NOON)
    before = await house.everything()
    before.pop("audit_entries")
    answers = []
    for name, password in (
        ("ann", "wrong password"),
        ("nobody", PASSWORD),
        ("gone", PASSWORD),
        ("no name at all", PASSWORD),
    ):
        answer = await house.http.post(
            LOGIN,
            json={"username": name, "password": password},
            headers={"X-Request-Id": "r1"},
        )
        answers.append((answer.status_code, answer.text))
    assert len(set(answers)) == 1
    assert answers[0][0] == 401
    after = await house.everything()
    after.pop("audit_entries")
    assert after == before


async def test_a_refused_login_is_kept_and_guesses_flood_no_trail(
    house: House, passwords: Passwords
) -> None:
    ann = await let_in(house, passwords)
    gone = await let_in(house, passwords, "gone", Role.VIEWER)
    async with house.db.transaction() as tx:
        await service.change_staff(tx, [StaffChange(gone.id, active=False)], [None], NOON)
    known = len(await house.audit())
    guesses = [("ann", "a wrong password"), ("gone", PASSWORD), ("my secret word", "x")]
    for _ in range(3):
        for name, password in guesses:
            body = {"username": name, "password": password}
            assert (await house.http.post(LOGIN, json=body)).status_code == 401
    rows = (await house.audit())[known:]
    assert [
        (row["action"], row["subject_kind"], row["subject_id"], row["facts"]) for row in rows
    ] == [
        ("staff.login_refused", "staff", ann.id, {"refused": "PASSWORD"}),
        ("staff.login_refused", "staff", gone.id, {"refused": "DEACTIVATED"}),
        ("staff.login_refused", "sign_in", 0, {"refused": "UNKNOWN_NAME"}),
    ]
    assert {(row["actor_kind"], row["actor_id"], row["address"]) for row in rows} == {
        ("SYSTEM", None, "192.0.2.7")
    }
    told = str(await house.audit())
    assert not any(word in told for word in ("a wrong password", PASSWORD, "my secret word"))
    # A minute later somebody still guesses.
    house.clock.advance(minutes=1)
    body = {"username": "ann", "password": "a wrong password"}
    assert (await house.http.post(LOGIN, json=body)).status_code == 401
    assert len(await house.audit()) == known + 4


NO_LOGINS = (
    (b"{", "Invalid request body format"),
    (b'{"username": 1, "password": "x"}', "Invalid request body format"),
    (b'{"username": "a", "password": "b", "role": "admin"}', "Invalid request body format"),
    (b'{"password": "b"}', "Invalid Username: required"),
    (b'{"username": "a\\u0000b", "password": "b"}', "Invalid Username: printable"),
    (b'{"username": "a\\ud800b", "password": "b"}', "Invalid request body format"),
    (b'{"username": "a"}', "Invalid Password: required"),
    (b'{"username": "a", "password": "' + b"x" * 200 + b'"}', "Invalid Password: max"),
)


async def test_a_login_that_makes_no_sense_is_400(house: House) -> None:
    for body, message in NO_LOGINS:
        answer = await house.http.post(LOGIN, content=body)
        assert (answer.status_code, answer.json()["message"]) == (400, message)


async def test_ten_attempts_a_minute_and_no_more(house: House, passwords: Passwords) -> None:
    await let_in(house, passwords)
    wrong = {"username": "ann", "password": "wrong password"}
    for _ in range(10):
        assert (await house.http.post(LOGIN, json=wrong)).status_code == 401
    refused = await house.http.post(LOGIN, json={"username": "ann", "password": PASSWORD})
    assert refused.status_code == 429
    assert refused.json()["code"] == "RATE_LIMITED"
    assert int(refused.headers["retry-after"]) == 60
    house.clock.advance(seconds=61)
    await log_in(house)


async def test_a_strangers_guesses_do_not_lock_the_owner_out(
    house: House, passwords: Passwords
) -> None:
    await let_in(house, passwords)
    await log_in(house)
    house.clock.advance(seconds=61)
    house.http._transport.client = ("198.51.100.9", 1)  # type: ignore[attr-defined]
    wrong = {"username": "ann", "password": "wrong password"}
    for _ in range(10):
        assert (await house.http.post(LOGIN, json=wrong)).status_code == 401
    assert (await house.http.post(LOGIN, json=wrong)).status_code == 429
    house.http._transport.client = ("192.0.2.7", 1)  # type: ignore[attr-defined]
    await log_in(house)


async def test_all_addresses_of_a_v6_network_count_as_one(house: House) -> None:
    def come_from(address: str) -> None:
        house.http._transport.client = (address, 1)  # type: ignore[attr-defined]

    async def guess(n: int) -> int:
        body = {"username": f"nobody-{n}", "password": "wrong password"}
        return (await house.http.post(LOGIN, json=body)).status_code

    for n in range(10):
        come_from(f"2001:db8:1:2::{n:x}")
        assert await guess(n) == 401
    come_from("2001:db8:1:2:ffff::1")
    assert await guess(10) == 429
    come_from("2001:db8:1:3::1")
    assert await guess(11) == 401


async def test_logout_ends_this_session_and_no_other(house: House, passwords: Passwords) -> None:
    await let_in(house, passwords)
    await let_in(house, passwords, "bob", Role.VIEWER)
    first, second, other = await log_in(house), await log_in(house), await log_in(house, "bob")
    answer = await house.http.post("/admin/auth/logout", headers=first)
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await house.http.get(CLIENTS, headers=first)).status_code == 401
    for headers in (second, other):
        assert (await house.http.get(CLIENTS, headers=headers)).status_code == 200
    entry = (await house.audit())[-1]
    assert (entry["action"], entry["facts"]["reason"]) == ("staff.session_ended", "LOGGED_OUT")


async def test_a_change_counts_in_every_process_within_a_second(
    house: House, second_house: House, passwords: Passwords
) -> None:
    await let_in(house, passwords)
    person = await let_in(house, passwords, "bob", Role.VIEWER)
    bob, ann = await log_in(house, "bob"), await log_in(house)
    staff_url = f"/admin/api/v1/staff/{person.id}"
    for process in (house, second_house):
        assert (await process.http.get(CLIENTS, headers=bob)).status_code == 200

    async def see(status: int, method: str, url: str) -> None:
        """Both processes answer so: the one that changed it at once, the other within a second."""
        assert (await house.http.request(method, url, headers=bob)).status_code == status
        await asyncio.sleep(1)
        assert (await second_house.http.request(method, url, headers=bob)).status_code == status

    await house.http.patch(staff_url, headers=ann, json={"role": "ADMIN"})
    await see(200, "GET", "/admin/api/v1/staff")
    await house.http.patch(staff_url, headers=ann, json={"role": "viewer"})
    await see(403, "GET", "/admin/api/v1/staff")
    await house.http.patch(staff_url, headers=ann, json={"active": False})
    await see(401, "GET", CLIENTS)
    await house.http.patch(staff_url, headers=ann, json={"active": True})
    # Being let in again does not bring old tokens back.
    await see(401, "GET", CLIENTS)


async def test_a_new_password_ends_the_old_sessions(house: House, passwords: Passwords) -> None:
    person = await let_in(house, passwords)
    headers = await log_in(house)
    answer = await house.http.patch(
        f"/admin/api/v1/staff/{person.id}", headers=headers, json={"password": "another quiet one"}
    )
    assert answer.status_code == 200
    assert (await house.http.get(CLIENTS, headers=headers)).status_code == 401
    await log_in(house, password="another quiet one")
    entry = next(row for row in await house.audit() if row["action"] == "staff.changed")
    assert entry["facts"] == {"password_changed": True}


async def test_people_are_created_in_order_and_refused_one_by_one(
    house: House, passwords: Passwords
) -> None:
    asks = [
        NewStaff("ann", Role.ADMIN, PASSWORD),
        NewStaff("Ann", Role.ADMIN, PASSWORD),
        NewStaff("b", Role.ADMIN, PASSWORD),
        NewStaff("carl", Role.ADMIN, "short"),
        NewStaff("dora", Role.ADMIN, "elevenchars"),
        NewStaff("dora", Role.ADMIN, "a bell \x07 rings in it"),
        NewStaff("eve", Role.FINANCE, PASSWORD),
    ]
    digests = await passwords.digests([ask.password for ask in asks])
    async with house.db.transaction() as tx:
        answers = await service.create_staff(tx, asks, digests, NOON)
        again = await service.create_staff(tx, asks[:1], digests[:1], NOON)
    assert [type(answer) for answer in answers] == [
        Staff,
        UsernameTaken,
        InvalidField,
        InvalidField,
        InvalidField,
        InvalidField,
        Staff,
    ]
    assert [type(answer) for answer in again] == [UsernameTaken]
    created = [row for row in await house.audit() if row["action"] == "staff.created"]
    assert [row["facts"]["username"] for row in created] == ["ann", "eve"]
    assert PASSWORD not in str(await house.everything())


async def test_the_last_admin_stays(house: House, passwords: Passwords) -> None:
    first = await let_in(house, passwords)
    second = await let_in(house, passwords, "bob")
    before = await house.everything()

    async def change(*asks: StaffChange) -> list[Staff | Refusal]:
        async with house.db.transaction() as tx:
            return await service.change_staff(tx, asks, [None] * len(asks), NOON)

    # Together they would leave nobody: the first goes, the second stays.
    [gone, kept] = await change(
        StaffChange(first.id, role=Role.VIEWER), StaffChange(second.id, active=False)
    )
    assert isinstance(gone, Staff)
    assert isinstance(kept, LastAdmin)
    assert await house.everything() != before
    before = await house.everything()
    assert isinstance((await change(StaffChange(second.id, role=Role.FINANCE)))[0], LastAdmin)
    assert await house.everything() == before


async def test_two_admins_cannot_demote_each_other_at_once(
    house: House, passwords: Passwords
) -> None:
    first = await let_in(house, passwords)
    second = await let_in(house, passwords, "bob")

    async def demote(staff_id: int) -> Staff | Refusal:
        async with house.db.transaction() as tx:
            [answer] = await service.change_staff(
                tx, [StaffChange(staff_id, role=Role.VIEWER)], [None], NOON
            )
        return answer

    answers = await asyncio.gather(demote(first.id), demote(second.id))
    assert sorted(type(answer).__name__ for answer in answers) == ["LastAdmin", "Staff"]
