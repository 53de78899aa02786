"""Asks the API of this very process, as the person who has the page open."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, BinaryIO, cast
from urllib.parse import urlencode

import httpx
import msgspec
from litestar import Request
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from rewards.infra.address import Address
from rewards.infra.http import ENCODER, JSON, RequestIds, request_id
from rewards.infra.pages.headers import ROOM

# A page is waited for by a person; a file takes as long as its lines.
CALL_TIMEOUT_S = 30.0
FILE_TIMEOUT_S = 900.0
AGENT_CHARS_MAX = 256
# A refusal is small; of anything else that is no success a page shows no more.
REFUSAL_BYTES_MAX = 64 * 1024
# What of a file's headers the browser gets besides those of every page.
OF_FILES = (b"content-type", b"content-disposition", b"content-length")
BASE = "http://inside"
Query = Mapping[str, str | int | None]
# Amounts keep exactly the digits that the API gave them.
_DECODER = msgspec.json.Decoder(float_hook=Decimal)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API answered with success: its body as plain values, numbers as Decimal."""

    status: int
    body: Any = field(repr=False)
    headers: httpx.Headers = field(repr=False)
    raw: bytes = field(repr=False)

    @property
    def following(self) -> str | None:
        """Where the next page of a list starts; None on its last."""
        told: str | None = self.headers.get("X-Next-Cursor")
        return told

    @property
    def total(self) -> int | None:
        """How many a numbered list has in all."""
        told = self.headers.get("X-Total-Count")
        return None if told is None else int(told)


# Nobody knows whether it was done.
TIMED_OUT = {"code": "TIMED_OUT", "message": "This took too long"}


class ApiRefused(Exception):
    """The API said no, in the contract's form (spec.md D4)."""

    def __init__(self, status: int, told: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        self.status = status
        self.code = str(told.get("code", "INTERNAL"))
        self.message = str(told.get("message", "Internal server error"))
        self.details: Mapping[str, Any] = told.get("details") or {}
        self.request_id = str(told.get("request_id", ""))
        self.retry_after_s = int(headers.get("Retry-After", "0"))
        super().__init__(self.code)


@dataclass(frozen=True, slots=True)
class Caller:
    """Sends requests into the application, without a socket.

    What the API is told of the browser is what our own edge found out: its address as the peer of
    the request (no header carries it, so none that a browser sends can), and the request's id.
    """

    app: ASGIApp
    address: Address | None
    request_id: str
    agent: str = ""
    token: str = field(default="", repr=False)

    async def ask(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: object = None,
        file: tuple[str, BinaryIO] | None = None,
        texts: Mapping[str, str] | None = None,
        accept: str = "",
    ) -> Answer:
        """One request. `body` is sent as JSON; `file` (name, content) and `texts` as a form.

        Empty values of `query` are left out. Raises ApiRefused for every answer that is no
        success; what it says is the API's own word. No answer in time is one too (504 TIMED_OUT).
        """
        sent: dict[str, Any] = {"params": _wanted(query)}
        if file is not None:
            sent |= {"files": {"file": file}, "data": dict(texts or {})}
        elif body is not None:
            sent["content"] = ENCODER.encode(body)
        headers = self._headers(accept, is_json=body is not None)
        transport = httpx.ASGITransport(
            cast("Any", self.app), raise_app_exceptions=False, client=cast("Any", self._peer)
        )
        try:
            async with (
                asyncio.timeout(FILE_TIMEOUT_S if file is not None else CALL_TIMEOUT_S),
                httpx.AsyncClient(transport=transport, base_url=BASE, trust_env=False) as client,
            ):
                response = await client.request(method, path, headers=headers, **sent)
        except TimeoutError:
            raise ApiRefused(504, TIMED_OUT | {"request_id": self.request_id}, {}) from None
        return _read(response)

    def passing(self, path: str, query: Query | None = None, *, accept: str = "") -> ASGIApp:
        """An answer that hands a file of the API on to the browser while the API writes it.

        Nothing of it is kept here: a piece is read when the browser has taken the one before, and
        no more once it has left. Raises ApiRefused, before anything was sent, for every answer that
        is no success.
        """
        asked = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "headers": self._headers(accept),
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": urlencode(_wanted(query)).encode(),
            "server": ("inside", 80),
            "client": self._peer,
            "root_path": "",
        }

        async def passed(_scope: Scope, receive: Receive, send: Send) -> None:
            refused: list[httpx.Headers] = []
            status, told = 0, bytearray()

            async def hand_on(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                    if not httpx.codes.is_success(status):
                        refused.append(httpx.Headers(list(message["headers"])))
                        return
                    message["headers"] = _of_file(message["headers"])
                elif refused and message["type"] == "http.response.body":
                    told.extend(message.get("body", b"")[: REFUSAL_BYTES_MAX - len(told)])
                    return
                await send(message)

            await self.app(cast("Scope", dict(asked)), receive, hand_on)
            for each in refused:
                _read(httpx.Response(status, headers=each, content=bytes(told)))

        return passed

    @property
    def _peer(self) -> tuple[str, int] | None:
        """Nobody's address where the peer is a Unix socket that no proxy speaks for."""
        return None if self.address is None else (str(self.address), 0)

    def _headers(self, accept: str = "", *, is_json: bool = False) -> list[tuple[bytes, bytes]]:
        headers = {"X-Request-Id": self.request_id, "User-Agent": self.agent}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if is_json:
            headers["Content-Type"] = JSON
        if accept:
            headers["Accept"] = accept
        # What a browser calls itself may be in any letters.
        return [(n.lower().encode(), v.encode("latin-1", "replace")) for n, v in headers.items()]


def _wanted(query: Query | None) -> list[tuple[str, str]]:
    return [(name, str(value)) for name, value in (query or {}).items() if value not in (None, "")]


def _of_file(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    own = [(name.lower().encode(), text.encode()) for name, text in ROOM.items()]
    return own + [each for each in headers if each[0].lower() in OF_FILES]


def _read(response: httpx.Response) -> Answer:
    is_json = response.headers.get("Content-Type", "").startswith(JSON)
    body = _DECODER.decode(response.content) if is_json and response.content else None
    if not response.is_success:
        told = body if isinstance(body, dict) else {}
        raise ApiRefused(response.status_code, told, response.headers)
    return Answer(response.status_code, body, response.headers, response.content)


def caller_for(request: Request[Any, Any, Any], address: Address | None, token: str = "") -> Caller:
    """A caller for whoever sent this request; `token` is the API's, of their session."""
    agent = request.headers.get("User-Agent", "")[:AGENT_CHARS_MAX]
    return Caller(RequestIds(request.app), address, request_id(request), agent, token)
