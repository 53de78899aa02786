"""`/vouchers/claim/{token}`: the end user's page (spec.md §7); its refusals are pages too."""

import hmac
import re
import secrets
from collections.abc import Mapping
from typing import Any, TypeAlias

import asyncpg
from litestar import Request, Response, Router, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import FromPath, SkipValidation

from rewards.claims import page
from rewards.claims.model import WrongPassword, digest_of
from rewards.claims.visiting import Claims, Visit
from rewards.clients.limits import Limiter
from rewards.clients.windows import Window
from rewards.core.actor import Actor, ActorKind
from rewards.core.clock import Clock
from rewards.core.errors import NotFound, Refusal, TooManyRequests, Unavailable
from rewards.infra.address import Proxies, origin_of, text_of
from rewards.infra.crypto import Vault
from rewards.infra.http import answer_with, request_id
from rewards.infra.pages.forms import read_form

# Of an address, over all links and acts: whoever guesses tokens comes nowhere (spec.md §7).
WINDOWS = (Window(20, 60),)
PURPOSE = "claim-page-address"
COOKIE = "claim"
COOKIE_BYTES = 16
CSRF = "claims.csrf"
CSRF_LIFE_S = 4 * 3600
CSRF_FORM = re.compile(r"([0-9]{1,12})\.([0-9a-f]{64})", re.ASCII)
NONCE = re.compile(r"[A-Za-z0-9_-]{22}", re.ASCII)
FORM_BYTES_MAX = 4 * 1024
FORM_FIELDS_MAX = 4
HTML = "text/html"
STEADY = {"Cache-Control": "public, max-age=300", "X-Content-Type-Options": "nosniff"}
TOO_OLD = "This page was open for too long. Please try again."
NOT_RIGHT = "This password is not right."

GivenClaims: TypeAlias = NamedDependency[SkipValidation[Claims]]
GivenLimiter: TypeAlias = NamedDependency[SkipValidation[Limiter]]
GivenClock: TypeAlias = NamedDependency[SkipValidation[Clock]]
GivenProxies: TypeAlias = NamedDependency[SkipValidation[Proxies]]
GivenVault: TypeAlias = NamedDependency[SkipValidation[Vault]]


@get("/claim/{token:str}", include_in_schema=False)
async def show_link(
    request: Request[Any, Any, Any],
    token: FromPath[str],
    claims: GivenClaims,
    limiter: GivenLimiter,
    proxies: GivenProxies,
    vault: GivenVault,
    clock: GivenClock,
) -> Response[bytes]:
    """What waits behind the link, and the form that asks for it.

    Reveals nothing, counts nothing and changes nothing: mail scanners follow every link.
    """
    await _count(request, limiter, proxies)
    visit = await claims.look(token)
    return _form(request, visit, token, vault, clock)


@post(
    "/claim/{token:str}",
    status_code=200,
    request_max_body_size=FORM_BYTES_MAX,
    include_in_schema=False,
)
async def show_voucher(
    request: Request[Any, Any, Any],
    token: FromPath[str],
    claims: GivenClaims,
    limiter: GivenLimiter,
    proxies: GivenProxies,
    vault: GivenVault,
    clock: GivenClock,
) -> Response[bytes]:
    """The voucher, claimed now or before, to whoever sends the form of our own page.

    Without it, or with a wrong password, 403 and the form again; nothing is revealed or counted.
    """
    await _count(request, limiter, proxies)
    visit = await claims.look(token)
    sent = read_form(await request.body(), fields_max=FORM_FIELDS_MAX)
    if not _ours(request, sent.get("csrf", ""), token, vault, clock):
        return _form(request, visit, token, vault, clock, TOO_OLD)
    address = text_of(proxies.address(request.scope))
    actor = Actor(ActorKind.HOLDER, None, request_id(request), address)
    try:
        revealed = await claims.reveal(token, sent.get("password", ""), actor)
    except WrongPassword:
        return _form(request, visit, token, vault, clock, NOT_RIGHT)
    return _html(page.opened(revealed))


