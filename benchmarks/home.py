"""Where a measurement takes place: a server and a database of its own, and our processes on it."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import asyncpg
from pydantic import SecretStr

from benchmarks.tpcb import with_database
from rewards.infra import postgres
from rewards.infra.migrate import migrate
from rewards.infra.postgres_files import APP_ROLE
from rewards.infra.settings import Settings

DATABASE = "bench"
READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 12.0
POLL_S = 0.01
READY = b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


class NotReady(Exception):
    """A process of ours ended, or did not answer in time."""


@dataclass
class Home:
    """An open measuring place. Processes started here end with it."""

    path: Path
    server: postgres.Server
    programs: Path
    owner_dsn: str
    app_dsn: str
    processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        return Settings(
            home=self.path,
            environment="test",
            database_url=SecretStr(self.app_dsn),
            owner_database_url=SecretStr(self.owner_dsn),
        )

    async def start(self, name: str, *command: str, **environment: str) -> float:
        """Start a process of ours by name; returns the moment, to measure from."""
        began_s = perf_counter()
        self.processes[name] = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "rewards.entry", *command),
            env={
                **os.environ,
                "REWARDS_HOME": str(self.path),
                "REWARDS_ENVIRONMENT": "test",
                "REWARDS_DATABASE_URL": self.app_dsn,
                "REWARDS_OWNER_DATABASE_URL": self.owner_dsn,
                **environment,
            },
        )
        return began_s

    async def start_api(self) -> str:
        """The API on a free port; returns its base URL once it is ready."""
        port = free_port()
        await self.start("api", "api", "--port", str(port))
        await until_ready(port, self.processes["api"])
        return f"http://127.0.0.1:{port}"

    async def stop(self, name: str) -> None:
        process = self.processes.pop(name)
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
            except TimeoutError:
                process.kill()
                await process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until_ready(port: int, process: asyncio.subprocess.Process) -> None:
    """Wait for the first 200 of /readyz. Raises NotReady."""
    async with asyncio.timeout(READY_TIMEOUT_S):
        while True:
            if process.returncode is not None:
                raise NotReady(f"ended with {process.returncode}")
            with suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(READY)
                head = await reader.readline()
                writer.close()
                if b" 200 " in head:
                    return
            await asyncio.sleep(POLL_S)


@asynccontextmanager
async def open_home(path: Path) -> AsyncIterator[Home]:
    """A server of its own under `path` with an empty, migrated database; stopped afterwards."""
    path.mkdir(parents=True, exist_ok=True)
    server = await postgres.ensure_server(path)
    home = Home(
        path=path,
        server=server,
        programs=postgres.binaries(path),
        owner_dsn=with_database(server.owner_dsn, DATABASE),
        app_dsn=with_database(server.app_dsn, DATABASE),
    )
    try:
        await recreate(server.owner_dsn, DATABASE)
        await migrate(home.owner_dsn, app_role=APP_ROLE)
        yield home
    finally:
        for name in list(home.processes):
            await home.stop(name)
        await postgres.stop_server(path)


async def recreate(owner_dsn: str, name: str) -> None:
    admin = await asyncpg.connect(owner_dsn)
    await admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    await admin.execute(f'CREATE DATABASE "{name}"')
    await admin.close()


def memory_bytes(pids: Sequence[int]) -> int:
    """What these processes hold, pages they share counted by their part (PSS)."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


def children_of(pid: int) -> list[int]:
    """The process and all that it started."""
    found = [pid]
    for task in found:
        for listing in Path(f"/proc/{task}/task").glob("*/children"):
            found += [int(child) for child in listing.read_text().split()]
    return found
