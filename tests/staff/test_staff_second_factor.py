"""Second factors: set up, asked for at every login, each code good once, lost and removed."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rewards.infra.db import Database
from rewards.infra.passwords import Passwords
from rewards.staff.model import Role
from tests.staff.house import PASSWORD, House, MovedClock, furnish, opened
from tests.staff.people import (
    API,
    FACTOR,
    LOGIN,
    LOGOUT,
    ME,
    Authenticator,
    ask,
    enrol,
    let_in,
    log_in,
    refused,
)

CLIENTS = f"{API}/clients"
RIGHT = {"username": "ann", "password": PASSWORD}


@pytest.fixture
async def strict_house(db: Database, tmp_path: Path, passwords: Passwords) -> AsyncIterator[House]:
    """Everybody must have a second factor here."""
    client, wallet = await furnish(db)
    rules = {"staff_second_factor": "required"}
    async with opened(db, tmp_path, passwords, MovedClock(), client, wallet, **rules) as made:
        yield made


async def test_a_factor_is_set_up_and_asked_for(house: House, passwords: Passwords) -> None:
    person = await let_in(house, passwords)
    first, second = await log_in(house), await log_in(house)
    begun = await house.http.post(FACTOR, headers=first)
    assert begun.status_code == 201
    assert begun.headers["cache-control"] == "no-store"
    told = begun.json()
    assert told["uri"].startswith("otpauth://totp/Starship%20Rewards:ann?secret=")
    assert told["secret"] in told["uri"]
    # It is not asked for before it is confirmed.
    await log_in(house)
    assert (await ask(house, first, "GET", ME))["second_factor"] is False
    phone = await enrol(house, first)
    me = await ask(house, first, "GET", ME)
    assert (me["second_factor"], me["recovery_codes_left"]) == (True, 10)
    assert me["session"]["proof"] == "PASSWORD_AND_CODE"
    assert len(set(phone.recovery_codes)) == 10
    # Sessions that have shown no code are over.
    assert (await house.http.get(CLIENTS, headers=second)).status_code == 401
    assert await refused(house, None, "POST", LOGIN, RIGHT) == (401, "SECOND_FACTOR_REQUIRED")
    assert (await ask(house, {}, "POST", LOGIN, RIGHT | {"code": phone.code()}))["staff_id"]
    actions = [row["action"] for row in await house.audit() if row["subject_id"] == person.id]
    # Handed out twice, here and to the phone.
    assert actions.count("staff.second_factor_begun") == 2
    assert "staff.second_factor_on" in actions
    everything = str(await house.everything()) + str(await house.audit())
    assert told["secret"] not in everything
    assert not any(code in everything for code in phone.recovery_codes)


async def test_only_the_right_password_hears_of_the_factor(
    house: House, passwords: Passwords
) -> None:
    await let_in(house, passwords)
    phone = await enrol(house, await log_in(house))
    for body in (
        {"username": "ann", "password": "wrong password"},
        {"username": "ann", "password": "wrong password", "code": phone.code()},
        {"username": "nobody", "password": PASSWORD, "code": phone.code()},
        {"username": "nobody", "password": PASSWORD, "recovery_code": phone.recovery_codes[0]},
    ):
        assert await refused(house, None, "POST", LOGIN, body) == (401, "UNAUTHORIZED")


async def test_a_code_that_nobody_asked_for_is_no_matter(
    house: House, passwords: Passwords
) -> None:
    await let_in(house, passwords)
    await log_in(house, code="123456")


async def test_a_code_is_good_once_and_not_after_a_later_one(
    house: House, passwords: Passwords
) -> None:
    await let_in(house, passwords)
    phone = await enrol(house, await log_in(house))
    ahead = phone.code(1)
    for body in ({"code": phone.wrong}, {"code": phone.code(-1)}, {"code": phone.code(2)}):
        # The one before was used to confirm; the one after the next is not of this time.
        assert await refused(house, None, "POST", LOGIN, RIGHT | body) == (401, "CODE_REFUSED")
    # As people type it.
    await log_in(house, code=f"{ahead[:3]} {ahead[3:]}")
    house.clock.advance(minutes=6)
    used = phone.code()
    await log_in(house, code=used)
    assert await refused(house, None, "POST", LOGIN, RIGHT | {"code": used}) == (
        401,
        "CODE_REFUSED",
    )


async def test_of_two_uses_of_one_code_at_once_one_wins(
    house: House, second_house: House, passwords: Passwords
) -> None:
    await let_in(house, passwords)
    phone = await enrol(house, await log_in(house))
    for body in (
        lambda: {"code": phone.code()},
        lambda: {"recovery_code": phone.recovery_codes[0]},
        lambda: {"recovery_code": phone.recovery_codes[1]},
        lambda: {"code": phone.code()},
    ):
        house.clock.advance(minutes=6)
        sent = RIGHT | body()
        answers = await asyncio.gather(
            *(each.http.post(LOGIN, json=sent) for each in (house, second_house) * 2)
        )
        codes = sorted(answer.json().get("code", "") for answer in answers)
        assert codes == ["", "CODE_REFUSED", "CODE_REFUSED", "CODE_REFUSED"]


async def test_a_login_and_a_proof_do_not_share_a_code(house: House, passwords: Passwords) -> None:
    await let_in(house, passwords)
    headers = await log_in(house)
    phone = await enrol(house, headers)
    await ask(house, headers, "POST", f"{ME}/prove", {"code": phone.code()})
    body = RIGHT | {"code": phone.code()}
    assert await refused(house, None, "POST", LOGIN, body) == (401, "CODE_REFUSED")


async def test_recovery_codes_let_in_once_each(house: House, passwords: Passwords) -> None:
    await let_in(house, passwords)
    phone = await enrol(house, await log_in(house))
    typed = phone.recovery_codes[3].replace("-", " ").lower()
    headers = await log_in(house, recovery_code=typed)
    me = await ask(house, headers, "GET", ME)
    assert me["recovery_codes_left"] == 9
    assert me["session"]["proof"] == "PASSWORD_AND_RECOVERY_CODE"
    again = RIGHT | {"recovery_code": phone.recovery_codes[3]}
    assert await refused(house, None, "POST", LOGIN, again) == (401, "CODE_REFUSED")
    # Somebody else's is nobody's here.
    await let_in(house, passwords, "bob")
    theirs = await enrol(house, await log_in(house, "bob"))
    foreign = RIGHT | {"recovery_code": theirs.recovery_codes[0]}
    assert await refused(house, None, "POST", LOGIN, foreign) == (401, "CODE_REFUSED")


async def test_after_five_codes_one_waits_but_not_for_good(
    house: House, passwords: Passwords
) -> None:
    await let_in(house, passwords)
    phone = await enrol(house, await log_in(house))
    house.clock.advance(minutes=6)
    for _ in range(5):
        body = RIGHT | {"code": phone.wrong}
        assert await refused(house, None, "POST", LOGIN, body) == (401, "CODE_REFUSED")
    body = RIGHT | {"code": phone.code()}
    assert await refused(house, None, "POST", LOGIN, body) == (429, "RATE_LIMITED")
    house.clock.advance(minutes=5, seconds=1)
    await log_in(house, code=phone.code())


async def test_who_guesses_from_elsewhere_keeps_nobody_out(
    house: House, passwords: Passwords
) -> None:
    await let_in(house, passwords)
    phone = await enrol(house, await log_in(house))
    transport = house.http._transport
    transport.client = ("198.51.100.9", 1)  # type: ignore[attr-defined]
    for expected in ["CODE_REFUSED"] * 5 + ["RATE_LIMITED"]:
        body = RIGHT | {"code": phone.wrong}
        assert (await refused(house, None, "POST", LOGIN, body))[1] == expected
    transport.client = ("192.0.2.7", 1)  # type: ignore[attr-defined]
    await log_in(house, code=phone.code())


NO_CODES = (
    ({"code": "12345"}, "Invalid Code: format"),
    ({"code": "١٢٣٤٥٦"}, "Invalid Code: format"),
    ({"code": ""}, "Invalid Code: format"),
    ({"recovery_code": "x"}, "Invalid RecoveryCode: format"),
    ({"code": "123456", "recovery_code": "A" * 16}, "Invalid RecoveryCode: not together with code"),
    ({"code": 123456}, "Invalid request body format"),
)


async def test_what_can_be_no_code_is_400(house: House, passwords: Passwords) -> None:
    await let_in(house, passwords)
    for body, message in NO_CODES:
        answer = await house.http.post(LOGIN, json=RIGHT | body)
        assert (answer.status_code, answer.json()["message"]) == (400, message)


async def test_it_is_confirmed_by_its_own_code_alone(house: House, passwords: Passwords) -> None:
    await let_in(house, passwords)
    headers, confirm = await log_in(house), f"{FACTOR}/confirm"
    body = {"code": "123456"}
    told = await refused(house, headers, "POST", confirm, body)
    assert told == (409, "NO_PENDING_SECOND_FACTOR")
    await ask(house, headers, "POST", FACTOR)
    phone = await enrol(house, headers)
    assert await refused(house, headers, "POST", FACTOR) == (409, "SECOND_FACTOR_ON")
    body = {"code": phone.code()}
    assert (await refused(house, headers, "POST", confirm, body))[0] == 409
    # The first secret was forgotten when the second was asked for.
    await let_in(house, passwords, "bob")
    bob = await log_in(house, "bob")
    await ask(house, bob, "POST", FACTOR)
    assert (await refused(house, bob, "POST", confirm, body)) == (403, "PROOF_REFUSED")
    assert await refused(house, bob, "POST", confirm, {}) == (400, "INVALID_FIELD")


async def test_it_is_removed_by_a_code(house: House, passwords: Passwords) -> None:
    person = await let_in(house, passwords)
    headers, remove = await log_in(house), f"{FACTOR}/remove"
    body = {"code": "123456"}
    assert await refused(house, headers, "POST", remove, body) == (409, "SECOND_FACTOR_OFF")
    phone = await enrol(house, headers)
    other = await log_in(house, code=phone.code())
    house.clock.advance(seconds=30)
    # A minute is over: being seen is behind us.
    await ask(house, headers, "GET", ME)
    for wrong, code in (
        ({}, "INVALID_FIELD"),
        ({"password": PASSWORD}, "INVALID_FIELD"),
        ({"recovery_code": phone.recovery_codes[0]}, "INVALID_FIELD"),
        ({"code": phone.wrong}, "PROOF_REFUSED"),
    ):
        assert (await refused(house, headers, "POST", remove, wrong))[1] == code
    await ask(house, headers, "POST", remove, {"code": phone.code()})
    assert (await house.http.get(CLIENTS, headers=headers)).status_code == 200
    assert (await house.http.get(CLIENTS, headers=other)).status_code == 401
    await log_in(house)
    [entry] = [row for row in await house.audit() if row["action"] == "staff.second_factor_off"]
    assert (entry["actor_id"], entry["subject_id"]) == (person.id, person.id)
    # And may be set up anew.
    assert len((await enrol(house, headers)).recovery_codes) == 10


async def test_who_lost_the_phone_removes_it_by_password_and_recovery_code(
    house: House, passwords: Passwords
) -> None:
    await let_in(house, passwords)
    headers, remove = await log_in(house), f"{FACTOR}/remove"
    phone = await enrol(house, headers)
    paper = {"recovery_code": phone.recovery_codes[0]}
    for wrong in (
        paper | {"password": "wrong password"},
        {"recovery_code": "A" * 16, "password": PASSWORD},
    ):
        assert await refused(house, headers, "POST", remove, wrong) == (403, "PROOF_REFUSED")
    await ask(house, headers, "POST", remove, paper | {"password": PASSWORD})
    await log_in(house)


async def test_an_admin_resets_anothers_and_never_their_own(
    house: House, passwords: Passwords
) -> None:
    person, admin = await let_in(house, passwords), await let_in(house, passwords, "bob")
    headers, bob = await log_in(house), await log_in(house, "bob")
    await enrol(house, headers)
    reset = f"{API}/staff/{person.id}/second-factor/reset"
    own = f"{API}/staff/{admin.id}/second-factor/reset"
    assert await refused(house, bob, "POST", own) == (409, "OWN_SECOND_FACTOR")
    nobody = f"{API}/staff/999999/second-factor/reset"
    assert await refused(house, bob, "POST", nobody) == (404, "STAFF_NOT_FOUND")
    await ask(house, bob, "POST", reset)
    assert (await house.http.get(CLIENTS, headers=headers)).status_code == 401
    await log_in(house)
    [entry] = [row for row in await house.audit() if row["action"] == "staff.second_factor_reset"]
    assert (entry["actor_id"], entry["subject_id"]) == (admin.id, person.id)
    assert await refused(house, bob, "POST", reset) == (409, "SECOND_FACTOR_OFF")


async def test_where_it_is_required_nothing_else_is_open_without_one(
    strict_house: House, passwords: Passwords
) -> None:
    house = strict_house
    await let_in(house, passwords)
    headers = await log_in(house)
    me = await ask(house, headers, "GET", ME)
    assert (me["second_factor"], me["second_factor_needed"]) == (False, True)
    for method, path, body in (
        ("GET", CLIENTS, None),
        ("GET", f"{API}/sessions", None),
        ("POST", f"{API}/sessions/end-others", None),
        ("POST", f"{ME}/password", {}),
        ("POST", f"{FACTOR}/remove", {"code": "123456"}),
        ("POST", f"{API}/staff", {}),
    ):
        told = await refused(house, headers, method, path, body)
        assert told == (403, "SECOND_FACTOR_NEEDED")
    answer = await house.http.get(CLIENTS, headers=headers)
    assert answer.json()["details"] == {"do": f"POST {FACTOR}"}
    phone = await enrol(house, headers)
    assert (await house.http.get(CLIENTS, headers=headers)).status_code == 200
    assert (await ask(house, headers, "GET", ME))["second_factor_needed"] is False
    # Who takes it away is where they began.
    await ask(house, headers, "POST", f"{FACTOR}/remove", {"code": phone.code()})
    assert await refused(house, headers, "GET", CLIENTS) == (403, "SECOND_FACTOR_NEEDED")
    await ask(house, headers, "POST", LOGOUT)


async def test_one_set_up_in_another_process_opens_the_doors_here_at_once(
    strict_house: House, db: Database, tmp_path: Path, passwords: Passwords
) -> None:
    here = strict_house
    rules = {"staff_second_factor": "required"}
    await let_in(here, passwords, role=Role.VIEWER)
    async with opened(
        db, tmp_path, passwords, here.clock, here.client, here.wallet, **rules
    ) as there:
        headers = await log_in(here)
        assert (await here.http.get(CLIENTS, headers=headers)).status_code == 403
        phone: Authenticator = await enrol(there, headers)
        assert (await here.http.get(CLIENTS, headers=headers)).status_code == 200
        assert len(phone.recovery_codes) == 10
