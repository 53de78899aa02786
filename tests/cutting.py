"""Proxies that lose replies: each forwards a request whole and cuts its client off in one way."""

import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress

CHUNK_BYTES = 65_536
LISTEN_BACKLOG = 1_024

Cut = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def _asked(reply: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
    """Gone as soon as the request was sent on; the server sees that too."""


async def _replied(reply: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
    """Gone when the reply had come, without a byte of it."""
    await reply.read(CHUNK_BYTES)


async def _begun(reply: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
    """Gone after the first byte of the reply."""
    client.write((await reply.read(CHUNK_BYTES))[:1])
    await client.drain()


async def _torn(reply: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
    """Gone somewhere in the reply's body: the status had come through."""
    whole = await reply.read(CHUNK_BYTES)
    body = whole.index(b"\r\n\r\n") + 4
    client.write(whole[: random.randint(body, len(whole) - 1)])
    await client.drain()


CUTS: dict[str, Cut] = {"asked": _asked, "replied": _replied, "begun": _begun, "torn": _torn}


@asynccontextmanager
async def cutters(ports: Sequence[int]) -> AsyncIterator[dict[str, str]]:
    """The URL of a proxy for each cut; each connection goes to one of the ports."""
    async with AsyncExitStack() as stack:
        urls = {}
        for name, cut in CUTS.items():
            server = await asyncio.start_server(
                _forward(ports, cut), "127.0.0.1", 0, backlog=LISTEN_BACKLOG
            )
            stack.push_async_callback(_close, server)
            urls[name] = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield urls


async def _close(server: asyncio.Server) -> None:
    server.close()
    await server.wait_closed()


def _forward(
    ports: Sequence[int], cut: Cut
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    async def forward(request: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        reply, server = await asyncio.open_connection("127.0.0.1", random.choice(ports))
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                server.write(await _request(request))
                await server.drain()
                await cut(reply, client)
        finally:
            server.close()
            _reset(client)

    return forward


async def _request(stream: asyncio.StreamReader) -> bytes:
    """One request with a Content-Length, whole."""
    head = await stream.readuntil(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
    return head + await stream.readexactly(length)


def _reset(client: asyncio.StreamWriter) -> None:
    """Half the clients see an end, the other half a reset."""
    if random.random() < 0.5:
        connection: socket.socket = client.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