async def _count(request: Request[Any, Any, Any], limiter: Limiter, proxies: Proxies) -> None:
    """Whatever the link is worth: an address over its limit is not even told that."""
    origin = origin_of(proxies.address(request.scope))
    answer_with(request, await limiter.spend(PURPOSE, origin, WINDOWS))


def _form(
    request: Request[Any, Any, Any],
    visit: Visit,
    token: str,
    vault: Vault,
    clock: Clock,
    problem: str = "",
) -> Response[bytes]:
    """The page with a form that this browser, and no other site in it, may send back."""
    nonce = _nonce(request) or secrets.token_urlsafe(COOKIE_BYTES)
    issued = int(clock.now().timestamp())
    csrf = f"{issued}.{_seal(vault, nonce, token, issued)}"
    answer = _html(page.closed(visit, csrf, problem), 403 if problem else 200)
    answer.set_cookie(
        Cookie(
            COOKIE,
            value=nonce,
            path="/vouchers/claim",
            max_age=CSRF_LIFE_S,
            httponly=True,
            samesite="lax",
            secure=request.app.state.secure_cookies,
        )
    )
    return answer


def _ours(
    request: Request[Any, Any, Any], csrf: str, token: str, vault: Vault, clock: Clock
) -> bool:
    """Whether the form came from our page for this link, in this browser, not too long ago."""
    nonce, found = _nonce(request), CSRF_FORM.fullmatch(csrf)
    if nonce is None or found is None:
        return False
    issued = int(found[1])
    if not 0 <= clock.now().timestamp() - issued <= CSRF_LIFE_S:
        return False
    return hmac.compare_digest(found[2], _seal(vault, nonce, token, issued))


def _seal(vault: Vault, nonce: str, token: str, issued: int) -> str:
    return vault.mac(CSRF, f"{nonce}.{issued}.".encode() + digest_of(token)).hex()


def _nonce(request: Request[Any, Any, Any]) -> str | None:
    given = request.cookies.get(COOKIE, "")
    return given if NONCE.fullmatch(given) else None


def _html(
    body: bytes, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response[bytes]:
    return Response(
        body, status_code=status, media_type=HTML, headers={**page.HEADERS, **(headers or {})}
    )


def _refused(_request: Request[Any, Any, Any], refusal: Refusal) -> Response[bytes]:
    """Refusals as pages. Why a link is not valid nobody is told."""
    if isinstance(refusal, TooManyRequests):
        wait_s = int((refusal.headers or {}).get("Retry-After", "60"))
        return _html(page.wait(-(-wait_s // 60)), refusal.status, refusal.headers)
    if isinstance(refusal, NotFound):
        return _html(page.gone(), refusal.status)
    return _html(page.away(), Unavailable.status, Unavailable().headers)


def _busy(_request: Request[Any, Any, Any], _problem: Exception) -> Response[bytes]:
    """Others held the order, or it took too long: nothing was changed."""
    return _html(page.away(), Unavailable.status, Unavailable().headers)


@get("/assets/{name:str}", include_in_schema=False)
async def show_asset(name: FromPath[str]) -> Response[bytes]:
    """The page's sheet and script."""
    if name not in page.ASSETS:
        raise NotFound
    return Response(page.asset(name), media_type=page.ASSETS[name], headers=STEADY)


ROUTER = Router(
    "/vouchers",
    route_handlers=[
        Router("/", route_handlers=[show_asset]),
        Router(
            "/",
            route_handlers=[show_link, show_voucher],
            exception_handlers={
                Refusal: _refused,
                asyncpg.LockNotAvailableError: _busy,
                asyncpg.QueryCanceledError: _busy,
                asyncpg.DeadlockDetectedError: _busy,
                asyncpg.SerializationError: _busy,
            },
        ),
    ],
)
