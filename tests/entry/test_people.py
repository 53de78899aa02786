"""`rewards staff add`: the first admin of a deployment comes through it, and can log in."""

import pytest
from pydantic import SecretStr

from rewards.core.clock import SystemClock
from rewards.entry.people import add_staff
from rewards.infra.db import Database
from rewards.infra.passwords import Passwords
from rewards.infra.settings import Settings
from rewards.staff import service
from rewards.staff.model import Role


async def test_the_first_admin_is_let_in_and_shown_a_password_once(
    dsn: str, db: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(database_url=SecretStr(dsn))
    assert await add_staff(settings, "Ann", Role.ADMIN) == 0
    told = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert (told["username"], told["role"]) == ("ann", "admin")
    found = await service.find_login(db, "ann", None)
    passwords = Passwords()
    assert await passwords.matches(found.password_hash, told["password"])
    passwords.close()
    async with db.connection() as connection:
        [row] = await connection.fetch("SELECT * FROM audit_entries")
    assert (row["action"], row["actor_kind"]) == ("staff.created", "SYSTEM")
    assert row["at"] <= SystemClock().now()


async def test_a_name_that_is_taken_is_told_and_nothing_changes(
    dsn: str, db: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(database_url=SecretStr(dsn))
    await add_staff(settings, "ann", Role.ADMIN)
    capsys.readouterr()
    assert await add_staff(settings, "ann", Role.VIEWER) == 1
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "Username is already in use\n")
    async with db.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM staff_users") == 1
        assert await connection.fetchval("SELECT count(*) FROM audit_entries") == 1
