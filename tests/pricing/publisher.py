"""A publisher of exchange rates for tests: a real HTTP server with the faults that happen."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

GOOD = '{"base": "USD", "timestamp": 1795262400, "rates": {"INR": 83.1234, "EUR": 0.8, "USD": 1}}'


class Publisher:
    """Answers `body` at `/rates`, or misbehaves as `fault` says."""

    def __init__(self) -> None:
        self.body: str | bytes = GOOD
        self.status = 200
        self.fault = ""
        self.calls = 0
        self.elsewhere = 0
        self.over = asyncio.Event()

    async def rates(self, request: web.Request) -> web.StreamResponse:
        self.calls += 1
        if self.fault == "redirect":
            raise web.HTTPFound("/elsewhere")
        if self.fault == "slow":
            await self.over.wait()
        if self.fault == "drop":
            assert request.transport is not None
            request.transport.close()
        if self.fault == "torn":
            answer = web.StreamResponse(headers={"Content-Length": "1000"})
            await answer.prepare(request)
            await answer.write(b'{"base":')
            assert request.transport is not None
            request.transport.close()
            return answer
        if self.fault == "gzip":
            assert isinstance(self.body, bytes)
            packed = gzip.compress(self.body)
            return web.Response(body=packed, headers={"Content-Encoding": "gzip"})
        return web.Response(body=self.body, status=self.status, content_type="application/json")

    async def other(self, _request: web.Request) -> web.Response:
        self.elsewhere += 1
        return web.Response(text=GOOD)


@asynccontextmanager
async def publishing() -> AsyncIterator[tuple[Publisher, str]]:
    """The publisher, and the URL to ask."""
    publisher = Publisher()
    app = web.Application()
    app.router.add_get("/rates", publisher.rates)
    app.router.add_get("/elsewhere", publisher.other)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert runner.addresses
    try:
        yield publisher, f"http://127.0.0.1:{runner.addresses[0][1]}/rates?app_id=SECRET-KEY"
    finally:
        publisher.over.set()
        await runner.cleanup()
