"""A server that takes callbacks, as they come."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aiohttp import web

from rewards.infra.loopback import serving
from rewards.vendors.model import Callback
from rewards.vendors.port import Vendor

Told = tuple[Mapping[str, str], bytes]


class Inbox:
    def __init__(self) -> None:
        self.url = ""
        self._told: asyncio.Queue[Told] = asyncio.Queue()

    async def take(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self._told.put_nowait((headers, await request.read()))
        return web.Response()

    async def next(self) -> Told:
        return await asyncio.wait_for(self._told.get(), 5)

    async def understood(self, vendor: Vendor) -> Callback:
        return vendor.callback(*await self.next())


@asynccontextmanager
async def receiving() -> AsyncIterator[Inbox]:
    inbox, app = Inbox(), web.Application()
    app.router.add_post("/told", inbox.take)
    async with serving(app) as url:
        inbox.url = f"{url}/told"
        yield inbox
