"""Serves an ASGI application on a loopback port, inside the test's own loop."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import uvicorn

from rewards.infra.protocol import BoundedProtocol

START_TIMEOUT_S = 5.0
# A test that blocks the loop must not find its connections closed afterwards.
KEEP_ALIVE_S = 60
# How often it sets the date that answers have.
TICK_S = 1.0


class Server(uvicorn.Server):
    """Stops as soon as it is told to; the library's own looks ten times a second."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.told = asyncio.Event()

    async def main_loop(self) -> None:
        while not self.told.is_set():
            await self.on_tick(0)
            with suppress(TimeoutError):
                await asyncio.wait_for(self.told.wait(), TICK_S)


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[str]:
    """`async with served(app) as url:`; the server is gone when the block ends."""
    # Named, because asyncio sends without Nagle's delay of 40 ms only where it sees TCP.
    with socket.socket(proto=socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        server = Server(
            uvicorn.Config(
                app,
                http=BoundedProtocol,
                log_config=None,
                lifespan="off",
                access_log=False,
                proxy_headers=False,
                timeout_keep_alive=KEEP_ALIVE_S,
            )
        )
        running = asyncio.create_task(server.serve(sockets=[listening]))
        async with asyncio.timeout(START_TIMEOUT_S):
            while not server.started:
                await asyncio.sleep(0.005)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.told.set()
            await running
