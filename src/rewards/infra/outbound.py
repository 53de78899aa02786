"""Posting to addresses that clients chose: checked when connected, bounded in time and size."""

import asyncio
import socket
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from ssl import SSLContext
from types import TracebackType

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from rewards.core.errors import InvalidField
from rewards.infra.targets import Targets

TOTAL_S = 15.0
# Of the fifteen seconds, for a name and a connection.
CONNECT_S = 10.0
BODY_BYTES_MAX = 64 * 1024
KEPT_BYTES = 4 * 1024
CONNECTIONS_MAX = 1_024
# Many servers close a connection after five idle seconds. Who sends just then gets no answer.
KEEP_ALIVE_S = 4.0
# Names are looked up anew this often; every address is checked again when it is connected to.
NAMES_KEPT_S = 10
# A dead name server holds a thread for up to half a minute; one endpoint holds at most one.
LOOKUPS_MAX = 64
URLS_KNOWN_MAX = 4_096
NOT_ALLOWED = "the address is not allowed"


class TargetRefused(OSError):
    """An address we do not send to. An OSError, so that the connector takes it as no connection."""


class NotAnswered(Exception):
    """There was no answer. Says why in words that quote nothing of the other side."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: its status, and as much of its body as is kept, which no repr shows."""

    status: int
    retry_after: str | None
    body: bytes = field(repr=False)


class Lookup(AbstractResolver):
    """The machine's own resolver, in threads of its own: a slow name delays no other."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(LOOKUPS_MAX, thread_name_prefix="lookup")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, self._ask, host, port, family)
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=kind,
                proto=proto,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, proto, _, address in found
        ]

    @staticmethod
    def _ask(
        host: str, port: int, family: int
    ) -> "list[tuple[int, int, int, str, tuple[object, ...]]]":
        return socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)  # type: ignore[return-value]

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


class CheckedResolver(AbstractResolver):
    """Refuses a name of which any address is not to be sent to, however many others it has."""

    def __init__(self, targets: Targets, inner: AbstractResolver) -> None:
        self._targets = targets
        self._inner = inner

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        if not found or not all(self._targets.admits(each["host"]) for each in found):
            raise TargetRefused
        return found

    async def close(self) -> None:
        await self._inner.close()


class Poster:
    """Posts for one process, over connections that are kept.

    `resolver` and `tls` are the machine's own unless a test brings others.
    """

    def __init__(
        self,
        targets: Targets,
        *,
        resolver: AbstractResolver | None = None,
        tls: SSLContext | None = None,
        total_s: float = TOTAL_S,
        names_kept_s: int = NAMES_KEPT_S,
    ) -> None:
        self.total_s = total_s
        self._targets = targets
        self._known: dict[str, URL] = {}
        self._resolver = CheckedResolver(targets, resolver or Lookup())
        timeout = aiohttp.ClientTimeout(total=total_s, connect=min(CONNECT_S, total_s))
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=self._resolver,
                ssl=True if tls is None else tls,
                limit=CONNECTIONS_MAX,
                ttl_dns_cache=names_kept_s,
                keepalive_timeout=KEEP_ALIVE_S,
                socket_factory=self._open,
            ),
            timeout=timeout,
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            # What is kept is what was sent; nobody can send us a bomb.
            auto_decompress=False,
            headers={"Accept-Encoding": "identity"},
        )

    async def __aenter__(self) -> "Poster":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._session.close()
        await self._resolver.close()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """The answer, whatever its status; redirects are answers. Raises NotAnswered.

        An answer counts from its headers on: a body that is too long, too slow or cut off is kept
        as far as it came, within the fifteen seconds and 64 kB.
        """
        address = self._checked(url)
        try:
            async with self._session.request(
                *("POST", address),
                data=body,
                headers=headers,
                allow_redirects=False,
            ) as response:
                kept = await _read(response)
                return Answer(response.status, response.headers.get("Retry-After"), kept)
        except (aiohttp.ClientError, TimeoutError, UnicodeError) as problem:
            raise NotAnswered(_why(problem)) from None

    def _checked(self, url: str) -> URL:
        """The URL, if it may still be sent to: settings change, and rows outlive them."""
        known = self._known.get(url)
        if known is None:
            try:
                self._targets.check("Url", url)
            except InvalidField:
                raise NotAnswered(NOT_ALLOWED) from None
            if len(self._known) >= URLS_KNOWN_MAX:
                self._known.clear()
            known = self._known[url] = URL(url, encoded=True)
        return known

    def _open(self, found: "tuple[int, int, int, str, tuple[object, ...]]") -> socket.socket:
        """A socket for this very address, numeric by now, which nothing resolves again.

        Also addresses that stand in the URL come by here, and no resolver has seen those.
        """
        family, kind, proto, _, address = found
        if not self._targets.admits(str(address[0])):
            raise TargetRefused
        return socket.socket(family, kind, proto)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The first KEPT_BYTES. What is longer than BODY_BYTES_MAX, or late, loses its connection."""
    kept, read = bytearray(), 0
    with suppress(aiohttp.ClientError, TimeoutError):
        async for chunk in response.content.iter_any():
            kept += chunk[: KEPT_BYTES - len(kept)]
            read += len(chunk)
            if read > BODY_BYTES_MAX:
                break
        else:
            return bytes(kept)
    response.close()
    return bytes(kept)


def _why(problem: Exception) -> str:
    """What kept the answer away, for whoever runs the endpoint."""
    match problem:
        case aiohttp.ClientConnectorDNSError():
            refused = isinstance(problem.os_error, TargetRefused)
            return NOT_ALLOWED if refused else "the name is not known"
        case aiohttp.ClientConnectorCertificateError():
            return "the certificate is not valid for this name"
        case aiohttp.ClientSSLError():
            return "no TLS connection"
        case aiohttp.ClientConnectorError():
            refused = isinstance(problem.os_error, TargetRefused)
            return NOT_ALLOWED if refused else "no connection"
        case aiohttp.InvalidURL():
            return NOT_ALLOWED
        case TimeoutError():
            return "no answer in time"
        case _:
            return "the connection broke, or what came back is not HTTP"
