"""A second person is another one: not an account that whoever asks had in hand, nor the reverse."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rewards.staff.model import Role
from tests.staff.office import API
from tests.staff.signed_in import bearer, sign_in
from tests.staff.till import Till, open_till

PASSWORD = "correct horse battery"
NEW = {"password": PASSWORD, "reason": "forgotten"}


@pytest.fixture
async def till(dsn: str, tmp_path: Path) -> AsyncIterator[Till]:
    async with open_till(dsn, tmp_path) as made:
        yield made


async def let_in(till: Till, by: str, name: str, role: Role = Role.ADMIN) -> str:
    """Somebody whom one of the staff made through the API, logged in."""
    body = {"username": name, "password": PASSWORD, "role": role}
    made = await till.office.ask(by, "POST", "/staff", body, 201)
    till.office.people[name] = made["id"]
    async with till.office.shop.parts.db.connection() as connection:
        await sign_in(connection, made["id"])
    return name


async def asked(till: Till, who: str, reference: str = "") -> str:
    """The path of a request above the limit."""
    body = {"amount": "100.01", "reference": reference or who}
    told = await till.book("top-up", body, who=who)
    return f"/approvals/{told['approval_id']}"


async def change(till: Till, act: str) -> None:
    """What the admin does with the account of `mate`."""
    office = till.office
    path = f"/staff/{office.people['mate']}"
    if act == "factor":
        async with office.shop.parts.db.connection() as connection:
            await connection.execute(
                "INSERT INTO staff_second_factors (staff_id, secret, created_at, confirmed_at)"
                " VALUES ($1, 'sealed', now(), now())",
                office.people["mate"],
            )
        body = {"reason": "lost"}
        await office.status("admin", "POST", path + "/second-factor/reset", body)
    elif act == "active":
        for active in (False, True):
            await office.ask("admin", "PATCH", path, {"active": active, "reason": "back"})
    else:
        body = NEW if act == "password" else {"role": "finance", "reason": "moved"}
        await office.ask("admin", "PATCH", path, body)


async def signed_in_again(till: Till, name: str) -> dict[str, str]:
    """Headers of a new session: the others ended with what was changed."""
    office, staff_id = till.office, till.office.people[name]
    async with office.shop.parts.db.connection() as connection:
        await connection.execute("DELETE FROM staff_sessions WHERE staff_id = $1", staff_id)
        await sign_in(connection, staff_id)
        epoch = await connection.fetchval(
            "SELECT token_epoch FROM staff_users WHERE id = $1", staff_id
        )
    await office.shop.refresh()
    return bearer(office.shop.parts.vault, staff_id, office.shop.now, epoch=epoch)


@pytest.mark.parametrize("act", ["password", "role", "active", "factor"])
async def test_who_asks_agrees_by_no_account_that_they_changed(till: Till, act: str) -> None:
    office = till.office
    await office.hire(Role.ADMIN, "mate")
    await office.hire(Role.ADMIN, "other")
    number = await asked(till, "admin")
    await change(till, act)

    async def said() -> Any:
        headers = await signed_in_again(till, "mate")
        before = await office.shop.everything()
        answer = await office.http.post(f"{API}{number}/approve", headers=headers)
        if not answer.is_success:
            assert await office.shop.everything() == before
        return answer.status_code, answer.json().get("code")

    assert await said() == (403, "SAME_HANDS")
    await office.work_off()
    assert await till.balance() == 100_000
    # By then others have had a day to notice.
    till.clock.ahead += timedelta(hours=24)
    assert await said() == (200, None)
    second = await asked(till, "admin", "another")
    await office.ask("other", "POST", f"{second}/approve")
    await office.work_off()
    assert await till.balance() == 100_000 + 2 * 10_001


async def test_who_was_let_in_by_the_asker_agrees_to_nothing_but_may_say_no(till: Till) -> None:
    office = till.office
    number = await asked(till, "admin")
    puppet = await let_in(till, "admin", "puppet")
    assert await office.refused(puppet, "POST", f"{number}/approve", None, 403) == "SAME_HANDS"
    # Nor does whom the puppet lets in.
    second = await let_in(till, puppet, "second", Role.FINANCE)
    assert await office.refused(second, "POST", f"{number}/approve", None, 403) == "SAME_HANDS"
    # The same the other way round, and between two puppets.
    theirs = await asked(till, second)
    for who in ("admin", puppet):
        told = await office.refused(who, "POST", f"{theirs}/approve", None, 403)
        assert told == "SAME_HANDS"
    # Whom nobody of them had in hand agrees to either, and a no does not wait for them.
    await office.ask("finance", "POST", f"{number}/approve")
    await office.ask(puppet, "POST", f"{theirs}/reject", {"reason": "nobody sent it"})
    await office.work_off()
    assert await till.balance() == 100_000 + 10_001


async def test_what_changes_nothing_and_ones_own_are_in_nobodys_hands(till: Till) -> None:
    office = till.office
    await office.hire(Role.ADMIN, "mate")
    number = await asked(till, "admin")
    path = f"/staff/{office.people['mate']}"
    await office.ask("admin", "PATCH", path, {"role": "admin", "active": True, "reason": "same"})
    await office.ask("mate", "PATCH", path, {"role": "finance", "reason": "less"})
    await office.shop.refresh()
    await office.ask("mate", "POST", f"{number}/approve")
