"""The API process: every route of `/api/v1` and `/admin/api/v1` behind one ASGI application."""

import asyncio
import gc
from collections.abc import Callable
from types import FrameType
from typing import Any, cast

import uvicorn
from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from rewards.alerts import http as alerts_http
from rewards.alerts import http_health
from rewards.catalog import http as catalog_http
from rewards.catalog import http_reference
from rewards.claims import http as claims_http
from rewards.clients import http as clients_http
from rewards.clients.auth import SECURITY
from rewards.console.http import console
from rewards.entry import database, operations, reference
from rewards.entry.alerting import watching
from rewards.entry.kept import KEPT
from rewards.entry.observing import observed
from rewards.entry.wiring import Parts, open_parts
from rewards.infra.beats import ProcessKind
from rewards.infra.http import BODY_BYTES_MAX, EXCEPTION_HANDLERS, RequestIds
from rewards.infra.leftover import ReadsRest
from rewards.infra.openapi import DecimalsAreNumbers
from rewards.infra.protocol import BoundedProtocol
from rewards.infra.settings import Settings
from rewards.members import http as members_http
from rewards.orders import http as orders_http
from rewards.portal.http import portal
from rewards.pricing import http as pricing_http
from rewards.reports import http as reports_http
from rewards.staff import http as staff_http
from rewards.staff.auth import SECURITY as STAFF_SECURITY
from rewards.traffic import http as traffic_http
from rewards.vendors import http as vendors_http
from rewards.wallets import http as wallets_http
from rewards.webhooks import http as webhooks_http
from rewards.webhooks import http_events

KEEP_ALIVE_S = 60
# The rest of ten seconds is for closing, which takes long when the database does not answer.
SHUTDOWN_GRACE_S = 4
BACKLOG = 2048
GC_THRESHOLD = 20_000


# What handlers may ask for by name.
PROVIDED = (
    "settings",
    "clock",
    "db",
    "vault",
    "catalog",
    "prices",
    "pool",
    "wallets_of",
    "limiter",
    "proxies",
    "sessions",
    "signin",
    "directory",
    "orders",
    "passwords",
    "imports",
    "accounts",
    "fulfilment",
    "restocks",
    "buyers",
    "webhooks",
    "links",
    "claims",
    "events",
    "readiness",
    "money_limit",
    "week",
)


def build_app(parts: Parts) -> ASGIApp:
    """The application over wired parts."""
    return layered(build_routes(parts), parts)


def layered(routes: Litestar, parts: Parts) -> ASGIApp:
    """What stands around the routes of a process."""
    return RequestIds(ReadsRest(TellsMethods(routes)), parts.requests.note)


class TellsMethods:
    """ASGI layer: answers OPTIONS with every method of the path, from what a 405 says of it.

    The framework's own answer forgets methods that were registered after the first.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or scope["method"] != "OPTIONS":
            await self._app(scope, receive, send)
            return
        told = False

        async def send_methods(message: Message) -> None:
            nonlocal told
            if message["type"] == "http.response.start" and message["status"] == 405:
                told = True
                message["status"] = 204
                message["headers"] = [h for h in message["headers"] if h[0].lower() == b"allow"]
            elif told and message["type"] == "http.response.body":
                message["body"] = b""
            await send(message)

        # No route takes TRACE.
        await self._app({**scope, "method": "TRACE"}, receive, send_methods)


class _Nothing:
    """Stands for parts that nobody will ask for anything."""

    def __getattr__(self, name: str) -> None:
        return None


def build_unwired() -> Litestar:
    """The application without its parts: it can be described, not called."""
    return build_routes(cast("Parts", _Nothing()))


def build_routes(parts: Parts) -> Litestar:
    """Every route, and what its handlers are given."""
    return Litestar(
        route_handlers=[
            *operations.routes(parts),
            clients_http.ROUTER,
            Router(
                "/api/v1",
                route_handlers=[
                    catalog_http.ROUTER,
                    http_reference.ROUTER,
                    pricing_http.ROUTER,
                    wallets_http.ROUTER,
                    orders_http.ROUTER,
                    webhooks_http.ROUTER,
                    http_events.ROUTER,
                    members_http.ROUTER,
                    traffic_http.ROUTER,
                ],
                security=SECURITY,
            ),
            staff_http.ROUTER,
            Router(
                "/",
                route_handlers=[alerts_http.ROUTER, http_health.ROUTER],
                security=STAFF_SECURITY,
            ),
            reports_http.ROUTER,
            vendors_http.ROUTER,
            claims_http.ROUTER,
            *_rooms(parts),
            *reference.ROUTES,
        ],
        dependencies=provided(parts),
        state=state_of(parts),
        plugins=[DecimalsAreNumbers()],
        exception_handlers=EXCEPTION_HANDLERS,
        request_max_body_size=BODY_BYTES_MAX,
        openapi_config=reference.config(),
        logging_config=None,
    )


def provided(parts: Parts) -> dict[str, Provide]:
    """What handlers may ask for."""
    return {
        "gate": _always(parts.staff_gate),
        "kept": _always(KEPT),
        **{name: _always(getattr(parts, name)) for name in PROVIDED},
    }


def state_of(parts: Parts) -> State:
    """What stands before handlers may look at."""
    return State(
        {
            "gate": parts.gate,
            "staff_gate": parts.staff_gate,
            "orders": parts.orders,
            "limiter": parts.limiter,
            # A browser keeps such a cookie where the page came by TLS alone.
            "secure_cookies": parts.settings is not None
            and parts.settings.public_url.startswith("https:"),
        }
    )


def _rooms(parts: Parts) -> list[Router]:
    """Pages for people: each is a way to one of the two APIs, and to nothing else."""
    given: Any = {
        "vault": parts.vault,
        "clock": parts.clock,
        "proxies": parts.proxies,
        "settings": parts.settings,
    }
    return [console(**given), portal(db=parts.db, **given)]


def _always(value: object) -> Provide:
    # A synchronous provider would run in a thread for every request.
    async def provide() -> object:
        return value

    return Provide(provide)


class Server(uvicorn.Server):
    """Returns when it was told to stop, so that its caller can close what it opened.

    The library's own would raise the signal again at the end, and die of it. `leaving` is called
    first: whoever lets requests wait answers them.
    """

    def __init__(self, config: uvicorn.Config, leaving: Callable[[], None]) -> None:
        super().__init__(config)
        self._leaving = leaving
        self._loop = asyncio.get_running_loop()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.should_exit = True
        # From a signal's handler: the loop may be in the middle of anything.
        self._loop.call_soon_threadsafe(self._leaving)


async def serve(app: ASGIApp, host: str, port: int, leaving: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM; requests under way get SHUTDOWN_GRACE_S to finish."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http=BoundedProtocol,
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=SHUTDOWN_GRACE_S,
    )
    await Server(config, leaving).serve()


async def run(settings: Settings, host: str, port: int) -> None:
    """`rewards api`: serve over the database that the settings name."""
    dsn = await database.app_dsn(settings)
    async with (
        open_parts(dsn, settings) as parts,
        observed(ProcessKind.API, settings, parts.db, parts.figures, parts.readiness),
        watching(parts.db, settings, parts.clock, parts.restocks),
    ):
        app = build_app(parts)
        # What was built until now stays: no collection needs to walk it again, and a request makes
        # no cycles, so that collections may be rarer.
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD)
        await serve(app, host, port, parts.events.close)
