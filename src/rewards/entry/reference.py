"""`/openapi.json` and `/docs` for clients, `/admin/openapi.json` and `/admin/docs` for staff."""

from functools import lru_cache
from typing import Any

import msgspec
from litestar import Litestar, Request, Response, Router, get
from litestar.openapi import OpenAPIConfig

from rewards.clients.auth import SECURITY_COMPONENTS as CLIENTS
from rewards.entry import page
from rewards.entry.document import Json, Side, describe
from rewards.entry.example import bodies
from rewards.infra.http import ENCODER, JSON
from rewards.staff.auth import SECURITY_COMPONENTS as STAFF

# An application a process; tests have more.
APPS_MAX = 4
STAFF_PREFIX = "/admin"
STEADY = {"Cache-Control": "public, max-age=300"}
FOR_CLIENTS = Side(
    title="Starship Rewards API",
    description="""\
Buy digital vouchers: gift cards, top-ups and other codes.

You hold prepaid wallets. An order debits one of them and is served from stock in the same request;
what is not in stock stays PENDING, and the rest of the order's life reaches you by webhook.

Send `Authorization: Bearer` with a token from `POST /auth/login`, or `X-API-Key` with
`X-API-Secret`. Amounts are JSON numbers with exactly the decimals of their currency; never read
them into a binary float. Enumerations are read in any case and answered in upper case. Unknown
fields are refused. Times are UTC, RFC 3339.

Every refusal has the same form, `{"error", "message", "code", "request_id", "details"?}`, and has
changed nothing. `code` is stable; `message` is for people.""",
    prefix="",
    tags={
        "Orders": "Place orders, and follow them.",
        "Products": "What you may buy, what it costs, and how fast it comes.",
        "Wallets": "Balances and statements.",
        "Reference data": "Categories, countries and currencies.",
        "Webhooks": "Be told of what happens.",
        "Events": "The same events, as a feed.",
        "Usage": "What you ordered, and how much of your limits is left.",
        "Requests": "What you asked of this API, and how it went.",
        "Team": "Who you are, and who else of your company may log in.",
        "Credentials": "API keys, made and ended by your own people.",
        "Notices": "Who of you is mailed of what, and below which balance.",
        "Authentication": "Tokens, for those who do not use an API key.",
        "Health": "Whether the service works.",
    },
    schemes=("bearer", "apiKey", "apiSecret"),
)
FOR_STAFF = Side(
    title="Starship Rewards staff API",
    description="""\
What the operators of the service do: clients, money, stock, orders, the audit trail.

Send `Authorization: Bearer` with a token from `POST /admin/auth/login`. Every route needs a
permission of your role; without it the answer is 403. What hands out a secret, decides who may
come in or agrees as the second person also needs a proof of the last ten minutes that you are who
you were: a login, or `POST /admin/api/v1/me/prove` (403 `PROOF_NEEDED`). Where a second factor is
required, nothing but setting one up is open without one (403 `SECOND_FACTOR_NEEDED`). Refusals have
the same form as on the clients' API, and have changed nothing.""",
    prefix=STAFF_PREFIX,
    tags={
        "Staff": "Log in, and who may.",
        "Oneself (staff)": "Who one is, a password, a second factor, a proof of who sits there.",
        "Sessions (staff)": "Where people are logged in, and an end to it.",
        "Clients (staff)": "Clients, their credentials and logins.",
        "Webhooks (staff)": "Where clients are told of events, and what became of it.",
        "Overview (staff)": "Today at a glance, and where each number leads.",
        "Orders (staff)": "Search orders, tell what happened to one, act upon one or many.",
        "Products (staff)": "What is sold, to whom, and what single clients get off it.",
        "Wallets (staff)": "Open, change, top up and adjust wallets.",
        "Inventory (staff)": "Import stock, pump it into the pool, see how deep it is, recall it.",
        "Approvals (staff)": "What one person asked for and another must agree to.",
        "Exchange rates (staff)": "See and set them; decide about those that jump.",
        "Vendors (staff)": "Accounts with vendors, what they sell, what was said.",
        "Vendor orders (staff)": "Buy what the pool lacks, follow it, settle what nobody can tell.",
        "Reconciliation (staff)": "Where books disagree, and what people say to it.",
        "Reports (staff)": "Files that are made in the background.",
        "Settings (staff)": "What this installation runs with.",
        "Audit (staff)": "Who did what, when and why.",
        "Notices (staff)": "Mail to clients and their customers, and how it looks.",
        "Alerts (staff)": "What is wrong, who looks after it, and how the deployment is.",
        "Jobs (staff)": "Background jobs that failed too often.",
    },
    schemes=("staff",),
)


class _NoPages(Router):
    """Stands where the framework would put pages of its own, which load scripts from elsewhere."""

    def register(self, value: Any) -> list[Any]:
        return []


def config() -> OpenAPIConfig:
    """For the application's `openapi_config`."""
    return OpenAPIConfig(
        title=FOR_CLIENTS.title,
        version="1.0.0",
        components=[CLIENTS, STAFF],
        use_handler_docstrings=True,
        openapi_router=_NoPages("/unused", route_handlers=[]),
    )


@lru_cache(maxsize=APPS_MAX)
def document(app: Litestar, *, staff: bool) -> Json:
    """The document of one side, made once."""
    side = FOR_STAFF if staff else FOR_CLIENTS
    return describe(app.openapi_schema.to_schema(), side, STAFF_PREFIX, bodies())


def printed(app: Litestar, *, staff: bool) -> str:
    """The document on many lines, as the golden files under docs/ have it."""
    return msgspec.json.format(_encoded(app, staff=staff), indent=1).decode()


@lru_cache(maxsize=APPS_MAX)
def _encoded(app: Litestar, *, staff: bool) -> bytes:
    return ENCODER.encode(document(app, staff=staff))


@lru_cache(maxsize=APPS_MAX)
def _rendered(app: Litestar, *, staff: bool) -> bytes:
    source = "/admin/openapi.json" if staff else "/openapi.json"
    return page.render(document(app, staff=staff), source)


@get("/openapi.json", include_in_schema=False)
async def client_document(request: Request[Any, Any, Any]) -> Response[bytes]:
    """What clients may call."""
    return Response(_encoded(request.app, staff=False), media_type=JSON, headers=STEADY)


@get("/admin/openapi.json", include_in_schema=False)
async def staff_document(request: Request[Any, Any, Any]) -> Response[bytes]:
    """What staff may call."""
    return Response(_encoded(request.app, staff=True), media_type=JSON, headers=STEADY)


@get("/docs", include_in_schema=False)
async def client_page(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The clients' document for people."""
    return _page(_rendered(request.app, staff=False))


@get("/admin/docs", include_in_schema=False)
async def staff_page(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The staff's document for people."""
    return _page(_rendered(request.app, staff=True))


@get("/docs/reference.css", include_in_schema=False)
async def style() -> Response[bytes]:
    """How the pages look."""
    return Response(page.style(), media_type="text/css", headers=STEADY)


def _page(content: bytes) -> Response[bytes]:
    return Response(content, media_type="text/html", headers=page.HEADERS)


ROUTES = [client_document, staff_document, client_page, staff_page, style]
