"""Small servers of this machine's own, which live as long as a block."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

LOOPBACK = "127.0.0.1"
SHUTDOWN_S = 1.0


@asynccontextmanager
async def serving(app: web.Application, host: str = LOOPBACK, port: int = 0) -> AsyncIterator[str]:
    """Serve until left; gives the base URL. Port 0: a free one."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        sockets: Any = runner.addresses
        yield f"http://{host}:{sockets[0][1]}"
    finally:
        await runner.cleanup()
