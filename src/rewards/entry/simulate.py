"""`rewards vendors simulate`: vendors' stand-ins in the foreground, with a demo catalogue."""

import asyncio
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack
from shlex import quote

import msgspec
import typer

from rewards.core.clock import SystemClock
from rewards.sandbox.vendors import DEMOS, Demo, demo_of
from rewards.vendors.simulators.faults import HEADER, Fault

PORT_FIRST = 9100


async def run(names: Sequence[str], ports: Sequence[int]) -> int:
    """Serve each named adapter's simulator on loopback until SIGINT or SIGTERM; the exit code.

    Without `ports` they listen from PORT_FIRST on, one after the other.
    """
    demos = [demo_of(name) for name in names]
    unknown = [name for name, demo in zip(names, demos, strict=True) if demo is None]
    if unknown:
        known = ", ".join(demo.adapter for demo in DEMOS)
        typer.echo(f"no simulator for {', '.join(unknown)}; there are: {known}", err=True)
        return 1
    if ports and len(ports) != len(names):
        typer.echo("give one --port for each name", err=True)
        return 1
    chosen = ports or range(PORT_FIRST, PORT_FIRST + len(names))
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with AsyncExitStack() as stack:
        for demo, port in zip(demos, chosen, strict=True):
            assert demo is not None, "unknown names were refused"
            try:
                url = await stack.enter_async_context(demo.open(SystemClock()).serve(port))
            except OSError as problem:
                typer.echo(f"port {port}: {problem.strerror}", err=True)
                return 1
            _announce(demo, url)
        await stopping.wait()
    return 0


def _announce(demo: Demo, url: str) -> None:
    secrets = msgspec.json.encode(demo.secrets).decode()
    config = [f"--config {quote(f'{name}={text}')}" for name, text in demo.config_at(url).items()]
    typer.echo(f"{demo.adapter}: {url}")
    typer.echo(
        f"  an account:      echo {quote(secrets)} | REWARDS_VENDOR_LOOPBACK=true"
        f" rewards vendors add {demo.adapter}-demo --adapter {demo.adapter} {' '.join(config)}"
    )
    typer.echo(f"  what it sold:    curl -s {url}/_simulator/book")
    script = '[{"fault": "DROP_AFTER", "call": "place", "times": 1}]'
    typer.echo(f"  script a fault:  curl -s -d '{script}' {url}/_simulator/script")
    typer.echo(f"  let time pass:   curl -s -d '{{\"advance_s\": 60}}' {url}/_simulator/clock")
    typer.echo(f"  or send {HEADER}: one of {', '.join(Fault)}")
