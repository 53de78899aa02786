"""`python -m benchmarks.receiver PORT`: answers each webhook with 200, as cheaply as it can."""

import asyncio
import sys

import uvloop

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
END = b"\r\n\r\n"
LENGTH = b"content-length: "
BACKLOG = 2_048


class Receiver(asyncio.Protocol):
    """One connection; requests come one after the other."""

    def __init__(self) -> None:
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(END)) >= 0:
            at = self._data.lower().find(LENGTH, 0, end)
            length = 0
            if at >= 0:
                length = int(self._data[at + len(LENGTH) : self._data.index(b"\r\n", at)])
            if len(self._data) < end + len(END) + length:
                return
            self._data = self._data[end + len(END) + length :]
            self._transport.write(ANSWER)


async def serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Receiver, "127.0.0.1", port, backlog=BACKLOG)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
