"""The embedded server: from nothing, again, and by several starters at once."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from rewards.infra import postgres_files
from rewards.infra.postgres import PostgresProblem, Server, binaries, ensure_server, stop_server
from tests import processes
from tests.infra.postgres.homes import (
    START,
    all_processes,
    head,
    installed_elsewhere,
    root_only,
    run,
    starts,
    up,
    word,
)


async def test_a_server_comes_up_from_nothing_and_is_durable(fresh: Path) -> None:
    server = await ensure_server(fresh)
    assert server.version.startswith("18.")
    expected = {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "data_checksums": "on",
        "listen_addresses": "",
        "server_encoding": "UTF8",
    }
    for name, value in expected.items():
        assert await run(server, f"SHOW {name}") == value, name
    assert await run(server, "SELECT current_database()") == "rewards"


async def test_the_app_role_has_no_more_than_it_is_granted(home: Path) -> None:
    server = await up(home)
    connection = await asyncpg.connect(server.app_dsn)
    role = await connection.fetchrow("SELECT * FROM pg_roles WHERE rolname = current_user")
    assert role["rolname"] == "rewards_app"
    powers = ("super", "inherit", "createrole", "createdb", "replication", "bypassrls")
    assert [p for p in powers if role[f"rol{p}"]] == ["inherit"]
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("CREATE TABLE mine (id int)")
    await connection.close()
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(server.app_dsn.replace("/rewards?", "/postgres?"))


async def test_nobody_gets_in_without_the_password(home: Path) -> None:
    server = await up(home)
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(server.owner_dsn, password="guess")
    file = home / "postgres.json"
    assert file.stat().st_mode & 0o777 == 0o600
    secrets = postgres_files.passwords(postgres_files.place(home)).values()
    seen = repr(server) + (home / "postgres.log").read_text()
    assert not [secret for secret in secrets if secret in seen]


async def test_its_own_psql_and_pgbench_work(home: Path) -> None:
    server = await up(home)
    programs = binaries(home)
    assert programs.is_relative_to(home)

    def said(*command: str) -> str:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    psql = str(programs / "psql")
    assert said(psql, "-At", server.app_dsn, "-c", "SELECT current_user") == "rewards_app\n"
    said(str(programs / "pgbench"), "-i", "-q", server.owner_dsn)
    assert "pgbench_accounts" in said(psql, "-At", server.owner_dsn, "-c", "\\dt")


@pytest.mark.parametrize("name", ["with a space", "ünï→ 家", "deep/" * 40 + "down"])
async def test_any_sane_folder_will_do(fresh: Path, name: str) -> None:
    folder = fresh / name
    server = await up(folder)
    assert await run(server, "SELECT 1") == 1
    assert (await up(folder)).app_dsn == server.app_dsn
    await stop_server(folder)
    # A process that kept the DSN finds the next server under it.
    assert (await up(folder)).app_dsn == server.app_dsn
    await stop_server(folder)


async def test_a_name_that_a_shell_would_misread_is_refused(fresh: Path) -> None:
    with pytest.raises(PostgresProblem, match=r"has '\$' in its name.*choose another"):
        await up(fresh / "a$b")
    assert not (fresh / "a$b").exists()


async def test_a_platform_without_the_wheel_is_told_what_to_set(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_files, "DISTRIBUTION", "no-such-wheel")
    with pytest.raises(PostgresProblem, match="REWARDS_DATABASE_URL"):
        await up(fresh)


@root_only
async def test_a_home_that_the_account_cannot_reach_works_all_the_same(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = fresh / "shared"
    monkeypatch.setattr(postgres_files, "SHARED", shared)
    closed = fresh / "closed"
    closed.mkdir(mode=0o700)
    server = await up(closed / "home")
    await run(server, "CREATE TABLE words AS SELECT 'kept' AS word")
    assert await run(server, "SELECT pg_reload_conf()") is True
    assert binaries(closed / "home").is_relative_to(shared)
    assert closed.stat().st_mode & 0o777 == 0o700
    os.kill(head(closed / "home"), signal.SIGKILL)
    assert await word(await up(closed / "home")) == "kept"
    await stop_server(closed / "home")


async def test_a_second_start_keeps_the_data(home: Path, kept: Server) -> None:
    await stop_server(home)
    assert all_processes(home) == []
    assert await word(await up(home)) == "kept"


async def test_two_stops_are_as_good_as_one(home: Path, kept: Server) -> None:
    await stop_server(home)
    await stop_server(home)
    await stop_server(home / "never")


async def test_a_new_wheel_brings_new_programs_and_keeps_the_data(
    home: Path, kept: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = binaries(home)
    await stop_server(home)
    site = installed_elsewhere(home / "site", "18.99", before.parents[2])
    monkeypatch.syspath_prepend(str(site))
    server = await up(home)
    assert (binaries(home).parents[2].name, before.exists()) == ("pg-18.99", True)
    if sys.platform == "linux":
        assert Path(f"/proc/{head(home)}/exe").samefile(binaries(home) / "postgres")
    assert await word(server) == "kept"


async def test_a_broken_copy_of_the_programs_is_made_again(
    home: Path, kept: Server, programs: Path
) -> None:
    await stop_server(home)
    (home / programs.name).unlink()
    copied = binaries(home)
    assert not copied.resolve().is_relative_to(programs)
    (copied / "postgres").write_bytes(b"")
    assert await word(await up(home)) == "kept"


async def test_four_starters_at_once_share_one_server(fresh: Path) -> None:
    for _ in range(2):
        command = [sys.executable, "-c", START, str(fresh)]
        starters = [await processes.start(command) for _ in range(4)]
        codes = [await starter.wait(60) for starter in starters]
        assert codes == [0, 0, 0, 0], [starter.output() for starter in starters]
    assert starts(fresh) == 1
    assert len([pid for pid in all_processes(fresh) if pid == head(fresh)]) == 1


async def test_the_server_outlives_its_starter_and_is_joined(fresh: Path) -> None:
    starter = await processes.start([sys.executable, "-c", START, str(fresh), "stay"])
    while "18." not in starter.output():
        assert starter.returncode is None, starter.output()
        await asyncio.sleep(0.02)
    pid = head(fresh)
    os.killpg(starter.pid, signal.SIGKILL)
    await starter.wait()
    assert await run(await up(fresh), "SELECT 1") == 1
    assert (head(fresh), starts(fresh)) == (pid, 1)


async def test_a_lost_lock_file_makes_no_second_server(home: Path, kept: Server) -> None:
    before = (head(home), starts(home))
    for lock in ("postgres.lock", "postgres.alive"):
        (home / lock).unlink()
    assert await word(await up(home)) == "kept"
    assert (head(home), starts(home)) == before
