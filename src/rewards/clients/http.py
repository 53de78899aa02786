"""`/auth/login`, `/auth/refresh` and `/auth/logout` (spec.md §2)."""

from datetime import datetime
from typing import Any

import msgspec
from litestar import Request, Response, Router, post
from litestar.di import NamedDependency

from rewards.clients.auth import BEARER_ONLY, principal_of, requires
from rewards.clients.directory import Directory
from rewards.clients.model import Scope
from rewards.clients.passwords import PASSWORD_CHARS_MAX, USERNAME_CHARS_MAX
from rewards.clients.sessions import Session, Sessions
from rewards.clients.tokens import REFRESH_CHARS_MAX
from rewards.core.errors import InvalidField, Unauthorized
from rewards.infra.address import Proxies
from rewards.infra.http import answer_with, decode, encode
from rewards.infra.openapi import answers, takes

LOGGED_OUT = "Successfully logged out"


class LoginBody(msgspec.Struct, forbid_unknown_fields=True):
    username: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return "LoginBody([redacted])"


class RefreshBody(msgspec.Struct, forbid_unknown_fields=True):
    refresh_token: str = ""

    def __repr__(self) -> str:
        return "RefreshBody([redacted])"


class TokensAnswer(msgspec.Struct):
    access_token: str
    refresh_token: str
    access_expires_at: datetime
    refresh_expires_at: datetime
    client_id: int

    def __repr__(self) -> str:
        return "TokensAnswer([redacted])"


class MessageAnswer(msgspec.Struct):
    message: str


LOGIN_BODY = msgspec.json.Decoder(LoginBody)
REFRESH_BODY = msgspec.json.Decoder(RefreshBody)


def _check(field: str, value: str, chars_max: int) -> None:
    if not value:
        raise InvalidField(field, "required")
    if len(value) > chars_max:
        raise InvalidField(field, "max")


def _tokens(session: Session) -> Response[bytes]:
    answer = TokensAnswer(
        session.access_token,
        session.refresh_token,
        session.access_expires_at,
        session.refresh_expires_at,
        session.client_id,
    )
    return encode(answer)


@post(
    "/login",
    status_code=200,
    operation_id="login",
    summary="Log in",
    operation_class=takes(LoginBody, needs=("username", "password")),
    responses=answers(TokensAnswer, 400, 401, 429, 503, told="A new session"),
)
async def login(
    request: Request[Any, Any, Any],
    sessions: NamedDependency[Sessions],
    proxies: NamedDependency[Proxies],
) -> Response[bytes]:
    """Exchange username and password for an access and a refresh token.

    They live 15 minutes and 7 days. At most 10 attempts a minute from one address, and for one
    user.
    """
    address = proxies.address(request.scope)
    answer_with(request, await sessions.limit_address(address))
    body = decode(LOGIN_BODY, await request.body())
    _check("Username", body.username, USERNAME_CHARS_MAX)
    _check("Password", body.password, PASSWORD_CHARS_MAX)
    return _tokens(await sessions.login(body.username, body.password, address))


@post(
    "/refresh",
    status_code=200,
    operation_id="refresh",
    summary="Refresh a session",
    operation_class=takes(RefreshBody, needs=("refresh_token",)),
    responses=answers(TokensAnswer, 400, 401, 503, told="A new session"),
)
async def refresh(
    request: Request[Any, Any, Any],
    sessions: NamedDependency[Sessions],
    proxies: NamedDependency[Proxies],
) -> Response[bytes]:
    """Exchange a refresh token for a new access token and a new refresh token.

    Each refresh token works once. One that comes back ends every session that descends from the
    same login.
    """
    body = decode(REFRESH_BODY, await request.body())
    _check("RefreshToken", body.refresh_token, REFRESH_CHARS_MAX)
    return _tokens(await sessions.refresh(body.refresh_token, proxies.address(request.scope)))


@post(
    "/logout",
    status_code=200,
    operation_id="logout",
    summary="Log out",
    guards=[requires(None)],
    security=BEARER_ONLY,
    responses=answers(MessageAnswer, 401, 503, told="The tokens are revoked"),
)
async def logout(
    request: Request[Any, Any, Any],
    sessions: NamedDependency[Sessions],
    directory: NamedDependency[Directory],
) -> Response[bytes]:
    """Revoke every access and refresh token of the client. API keys stay valid.

    Somebody whose role does not change the team (`members:write`) revokes their own alone, of all
    their sessions. `POST /api/v1/me/logout` ends one session.
    """
    principal = principal_of(request)
    if principal.login_id is None:
        raise Unauthorized
    everybody = Scope.MEMBERS_WRITE in principal.scopes
    await sessions.logout(principal.client_id, None if everybody else principal.login_id)
    directory.expire()
    return encode(MessageAnswer(LOGGED_OUT))


ROUTER = Router("/auth", route_handlers=[login, refresh, logout], tags=["Authentication"])
