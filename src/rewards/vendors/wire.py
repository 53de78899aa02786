"""The HTTP of one vendor account: limits on everything, no redirects, every exchange told."""

import asyncio
import json as stdlib_json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from decimal import Decimal
from time import monotonic
from typing import Any, Protocol

import aiohttp
from yarl import URL

from rewards.core.text import UNPRINTABLE
from rewards.vendors import figures
from rewards.vendors.redact import redact, redact_envelope, redact_query
from rewards.vendors.throttle import Breaker, Throttle

BODY_BYTES_MAX = 4 * 1024 * 1024
CONNECT_S = 5.0
TIMEOUT_S = 15.0
READ_CHUNK = 64 * 1024
THROTTLED_STATUS = 429
SERVER_ERROR = 500
REFUSES = 400

_PURCHASE: ContextVar[int | None] = ContextVar("vendor_purchase", default=None)


@contextmanager
def asking_about(purchase_id: int) -> Iterator[None]:
    """The calls of this task are made for that purchase, and kept with it, while the block runs."""
    token = _PURCHASE.set(purchase_id)
    try:
        yield
    finally:
        _PURCHASE.reset(token)


class NotSent(Exception):
    """The vendor never saw the request: no connection, no turn, or it is left alone for a while."""

    def __init__(self, why: str, *, throttled: bool = False, retry_after_s: float = 0.0) -> None:
        super().__init__(why)
        self.throttled = throttled
        self.retry_after_s = retry_after_s


class NoAnswer(Exception):
    """The vendor may have seen the request; there is no answer that means anything."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, read whole; neither headers nor body ever show in a repr."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    def json(self) -> Any:
        """The body as JSON, numbers with a point as Decimal. Raises NoAnswer when it is none."""
        return read_json(self.body)

    @property
    def retry_after_s(self) -> float | None:
        text = self.headers.get("retry-after", "")
        return float(text) if text.isascii() and text.isdigit() and len(text) < 7 else None


def read_json(body: bytes) -> Any:
    """JSON of a vendor, numbers with a point as Decimal. Raises NoAnswer when it is none."""
    try:
        return stdlib_json.loads(body, parse_float=Decimal, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise NoAnswer("the answer is not JSON") from None


def _refuse(name: str) -> None:
    raise ValueError(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One call as it is kept: masked, and without headers."""

    call: str
    method: str
    path: str
    request: str | None
    status: int | None
    answer: str | None
    problem: str | None
    took_ms: int
    purchase_id: int | None


class Recorder(Protocol):
    async def record(self, exchange: Exchange) -> None:
        """Keep it. Must not raise: what the vendor did is worth more than the note of it."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a call may take and how much may come back."""

    timeout_s: float = TIMEOUT_S
    connect_s: float = CONNECT_S
    body_bytes_max: int = BODY_BYTES_MAX


