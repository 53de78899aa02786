"""A caller of one process over a socket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.clients.processes_of import Process
from tests.serving import served

READ = "/api/v1/probe"
PLACE = "/api/v1/orders"
UNAUTHORIZED = {
    "error": "UnauthorizedAccess",
    "message": "User is not authorised to perform this action",
    "code": "UNAUTHORIZED",
}


class Api:
    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.session = session
        # Of the last answer.
        self.headers: dict[str, str] = {}

    async def get(self, headers: Any, path: str = READ) -> tuple[int, dict[str, Any]]:
        async with self.session.get(self.url + path, headers=headers) as reply:
            self.headers = dict(reply.headers)
            return reply.status, await reply.json()

    async def post(
        self, headers: Any = None, body: bytes = b"{}", path: str = PLACE
    ) -> tuple[int, dict[str, Any]]:
        async with self.session.post(self.url + path, headers=headers, data=body) as reply:
            self.headers = dict(reply.headers)
            return reply.status, await reply.json()


@asynccontextmanager
async def calling(process: Process) -> AsyncIterator[Api]:
    async with served(process.app()) as url, aiohttp.ClientSession() as session:
        yield Api(url, session)


def refused(answer: tuple[int, dict[str, Any]]) -> bool:
    """Whether this is the contract's 401, to the letter and with nothing more in it."""
    status, body = answer
    assert str(body.pop("request_id", "req_")).startswith("req_")
    return (status, body) == (401, UNAUTHORIZED)
