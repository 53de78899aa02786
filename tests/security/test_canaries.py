"""No code, PIN, link, password, secret or token is anywhere but where it must be (spec.md §4)."""

import asyncio
import json
import shutil
import stat
import subprocess
import sys
import tempfile
from base64 import b64encode, urlsafe_b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
import httpx
import pytest

from rewards.infra.postgres import binaries
from tests import processes
from tests.processes import Process
from tests.security.story import MARK, Day, read_card
from tests.security.sweep import Sweep, Watch, forms

READY_S = 90.0
STOP_S = 30.0
# They are made to hold secrets, for their owner's eyes only.
KEPT = ("sandbox.json", "master.key", "postgres.json")
# Where a code would do the most harm: what leaves the house, and what is kept for ever.
LEAVING = ("events", "audit_entries", "pgqueuer", "pgqueuer_log", "idempotency_keys")


class House:
    """A running sandbox: its folder, its temporary files, its processes."""

    def __init__(self, home: Path, scratch: Path, process: Process, base_url: str) -> None:
        self.home = home
        self.scratch = scratch
        self.process = process
        self.base_url = base_url


@pytest.fixture
async def house(sandbox_home: Path) -> AsyncIterator[House]:
    home = sandbox_home
    scratch = Path(tempfile.mkdtemp(prefix="rewards-scratch-"))
    port = processes.free_port()
    command = [sys.executable, "-m", "rewards.entry", "sandbox", "--port", str(port)]
    environment = {"TMPDIR": str(scratch), "PYTHONASYNCIODEBUG": ""}
    process = await processes.start([*command, "--home", str(home)], environment)
    try:
        async with asyncio.timeout(READY_S):
            while not (home / "sandbox.json").exists():
                assert process.returncode is None, process.output()
                await asyncio.sleep(0.1)
        yield House(home, scratch, process, f"http://127.0.0.1:{port}")
    finally:
        await process.stop(STOP_S)
        shutil.rmtree(scratch)


async def test_no_secret_is_found_where_it_does_not_belong(house: House) -> None:
    """A day of 140 sold codes and 110,000 marked rows, then every file and table: some 20 s."""
    card = read_card(house.home)
    owner = await asyncpg.connect(card["database_url"])
    async with httpx.AsyncClient(base_url=house.base_url, timeout=60, trust_env=False) as http:
        day = Day(http, card, owner)
        with Watch(house.scratch) as watch:
            await day.live()
    known = database_passwords(house.home)
    sweep = Sweep([MARK], day.secrets | known)
    # Jobs in the queue are done or at least begun; what the worker says of them is in the log.
    await asyncio.sleep(1)
    found = {
        "replies": [
            hit
            for reply in day.replies
            for hit in sweep.text(f"{reply.what} {reply.status}", reply.headers)
            + ([] if reply.own else sweep.text(f"{reply.what} {reply.status}", reply.body))
        ],
        "logs": sweep.text("output", but_once(house.process.output(), card)),
        "tables": await tables(owner, sweep),
        "dump": sweep.text("pg_dump", await dump(house.home, card["database_url"])),
        "temporary": [hit for name, held in watch.seen.items() for hit in sweep.text(name, held)]
        + sweep.folder(house.scratch),
        "process list": command_lines(sweep),
        "environments": environments(Sweep([MARK], day.secrets)),
    }
    await owner.execute("CHECKPOINT")
    spared = [house.home / name for name in KEPT]
    found["home"] = sweep.folder(house.home, but=spared)
    await owner.close()
    # The eyes are open: the failures were logged, and what may hold secrets does.
    assert house.process.output().count("request_failed") >= 4
    assert "duplicate key value" in (house.home / "postgres.log").read_text()
    assert {hit.partition(":")[0] for hit in sweep.folder(house.home)} >= {*KEPT}
    assert MARK in "".join(reply.body for reply in day.replies if reply.own)
    print(f"{day.codes} codes, {len(sweep.secrets)} secrets, {len(day.replies)} replies,")
    print(f"{sweep.places} places, {sweep.bytes_read / 1e6:.0f} MB")
    assert {place: hits for place, hits in found.items() if hits} == {}
    assert widely_readable(house.home) == []


