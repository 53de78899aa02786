"""Who may read a process' figures, and the small port where it tells them."""

import hmac
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import ip_network

import structlog
from aiohttp import web

from rewards.infra.address import Address, parse_address, within
from rewards.infra.log import describe
from rewards.infra.loopback import serving
from rewards.infra.metrics import exposition
from rewards.infra.readiness import Readiness
from rewards.infra.settings import Settings

log = structlog.get_logger()

LOOPBACK = ("127.0.0.0/8", "::1/128")
BEARER = "bearer "
# Reads what stands in the database, where that is older than some seconds. Must not raise.
Refresh = Callable[[], Awaitable[None]]
Answer = Callable[[web.Request], Awaitable[web.Response]]


class Door:
    """Opens for callers from the networks of the settings, and for whoever shows the token.

    Without either it opens for nobody. Raises ValueError for what is no network, at the start.
    """

    def __init__(self, settings: Settings, more: Sequence[str] = ()) -> None:
        self._networks = tuple(ip_network(text) for text in (*settings.metrics_networks, *more))
        self._token = settings.metrics_token.get_secret_value().encode()

    def opens(self, address: Address | None, authorization: str) -> bool:
        if within(address, self._networks):
            return True
        shown = authorization[len(BEARER) :] if authorization[:7].lower() == BEARER else ""
        # An empty token is none; a header may be any bytes, which stand here as surrogates.
        raw = shown.encode(errors="surrogateescape")
        return bool(self._token) and hmac.compare_digest(raw, self._token)


@asynccontextmanager
async def telling(
    settings: Settings, refresh: Refresh, readiness: Readiness
) -> AsyncIterator[str | None]:
    """Tell figures, life and readiness of this process at `metrics_port`, to whom the door opens.

    Gives the base URL, None where there is none.

    A port that is taken is told of in the log and costs nothing but the figures: what a process is
    there for goes on.
    """
    app = web.Application()
    door = Door(settings, LOOPBACK)
    app.router.add_get("/metrics", _at(door, _figures(refresh)))
    app.router.add_get("/healthz", _at(door, _alive))
    app.router.add_get("/readyz", _at(door, _ready(readiness)))
    async with AsyncExitStack() as stack:
        url = None
        if settings.metrics_port:
            port = serving(app, settings.metrics_host, settings.metrics_port)
            try:
                url = await stack.enter_async_context(port)
            except OSError as taken:
                log.error(  # noqa: TRY400  its words say it all
                    "metrics_port_not_opened",
                    port=settings.metrics_port,
                    problem=describe(taken),
                )
        yield url


def _at(door: Door, answer: Answer) -> Answer:
    """The answer, for whom the door opens."""

    async def guarded(request: web.Request) -> web.Response:
        peer = parse_address(request.remote) if request.remote else None
        if not door.opens(peer, request.headers.get("Authorization", "")):
            raise web.HTTPNotFound
        return await answer(request)

    return guarded


def _figures(refresh: Refresh) -> Answer:
    async def tell(request: web.Request) -> web.Response:
        await refresh()
        text, content_type = await exposition(request.headers.get("Accept", ""))
        return web.Response(body=text, headers={"Content-Type": content_type})

    return tell


async def _alive(_request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


def _ready(readiness: Readiness) -> Answer:
    async def tell(_request: web.Request) -> web.Response:
        told = await readiness.tell()
        return web.json_response(told.body(), status=200 if told.ready else 503)

    return tell
