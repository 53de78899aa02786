"""Reads what is left of a refused request's body, so that its sender gets to read the answer.

A server that closes while the other side still sends resets the connection. Clients that send all
of a body before they look for an answer then report a broken pipe, and never the refusal.
"""

import asyncio
from collections.abc import Iterable

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, ReceiveMessage, Scope, Send

# Whoever sends more, or more slowly, is cut off as before.
REST_BYTES_MAX = 32 * 1024 * 1024
REST_TIMEOUT_S = 10.0
# What fits into the buffers between two machines is sent before anybody can refuse it.
SMALL_BYTES = 16 * 1024
LENGTH_DIGITS_MAX = 18


class ReadsRest:
    """ASGI layer: an answer to a large body goes out at once, and ends when the body is read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or not _large(scope["headers"]):
            await self._app(scope, receive, send)
            return
        rest = _Rest(receive)

        async def send_and_read(message: Message) -> None:
            if message["type"] == "http.response.body" and not message.get("more_body"):
                await send({**message, "more_body": True})
                await rest.read()
                message = {"type": "http.response.body", "body": b"", "more_body": False}
            await send(message)

        await self._app(scope, rest.receive, send_and_read)


class _Rest:
    """A body's remainder; knows when there is none."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._ended = False

    async def receive(self) -> ReceiveMessage:
        message = await self._receive()
        self._ended = message["type"] != "http.request" or not message["more_body"]
        return message

    async def read(self) -> None:
        left = REST_BYTES_MAX
        try:
            async with asyncio.timeout(REST_TIMEOUT_S):
                while not self._ended and left > 0:
                    message = await self.receive()
                    left -= len(message["body"]) if message["type"] == "http.request" else 0
        except TimeoutError:
            return


def _large(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a body is on its way that may outlast the answer."""
    large = False
    for name, value in headers:
        if name == b"content-length":
            large = large or len(value) > LENGTH_DIGITS_MAX or int(value) > SMALL_BYTES
        elif name == b"transfer-encoding":
            large = True
        elif name == b"expect":
            # It waits for leave to send, and a refusal is none.
            return False
    return large
