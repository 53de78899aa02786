"""The server's side of a connection: bounds on requests before anything reads them.

uvicorn alone takes headers of any size, and waits for ever for the rest of a request.
"""

import asyncio
from typing import Any

import httptools
import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from rewards.core import ids
from rewards.infra.http import JSON, ErrorBody

HEAD_BYTES_MAX = 64 * 1024
HEADERS_MAX = 200
# For a whole head; and from one piece of a body to the next.
HEAD_TIMEOUT_S = 10.0
BODY_TIMEOUT_S = 30.0
# A refused sender may go on this long: who closes at once resets the answer away.
LINGER_S = 1.0

UNREADABLE = (400, "BadRequest", "Invalid HTTP request", "INVALID_REQUEST")
LATE = (408, "RequestTimeout", "Request did not arrive in time", "REQUEST_TIMEOUT")
TOO_LARGE = (
    431,
    "RequestHeaderFieldsTooLarge",
    "Request headers are too large",
    "HEADERS_TOO_LARGE",
)


class HeadTooLarge(Exception):
    """Stops the parser."""


class BoundedProtocol(HttpToolsProtocol):
    """For uvicorn's `http`. Costs a request that arrives whole nothing but two comparisons."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._in_head = True
        self._head_bytes = 0
        self._chunk_bytes = 0
        self._too_large = False
        self._refused = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait(HEAD_TIMEOUT_S)

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._chunk_bytes = len(data)
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self._refuse(TOO_LARGE)
            elif self._timer is None and self._head_bytes:
                self._wait(HEAD_TIMEOUT_S)
        elif self.cycle is not None and self.cycle.more_body:
            self._wait_no_more()
            self._wait(BODY_TIMEOUT_S)
        elif self._timer is not None:
            self._wait_no_more()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0

    def on_headers_complete(self) -> None:
        self._in_head = False
        if len(self.headers) > HEADERS_MAX or (
            self._chunk_bytes > HEAD_BYTES_MAX
            and len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
            > HEAD_BYTES_MAX
        ):
            self._too_large = True
            raise HeadTooLarge
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(TOO_LARGE if self._too_large else UNREADABLE)

    def _wait(self, timeout_s: float) -> None:
        self._timer = self.loop.call_later(timeout_s, self._late)

    def _wait_no_more(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        self._timer = None
        if self.flow is not None and self.flow.read_paused:
            # It is us who are not ready for more.
            self._wait(BODY_TIMEOUT_S)
        elif self.cycle is None and not self._head_bytes:
            # Connected, and never said anything.
            self.transport.close()
        else:
            self._refuse(LATE)

    def _refuse(self, why: tuple[int, str, str, str]) -> None:
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        self._in_head = False
        self._wait_no_more()
        if self.cycle is not None and not self.cycle.response_complete:
            answering = self.cycle.response_started
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if answering:
                self.transport.close()
                return
        status, error, message, code = why
        name = ids.request_id()
        body = msgspec.json.encode(ErrorBody(error, message, code, name))
        told = {
            "content-type": JSON,
            "content-length": str(len(body)),
            "x-request-id": name,
            "connection": "close",
        }
        head = "".join(f"{header}: {value}\r\n" for header, value in told.items())
        self.transport.write(STATUS_LINE[status] + head.encode() + b"\r\n" + body)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(LINGER_S, self.transport.close)


assert issubclass(httptools.HttpParserCallbackError, httptools.HttpParserError), (
    "what a callback raises is answered like what cannot be parsed"
)
