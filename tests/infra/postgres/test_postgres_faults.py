"""The embedded server after every kind of kill, and among half-made and foreign things."""

import asyncio
import os
import random
import shutil
import signal
import socket
import sys
from pathlib import Path

import asyncpg
import pytest

from rewards.infra import postgres_files, postgres_process
from rewards.infra.postgres import PostgresProblem, Server, ensure_server, stop_server
from rewards.infra.postgres_files import SOCKET
from tests import processes
from tests.infra.postgres.homes import (
    START,
    all_processes,
    gone,
    head,
    installed_elsewhere,
    root_only,
    run,
    up,
    word,
)


async def test_a_killed_head_is_replaced_and_nothing_is_lost(home: Path, kept: Server) -> None:
    os.kill(head(home), signal.SIGKILL)
    assert await word(await up(home)) == "kept"


async def test_a_killed_everything_is_replaced(home: Path, kept: Server) -> None:
    processes.strike(all_processes(home), signal.SIGKILL)
    assert await word(await up(home)) == "kept"


@pytest.mark.long
@pytest.mark.parametrize("seed", range(20))
async def test_kills_of_any_kind_lose_nothing(fresh: Path, seed: int) -> None:
    dice = random.Random(seed)
    await run(await ensure_server(fresh), "CREATE TABLE rounds (n int)")
    for n in range(5):
        await run(await ensure_server(fresh), f"INSERT INTO rounds VALUES ({n})")
        alive = all_processes(fresh)
        processes.strike(dice.sample(alive, dice.randint(1, len(alive))), signal.SIGKILL)
        starters = [ensure_server(fresh) for _ in range(dice.randint(1, 3))]
        server, *_ = await asyncio.gather(*starters)
        assert await run(server, "SELECT array_agg(n ORDER BY n) FROM rounds") == [*range(n + 1)]


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
    server = await up(home)
    await gone(pid)
    with pytest.raises(asyncpg.ConnectionDoesNotExistError):
        await busy
    assert await word(server) == "kept"


async def test_a_stale_pid_file_that_names_a_living_stranger_is_seen_through(
    home: Path, kept: Server
) -> None:
    stranger = await processes.start(["sleep", "60"])
    old = (home / "pgdata/postmaster.pid").read_text().split("\n", 1)
    processes.strike(all_processes(home), signal.SIGKILL)
    await gone(int(old[0]))
    (home / "pgdata/postmaster.pid").write_text(f"{stranger.pid}\n{old[1]}")
    (home / "run" / f"{SOCKET}.lock").write_text(f"{stranger.pid}\n{old[1]}")
    assert await word(await up(home)) == "kept"
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
    assert await word(await up(home)) == "kept"


async def test_a_stop_ends_open_connections(home: Path, kept: Server) -> None:
    connection = await asyncpg.connect(kept.owner_dsn)
    await connection.execute("BEGIN; UPDATE words SET word = 'lost'")
    await asyncio.wait_for(stop_server(home), 5)
    connection.terminate()
    assert await word(await up(home)) == "kept"


@pytest.mark.parametrize("orphaned", [False, True])
async def test_a_half_run_initdb_is_waited_for_and_done_again(fresh: Path, orphaned: bool) -> None:
    starter = await processes.start([sys.executable, "-c", START, str(fresh)])
    new = fresh / "pgdata.new"
    while not (new / "global").exists():
        await asyncio.sleep(0.001)
    (os.kill if orphaned else os.killpg)(starter.pid, signal.SIGKILL)
    assert not (fresh / "pgdata").exists()
    server = await up(fresh)
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
            await up(fresh)
        assert (fresh / name / inside).read_text() == "dear"
        shutil.rmtree(fresh / name)


async def test_data_of_another_major_version_is_left_alone(home: Path, kept: Server) -> None:
    await stop_server(home)
    (home / "pgdata/PG_VERSION").write_text("15\n")
    before = sorted(f.name for f in (home / "pgdata").rglob("*"))
    with pytest.raises(PostgresProblem, match=r"by PostgreSQL 15, but PostgreSQL 18.*pg_dump"):
        await up(home)
    assert sorted(f.name for f in (home / "pgdata").rglob("*")) == before
    (home / "pgdata/PG_VERSION").write_text("18\n")
    assert await word(await up(home)) == "kept"


async def test_lost_passwords_are_not_made_up(home: Path, kept: Server) -> None:
    await stop_server(home)
    file = home / "postgres.json"
    text = file.read_text()
    file.unlink()
    with pytest.raises(PostgresProblem, match="put it back from a backup"):
        await up(home)
    file.write_text(text)
    assert await word(await up(home)) == "kept"


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
            await up(home)
        assert (home / "run" / SOCKET).exists()
    assert await word(await up(home)) == "kept"


@root_only
async def test_data_of_another_owner_is_refused(home: Path, kept: Server) -> None:
    await stop_server(home)
    owner = (home / "pgdata").stat().st_uid
    os.chown(home / "pgdata", 0, 0)
    with pytest.raises(PostgresProblem, match=r"belongs to root \(uid 0\).*chown -R"):
        await up(home)
    os.chown(home / "pgdata", owner, owner)
    assert await word(await up(home)) == "kept"


@root_only
async def test_an_ordinary_user_has_a_server_too_but_not_in_roots_home(
    fresh: Path, programs: Path
) -> None:
    fresh.chmod(0o755)
    # Wherever this tree is installed, they may not be able to read it.
    site = installed_elsewhere(fresh / "site", "18.6", programs)
    theirs = fresh / "theirs"
    theirs.mkdir()
    os.chown(theirs, 65534, 65534)
    outcome = await as_nobody(theirs, site)
    assert outcome == f"18 {theirs.stat().st_uid}"
    assert "belongs to root (uid 0), but this runs as nobody" in await as_nobody(fresh, site)


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
sys.path.insert(0, sys.argv[2])
os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    print(asyncio.run(both(Path(sys.argv[1]))))
except postgres.PostgresProblem as problem:
    print(problem)
"""


async def as_nobody(home: Path, site: Path) -> str:
    process = await processes.start([sys.executable, "-c", AS_NOBODY, str(home), str(site)])
    await process.wait(30)
    return process.output().strip()
