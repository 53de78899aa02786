"""Asks the API of this very process, as the person who has the page open."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, BinaryIO, cast

import httpx
import msgspec
from litestar import Request
from litestar.types import ASGIApp

from rewards.infra.address import Address
from rewards.infra.http import ENCODER, JSON, RequestIds, request_id

# A page is waited for by a person; a file takes as long as its lines.
CALL_TIMEOUT_S = 30.0
FILE_TIMEOUT_S = 900.0
AGENT_CHARS_MAX = 256
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
        key: str = "",
        file: tuple[str, BinaryIO] | None = None,
        texts: Mapping[str, str] | None = None,
        accept: str = "",
    ) -> Answer:
        """One request. `body` is sent as JSON; `file` (name, content) and `texts` as a form.

        `key` is its Idempotency-Key. Empty values of `query` are left out. Raises ApiRefused for
        every answer that is no success; what it says is the API's own word.
        """
        wanted = [(name, str(value)) for name, value in (query or {}).items() if _given(value)]
        sent: dict[str, Any] = {"params": wanted}
        if file is not None:
            sent |= {"files": {"file": file}, "data": dict(texts or {})}
        elif body is not None:
            sent["content"] = ENCODER.encode(body)
        headers = self._headers(key, is_json=body is not None)
        if accept:
            headers["Accept"] = accept
        # The address is nobody's where the peer is a Unix socket that no proxy speaks for.
        peer: Any = None if self.address is None else (str(self.address), 0)
        transport = httpx.ASGITransport(
            cast("Any", self.app), raise_app_exceptions=False, client=peer
        )
        async with (
            asyncio.timeout(FILE_TIMEOUT_S if file is not None else CALL_TIMEOUT_S),
            httpx.AsyncClient(transport=transport, base_url=BASE, trust_env=False) as client,
        ):
            return _read(await client.request(method, path, headers=headers, **sent))

    def _headers(self, key: str, *, is_json: bool) -> dict[str, str]:
        headers = {"X-Request-Id": self.request_id, "User-Agent": self.agent}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if is_json:
            headers["Content-Type"] = JSON
        if key:
            headers["Idempotency-Key"] = key
        return headers


def _given(value: str | int | None) -> bool:
    return value is not None and value != ""


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
