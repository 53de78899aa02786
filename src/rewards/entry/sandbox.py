"""`rewards sandbox`: keeps the processes of one machine alive until somebody says stop."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import typer

from rewards.entry import database
from rewards.infra.postgres import PostgresProblem, ensure_server, stop_server
from rewards.infra.settings import Settings

READY_TIMEOUT_S = 60.0
POLL_S = 0.05
STOP_GRACE_S = 6.0
# A process that dies is started again, but not in a tight loop.
RESTART_PAUSE_S = 0.2
RESTART_PAUSE_MAX_S = 5.0


@dataclass
class Child:
    """One process of the sandbox, restarted when it dies."""

    name: str
    command: list[str]
    environment: Mapping[str, str]
    process: asyncio.subprocess.Process | None = None
    keeper: asyncio.Task[None] | None = field(default=None, repr=False)

    def start(self) -> None:
        self.keeper = asyncio.create_task(self._keep())

    async def _keep(self) -> None:
        pause_s = RESTART_PAUSE_S
        while True:
            began_s = asyncio.get_running_loop().time()
            self.process = await asyncio.create_subprocess_exec(
                *self.command, env=dict(self.environment), start_new_session=True
            )
            code = await self.process.wait()
            lasted_s = asyncio.get_running_loop().time() - began_s
            pause_s = RESTART_PAUSE_S if lasted_s > RESTART_PAUSE_MAX_S else pause_s * 2
            typer.echo(f"{self.name} ended with {code}; starting it again", err=True)
            await asyncio.sleep(min(pause_s, RESTART_PAUSE_MAX_S))

    async def stop(self) -> None:
        """Ask it to end; insist after STOP_GRACE_S."""
        if self.keeper is not None:
            self.keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self.keeper
        process = self.process
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_GRACE_S)
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def run(home: Path, host: str, port: int) -> int:
    """Start, announce, wait for Ctrl-C or SIGTERM, stop; the exit code."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    children: list[Child] = []
    up = asyncio.create_task(_bring_up(home, host, port, children))
    stop = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait({up, stop}, return_when=asyncio.FIRST_COMPLETED)
        if up.done() and (code := up.result()):
            return code
        await stop
        return 0
    finally:
        up.cancel()
        stop.cancel()
        await asyncio.gather(*(child.stop() for child in children))
        await stop_server(home)


async def _bring_up(home: Path, host: str, port: int, children: list[Child]) -> int:
    try:
        server = await ensure_server(home)
    except PostgresProblem as problem:
        typer.echo(f"the database does not start: {problem}", err=True)
        return 1
    base_url = f"http://{host}:{port}"
    settings = Settings(
        home=home, sandbox=True, environment="test", public_url=base_url, master_key_file=None
    )
    await database.migrate(settings)
    environment = {
        **os.environ,
        "REWARDS_HOME": str(home),
        "REWARDS_SANDBOX": "true",
        "REWARDS_ENVIRONMENT": "test",
        "REWARDS_PUBLIC_URL": base_url,
        "REWARDS_DATABASE_URL": server.app_dsn,
    }
    # The API comes up while the demo data is laid out; it learns of it from the change feed.
    me = [sys.executable, "-m", "rewards.entry"]
    api = Child("api", [*me, "api", "--host", host, "--port", str(port)], environment)
    worker = Child("worker", [*me, "worker"], environment)
    children += [api, worker]
    api.start()
    worker.start()
    seeded = await _seed(settings, server.app_dsn)
    if not await _ready(base_url):
        typer.echo(f"nothing answers on {base_url}; is the port taken?", err=True)
        return 1
    card = {"base_url": base_url, **seeded, "database_url": server.owner_dsn}
    path = home / "sandbox.json"
    write_private(path, card)
    _announce(path, card)
    return 0


async def _seed(settings: Settings, dsn: str) -> dict[str, object]:
    from rewards.sandbox.seed import seed

    return await seed(dsn, settings)


async def _ready(base_url: str) -> bool:
    deadline_s = asyncio.get_running_loop().time() + READY_TIMEOUT_S
    async with aiohttp.ClientSession(trust_env=False) as session:
        while asyncio.get_running_loop().time() < deadline_s:
            with suppress(aiohttp.ClientError, TimeoutError):
                async with session.get(f"{base_url}/readyz", timeout=_SHORT) as answer:
                    if answer.status == 200:
                        return True
            await asyncio.sleep(POLL_S)
    return False


_SHORT = aiohttp.ClientTimeout(total=2)


def write_private(path: Path, card: Mapping[str, object]) -> None:
    """Readable by its owner from the first byte, and never half-written."""
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(card, file, indent=2)
        file.write("\n")
    draft.replace(path)


def _announce(path: Path, card: Mapping[str, object]) -> None:
    typer.echo(f"API        {card['base_url']}/api/v1   (reference: {card['base_url']}/docs)")
    typer.echo(f"Secrets    {path}")
    typer.echo("Ready. Ctrl-C stops everything; the data stays.")
