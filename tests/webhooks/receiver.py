"""Receivers of webhooks on a real socket: each path is an endpoint with a conduct of its own."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def status(code: int, headers: str = "", body: str = "") -> bytes:
    """An answer as it goes over the wire."""
    head = f"HTTP/1.1 {code} Said\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return head.encode() + body.encode()


@dataclass(frozen=True, slots=True)
class Heard:
    """One request, with the moment it was complete, by the monotonic clock."""

    path: str
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    at_s: float

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


@dataclass(frozen=True, slots=True)
class Conduct:
    """How an endpoint answers: with `answer` after `after_s`; without one it hangs or hangs up."""

    answer: bytes | None = OK
    after_s: float = 0.0
    hangs_up: bool = False
    # Goes on for ever behind the answer.
    endless: bool = False


GOOD = Conduct()
Decide = Callable[[Heard], Conduct]


@dataclass
class Receiver:
    """What came, in order, for each path; `conduct` says how it is met."""

    conduct: Decide = lambda _: GOOD
    base_url: str = ""
    heard: defaultdict[str, list[Heard]] = field(default_factory=lambda: defaultdict(list))
    connections: int = 0
    # Requests under way at each path, and the most there ever were.
    at_once: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    most_at_once: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))

    def url(self, path: str) -> str:
        return f"{self.base_url}/{path}"

    def ids(self, path: str) -> list[str]:
        return [one.id for one in self.heard[path]]

    @property
    def all(self) -> list[Heard]:
        return [one for path in self.heard.values() for one in path]


class _Wire(asyncio.Protocol):
    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._receiver.connections += 1

    def data_received(self, data: bytes) -> None:
        self._data += data
        while b"\r\n\r\n" in self._data:
            head, _, rest = self._data.partition(b"\r\n\r\n")
            first, *lines = head.decode().split("\r\n")
            pairs = (line.split(": ", 1) for line in lines)
            headers = {name.lower(): value for name, value in pairs}
            length = int(headers.get("content-length", 0))
            if len(rest) < length:
                return
            self._data = rest[length:]
            path = first.split(" ")[1].lstrip("/")
            self._meet(Heard(path, headers, rest[:length], time.monotonic()))

    def _meet(self, heard: Heard) -> None:
        receiver, path = self._receiver, heard.path
        receiver.heard[path].append(heard)
        receiver.at_once[path] += 1
        receiver.most_at_once[path] = max(receiver.most_at_once[path], receiver.at_once[path])
        conduct = receiver.conduct(heard)
        if conduct.after_s:
            asyncio.get_running_loop().call_later(conduct.after_s, self._answer, path, conduct)
        else:
            self._answer(path, conduct)

    def _answer(self, path: str, conduct: Conduct) -> None:
        self._receiver.at_once[path] -= 1
        if conduct.hangs_up:
            self._transport.abort()
        elif conduct.answer is not None and not self._transport.is_closing():
            self._transport.write(conduct.answer)
            if conduct.endless:
                self._drip()

    def _drip(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(b"x" * 4_096)
            asyncio.get_running_loop().call_later(0.002, self._drip)


@asynccontextmanager
async def receiving(conduct: Decide = lambda _: GOOD) -> AsyncIterator[Receiver]:
    receiver = Receiver(conduct)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Wire(receiver), "127.0.0.1", 0, backlog=1_024)
    receiver.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield receiver
    finally:
        server.close()