class Wire:
    """Calls one vendor. Each call has a name, for its rate limit and its exchanges."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        base_url: str,
        recorder: Recorder,
        *,
        safe: frozenset[str],
        throttle: Throttle,
        breaker: Breaker,
        limits: Limits | None = None,
        name: str = "",
    ) -> None:
        # What figures call the vendor.
        self._name = name
        self._session = session
        self.base_url = base_url.rstrip("/")
        self._recorder = recorder
        self._safe = safe
        self._throttle = throttle
        self.breaker = breaker
        self._limits = limits or Limits()

    async def call(
        self,
        call: str,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        shown: bytes | None = None,
        answer_shown: bool | frozenset[str] = True,
        base_url: str | None = None,
    ) -> Answer:
        """The vendor's answer, whatever its status below 500.

        `path` and `query` are sent as they are given. `shown` is what of an encrypted request is
        kept (masked), `answer_shown` what of an answer: all, nothing, or its outermost values of
        these names. `base_url` is another host of the vendor, such as the one that gives tokens.
        Raises NotSent, or NoAnswer: also for a 5xx, a redirect, and more than the body limit.
        """
        await self._admitted(call, headers or {})
        began = monotonic()
        answer: Answer | None = None
        problem: str | None = None
        outcome = figures.ABANDONED
        url = self._url(base_url or self.base_url, path, query)
        try:
            answer = await self._exchange(method, url, headers or {}, body)
            problem = _senseless(answer)
            if problem:
                raise NoAnswer(problem)
            self.breaker.succeeded()
            outcome = figures.ANSWERED if answer.status < REFUSES else figures.REFUSED
            return answer
        except (NotSent, NoAnswer) as trouble:
            problem = str(trouble)
            outcome = figures.NOT_SENT if isinstance(trouble, NotSent) else figures.NO_ANSWER
            self.breaker.failed()
            raise
        except asyncio.CancelledError:
            problem = "the call was abandoned"
            raise
        finally:
            figures.note_call(self._name, call, outcome, monotonic() - began)
            figures.note_breaker(self._name, is_open=self.breaker.open)
            await self._recorder.record(
                Exchange(
                    call=call,
                    method=method,
                    path=self._shown(url),
                    request=redact(body if shown is None else shown, self._safe) if body else None,
                    status=answer.status if answer else None,
                    answer=self._kept(answer, answer_shown),
                    problem=problem,
                    took_ms=int((monotonic() - began) * 1000),
                    purchase_id=_PURCHASE.get(),
                )
            )

    async def _admitted(self, call: str, headers: Mapping[str, str]) -> None:
        """Raises NotSent for what is not even tried."""
        try:
            await self._held_back(call, headers)
        except NotSent:
            figures.note_call(self._name, call, figures.HELD_BACK, 0)
            raise

    async def _held_back(self, call: str, headers: Mapping[str, str]) -> None:
        if any(UNPRINTABLE.search(value) for value in headers.values()):
            raise NotSent("a header that cannot be sent")
        if not self.breaker.admit():
            raise NotSent(
                "the vendor is down; left alone for a while",
                retry_after_s=self.breaker.retry_after_s,
            )
        if not await self._throttle.turn(call):
            raise NotSent("our limit for this vendor is reached", throttled=True)

    def _kept(self, answer: Answer | None, shown: bool | frozenset[str]) -> str | None:
        if answer is None or shown is False:
            return None
        if shown is True:
            return redact(answer.body, self._safe)
        return redact_envelope(answer.body, shown)

    def _shown(self, url: URL) -> str:
        query = redact_query(url.raw_query_string, self._safe) if url.raw_query_string else ""
        return f"{url.raw_path}?{query}" if query else url.raw_path

    def _url(self, base_url: str, path: str, query: Mapping[str, str] | None) -> URL:
        url = URL(base_url.rstrip("/") + path, encoded=True)
        return url.with_query(query) if query else url

    async def _exchange(
        self, method: str, url: URL, headers: Mapping[str, str], body: bytes | None
    ) -> Answer:
        timeout = aiohttp.ClientTimeout(
            total=self._limits.timeout_s, sock_connect=self._limits.connect_s
        )
        try:
            async with self._session.request(
                method,
                url,
                headers=headers,
                data=body,
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                content = await self._read(response)
                lower = {name.lower(): value for name, value in response.headers.items()}
                return Answer(response.status, lower, content)
        except aiohttp.ClientConnectorError:
            raise NotSent("no connection to the vendor") from None
        except aiohttp.ConnectionTimeoutError:
            raise NotSent("no connection to the vendor in time") from None
        except TimeoutError:
            raise NoAnswer("no answer in time") from None
        except aiohttp.ClientError as error:
            raise NoAnswer(f"the connection broke ({type(error).__name__})") from None

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        content = bytearray()
        async for chunk in response.content.iter_chunked(READ_CHUNK):
            content += chunk
            if len(content) > self._limits.body_bytes_max:
                response.close()
                raise NoAnswer("the answer is too long")
        return bytes(content)


def _senseless(answer: Answer) -> str | None:
    if answer.status >= SERVER_ERROR:
        return f"the vendor failed with {answer.status}"
    return f"a redirect ({answer.status})" if 300 <= answer.status < 400 else None


def open_session() -> aiohttp.ClientSession:
    """The session all vendors of a process share: no proxy of the environment, no cookies."""
    return aiohttp.ClientSession(
        trust_env=False, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=True
    )