def test_the_sweep_finds_what_it_is_meant_to_find(tmp_path: Path) -> None:
    secret = "CNRY0123456789ABCDEF"
    for before in ("", "x", "xy", "xyz"):
        for after in ("", "1", "12", "123"):
            text = (before + secret + after).encode()
            for held in (text, text.hex().encode(), b64encode(text), urlsafe_b64encode(text)):
                assert any(form in held for form in forms(secret)), held
    sweep = Sweep([secret], {"token": "a token of somebody's"})
    (tmp_path / "a.bin").write_bytes(b"\0" * (8 * 1024 * 1024 - 7) + secret.encode() + b"\0" * 99)
    (tmp_path / "b.bin").write_bytes(secret.encode("utf-16-le"))
    (tmp_path / "c.bin").write_bytes(b"nothing")
    assert sweep.folder(tmp_path) == ["a.bin: mark", "b.bin: mark"]
    assert sweep.text("log", b"a token of somebody's") == ["log: token"]


def but_once(output: str, card: dict[str, Any]) -> str:
    """The output without the one announcement of what was just made (spec.md §10)."""
    made = [card["client"]["api_secret"], card["client"]["password"]]
    for word in [*made, *(person["password"] for person in card["staff"].values())]:
        output = output.replace(word, "", 1)
    return output


def database_passwords(home: Path) -> dict[str, str]:
    held = json.loads((home / "postgres.json").read_text())
    key = (home / "master.key").read_text().strip()
    return {f"database password of {role}": word for role, word in _words(held)} | {"master": key}


def _words(held: dict[str, object]) -> list[tuple[str, str]]:
    return [(name, word) for name, word in held.items() if isinstance(word, str) and len(word) > 15]


async def tables(owner: asyncpg.Connection, sweep: Sweep) -> list[str]:
    """What is written for others to read, table by table, and then every table there is."""
    known = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    names = [row[0] for row in await owner.fetch(known)]
    assert {*LEAVING} <= {*names}, names
    hits: list[str] = []
    for name in names:
        rows = await owner.fetch(f'SELECT t::text FROM "{name}" AS t')
        hits += sweep.text(name, "\n".join(row[0] for row in rows))
    for name in ("events", "audit_entries", "idempotency_keys", "batch_rejects"):
        assert await owner.fetchval(f"SELECT count(*) FROM {name}"), name
    return hits


async def dump(home: Path, dsn: str) -> bytes:
    """The whole database as SQL; the password goes by environment, not by command line."""
    parts = urlsplit(dsn)
    environment = {
        "PGHOST": parse_qs(parts.query)["host"][0],
        "PGUSER": parts.username or "",
        "PGPASSWORD": parts.password or "",
        "PGDATABASE": parts.path.strip("/"),
    }
    command = [str(binaries(home) / "pg_dump"), "--inserts"]
    done = await asyncio.to_thread(
        subprocess.run, command, env=environment, capture_output=True, check=True
    )
    assert b"INSERT INTO public.orders" in done.stdout
    return done.stdout


def command_lines(sweep: Sweep) -> list[str]:
    return [hit for pid in _pids() for hit in sweep.text(f"process {pid}", _read(pid, "cmdline"))]


def environments(sweep: Sweep) -> list[str]:
    """Of every process that we may look into; a database's password may be in our own."""
    return [hit for pid in _pids() for hit in sweep.text(f"process {pid}", _read(pid, "environ"))]


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _read(pid: int, what: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{what}").read_bytes()
    except OSError:
        return b""


def widely_readable(home: Path) -> list[str]:
    """Secret files that others than their owner may open, and data that others may read."""
    kept = [home / name for name in KEPT]
    data = [*(home / "pgdata").rglob("*"), home / "postgres.log"]
    wrong = [path for path in kept if stat.S_IMODE(path.stat().st_mode) != 0o600]
    return [str(p) for p in [*wrong, *(p for p in data if p.stat().st_mode & 0o077)]]
