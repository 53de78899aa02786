"""`rewards sandbox`: keeps the processes of one machine alive until somebody says stop."""

import asyncio
import ctypes
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import typer

from rewards.core.clock import SystemClock
from rewards.entry import database
from rewards.infra.loopback import LOOPBACK
from rewards.infra.migrate import MigrationChanged
from rewards.infra.postgres import PostgresProblem, ensure_server, stop_server
from rewards.infra.scraping import LOOPBACK as LOOPBACK_NETWORKS
from rewards.infra.settings import Settings
from rewards.sandbox.card import CARD_FILE, known_secrets, put_aside, write_card
from rewards.sandbox.post import open_mailbox
from rewards.sandbox.seed import seed
from rewards.sandbox.vendors import DEMOS
from rewards.sandbox.webhook_sink import HOOK, RECEIVED, open_webhook_sink
from rewards.webhooks.signing import key_of

READY_TIMEOUT_S = 60.0
POLL_S = 0.05
STOP_GRACE_S = 6.0
# A process that dies is started again, but not in a tight loop.
RESTART_PAUSE_S = 0.2
RESTART_PAUSE_MAX_S = 5.0
PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    """Runs in the child: should this supervisor be killed, its processes end too (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


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
                *self.command,
                env=dict(self.environment),
                start_new_session=True,
                preexec_fn=_die_with_parent,
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
    simulators = AsyncExitStack()
    up = asyncio.create_task(_bring_up(home, host, port, children, simulators))
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
        await simulators.aclose()
        await stop_server(home)


async def _bring_up(
    home: Path, host: str, port: int, children: list[Child], simulators: AsyncExitStack
) -> int:
    """Start everything, then write the card; an exit code other than 0 when that failed."""
    if not _free(host, port):
        typer.echo(f"port {port} is taken; choose another one with --port", err=True)
        return 1
    base_url = f"http://{host}:{port}"
    settings = Settings(
        home=home,
        sandbox=True,
        environment="test",
        public_url=base_url,
        master_key_file=None,
        vendor_loopback=True,
        webhook_local=True,
    )
    try:
        server = await ensure_server(home)
        await database.migrate(settings)
    except (PostgresProblem, MigrationChanged) as problem:
        typer.echo(f"the database does not start: {problem}", err=True)
        return 1
    put_aside(home)
    first = known_secrets(home) is None
    # In this process: another one would cost every start most of a second.
    urls = {
        demo.adapter: await simulators.enter_async_context(demo.open(SystemClock()).serve())
        for demo in DEMOS
    }
    sink = await simulators.enter_async_context(open_webhook_sink(SystemClock()))
    mailbox = await simulators.enter_async_context(open_mailbox(SystemClock()))
    # Before the API: what it serves first is what lies here, not what it has yet to hear of.
    seeded = await seed(server.app_dsn, settings, simulators=urls, webhook_url=sink.url + HOOK)
    if "secret" in seeded["webhook_sink"]:
        sink.key = key_of(seeded["webhook_sink"]["secret"])
    seeded["webhook_sink"]["received"] = sink.url + RECEIVED
    for child in _children(home, host, port, server.app_dsn, mailbox.smtp_port):
        children.append(child)
        child.start()
    if not await _ready(base_url):
        typer.echo(f"nothing answers on {base_url}", err=True)
        return 1
    card = {
        "base_url": base_url,
        **seeded,
        "mail_sink": {"received": f"{mailbox.url}/mails.json", "page": f"{mailbox.url}/"},
        "database_url": server.owner_dsn,
    }
    write_card(home, card)
    _announce(home / CARD_FILE, card, show_secrets=first)
    return 0


def _free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _children(home: Path, host: str, port: int, dsn: str, mail_port: int) -> list[Child]:
    environment = {
        **os.environ,
        "REWARDS_HOME": str(home),
        "REWARDS_SANDBOX": "true",
        "REWARDS_ENVIRONMENT": "test",
        "REWARDS_PUBLIC_URL": f"http://{host}:{port}",
        "REWARDS_DATABASE_URL": dsn,
        "REWARDS_VENDOR_LOOPBACK": "true",
        "REWARDS_MAIL_HOST": LOOPBACK,
        "REWARDS_MAIL_PORT": str(mail_port),
        "REWARDS_MAIL_TLS": "NONE",
        "REWARDS_MAIL_FROM": "rewards@sandbox.example",
        "REWARDS_WEBHOOK_LOCAL": "true",
        "REWARDS_METRICS_NETWORKS": json.dumps(LOOPBACK_NETWORKS),
    }
    me = [sys.executable, "-m", "rewards.entry"]
    return [
        Child("api", [*me, "api", "--host", host, "--port", str(port)], environment),
        Child("worker", [*me, "worker"], environment),
    ]


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


def _announce(path: Path, card: Mapping[str, Any], *, show_secrets: bool) -> None:
    """Say where to look; the secrets themselves only the one time they were made (spec.md §10)."""
    typer.echo(f"API        {card['base_url']}/api/v1   reference: {card['base_url']}/docs")
    typer.echo(f"Console    {card['base_url']}/console")
    typer.echo(f"Portal     {card['base_url']}/portal")
    if show_secrets:
        client = card["client"]
        typer.echo(f"Client     {client['username']} / {client['password']}")
        typer.echo(f"API key    {client['api_key']}")
        typer.echo(f"API secret {client['api_secret']}")
        for role, person in card["staff"].items():
            typer.echo(f"{role:<10} {person['username']} / {person['password']}")
    typer.echo(f"Webhooks   {card['webhook_sink']['received']}")
    typer.echo(f"Mail       {card['mail_sink']['page']}")
    for name, vendor in card["vendors"].items():
        typer.echo(f"Vendor     {name} simulator: {vendor['simulator_url']}/_simulator/book")
    typer.echo(f"Secrets    {path} (readable by you alone)")
    typer.echo("Ready. Ctrl-C stops everything; the data stays.")
