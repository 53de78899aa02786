"""Lets a request in, or does not: what every route for clients stands behind (spec.md §2, D3).

A caller shows either `Authorization: Bearer …` or `X-API-Key` with `X-API-Secret`, never both. A
credential that requires it also needs `X-Signature` (see clients/signing.py). Whatever is wrong
(a bad secret, a foreign address, a suspended client), the answer is the same 401.
"""

from typing import Any, TypeAlias, cast

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.openapi.spec import Components, SecurityScheme
from litestar.types import HTTPScope

from rewards.clients.directory import Directory
from rewards.clients.model import Principal
from rewards.clients.signing import signed
from rewards.core.actor import Actor, ActorKind
from rewards.core.clock import Clock
from rewards.core.errors import Forbidden, Unauthorized
from rewards.infra.address import Address, Proxies, text_of, within
from rewards.infra.http import request_id

Connection: TypeAlias = ASGIConnection[Any, Any, Any, Any]

BEARER = "Bearer "
# What is read of a request's headers, each at most once.
SHOWN = frozenset({b"authorization", b"x-api-key", b"x-api-secret", b"x-signature"})

# For the OpenAPI document: the schemes, and what a route for clients accepts.
SECURITY_COMPONENTS = Components(
    security_schemes={
        "bearer": SecurityScheme(
            type="http",
            scheme="bearer",
            bearer_format="JWT",
            description="Access token from POST /auth/login.",
        ),
        "apiKey": SecurityScheme(
            type="apiKey",
            name="X-API-Key",
            security_scheme_in="header",
            description="API key, always together with X-API-Secret.",
        ),
        "apiSecret": SecurityScheme(
            type="apiKey",
            name="X-API-Secret",
            security_scheme_in="header",
            description="Secret of the API key; shown once, when the credential is issued.",
        ),
    }
)
SECURITY: list[dict[str, list[str]]] = [{"bearer": []}, {"apiKey": [], "apiSecret": []}]
BEARER_ONLY: list[dict[str, list[str]]] = [{"bearer": []}]


class Gate:
    """One a process, at `app.state.gate`: authenticates requests with the directory."""

    def __init__(self, directory: Directory, proxies: Proxies, clock: Clock) -> None:
        self._directory = directory
        self._proxies = proxies
        self._clock = clock

    async def admit(self, request: Connection) -> Principal:
        """Who sends this request; from where is found out here too, once for all who tell of it.

        Raises Unauthorized, or Unavailable as the directory does.
        """
        shown: dict[bytes, str] = {}
        for name, value in request.scope["headers"]:
            if name in SHOWN:
                if name in shown:
                    # Two proxies may disagree about which one counts.
                    raise Unauthorized
                shown[name] = value.decode("latin-1")
        bearer = shown.get(b"authorization")
        api_key, api_secret = shown.get(b"x-api-key"), shown.get(b"x-api-secret")
        if bearer is not None:
            if api_key is not None or api_secret is not None:
                raise Unauthorized
            principal = await self._by_token(bearer)
        elif api_key is not None and api_secret is not None:
            held = await self._directory.credential_by_key(api_key, api_secret)
            principal = held.principal
            if held.signing_key is not None:
                await self._check_signature(
                    request, shown.get(b"x-signature", ""), held.signing_key
                )
        else:
            raise Unauthorized
        address = self._proxies.address(request.scope)
        if principal.networks and not within(address, principal.networks):
            raise Unauthorized
        told = cast("dict[str, Any]", request.scope)
        told["rewards_principal"], told["rewards_address"] = principal, address
        return principal

    async def _by_token(self, bearer: str) -> Principal:
        # RFC 9110: the scheme's name is told apart in any case.
        if bearer[: len(BEARER)].lower() != BEARER.lower():
            raise Unauthorized
        return await self._directory.principal_by_token(bearer[len(BEARER) :])

    async def _check_signature(self, request: Connection, header: str, key: bytes) -> None:
        scope = cast("HTTPScope", request.scope)
        good = signed(
            header,
            key,
            method=scope["method"],
            path=scope["raw_path"],
            query=scope["query_string"],
            body=await cast("Request[Any, Any, Any]", request).body(),
            now_s=self._clock.now().timestamp(),
        )
        if not good:
            raise Unauthorized


class Requires:
    """A guard: lets in who is authenticated and has `scope` (None: any client).

    With `person` only somebody who is signed in, and no API key.
    """

    def __init__(self, scope: str | None, *, person: bool = False) -> None:
        self.scope = scope
        self.person = person

    async def __call__(self, connection: Connection, _handler: object = None) -> None:
        # First: whoever tells of the request afterwards knows of whom, also where it is refused.
        principal = await connection.scope["litestar_app"].state.gate.admit(connection)
        if self.scope is not None and self.scope not in principal.scopes:
            raise Forbidden
        if self.person and principal.login_id is None:
            raise Forbidden


def requires(scope: str | None) -> Requires:
    """A route's guard: lets in who is authenticated and has `scope` (None: any client).

    Give it as `guards=[requires("orders:read")]`, or as `before_request=requires("orders:write")`
    where 6 µs count: Litestar copies the route handler for each guard it calls. Refuses with
    Unauthorized (401) before the body is looked at, and Forbidden (403) for a missing scope.
    Afterwards `principal_of(request)` says who it is. Needs a `Gate` at `app.state.gate`.
    """
    return Requires(scope)


def person(scope: str | None) -> Requires:
    """As `requires`, and only for somebody who is signed in: an API key is refused with 403."""
    return Requires(scope, person=True)


def principal_of(connection: Connection) -> Principal:
    """Who sends this request, on a route that `requires` guards."""
    principal: Principal = cast("dict[str, Any]", connection.scope)["rewards_principal"]
    return principal


def actor_of(request: Request[Any, Any, Any]) -> Actor:
    """The client as history and audit know it, on a route that `requires` guards.

    Its address is the caller's as `Gate.admit` found it, never that of a trusted proxy before us.
    """
    address: Address | None = cast("dict[str, Any]", request.scope)["rewards_address"]
    return Actor(
        ActorKind.CLIENT,
        principal_of(request).client_id,
        request_id(request),
        text_of(address),
    )
