"""Staff log in and out: `/admin/auth`."""

from datetime import datetime
from typing import Any

import msgspec
from litestar import Request, Response, Router, post

from rewards.core.errors import InvalidField
from rewards.core.text import printable
from rewards.infra.db import Tx
from rewards.infra.http import answer_with, decode, encode
from rewards.infra.openapi import answers, takes
from rewards.staff import sessions
from rewards.staff.auth import ENROLLING, caller
from rewards.staff.given import GivenClock, GivenDatabase, GivenGate, GivenSignIn
from rewards.staff.http_proof import CHARS_MAX, given_of
from rewards.staff.model import Role
from rewards.staff.model_sessions import EndReason


class LoginIn(msgspec.Struct, forbid_unknown_fields=True):
    """`code` of an authenticator, or a `recovery_code`, where a second factor is on."""

    username: str = ""
    password: str = ""
    code: str | None = None
    recovery_code: str | None = None

    def __repr__(self) -> str:
        return "LoginIn([redacted])"


class LoginOut(msgspec.Struct):
    """A bearer token for `/admin/api/v1`; it says nothing on a client's route."""

    access_token: str
    access_expires_at: datetime
    role: Role
    staff_id: int
    session_id: int

    def __repr__(self) -> str:
        return "LoginOut([redacted])"


LOGIN = msgspec.json.Decoder(LoginIn)


@post(
    "/login",
    status_code=200,
    operation_id="staffLogin",
    security=[{}],
    operation_class=takes(LoginIn, needs=("username", "password")),
    responses=answers(LoginOut, 400, 401, 429, 503, told="Logged in"),
)
async def log_in(request: Request[Any, Any, Any], signin: GivenSignIn) -> Response[bytes]:
    """Log in as staff: a session of ten hours that ends sooner when nobody uses it for an hour.

    A wrong password, an unknown name and a deactivated account all answer 401 UNAUTHORIZED, in the
    same time. Where a second factor is on, the right password alone answers 401
    SECOND_FACTOR_REQUIRED: send `code` or `recovery_code` with it. A wrong or used one answers
    401 CODE_REFUSED; after five in five minutes wait. At most 10 attempts a minute from one
    address, and for one name.
    """
    answer_with(request, await signin.limit_address(request.scope))
    body = decode(LOGIN, await request.body())
    for field, value in (("Username", body.username), ("Password", body.password)):
        if not value:
            raise InvalidField(field, "required")
        printable(field, value, CHARS_MAX)
    given = given_of(body.code, body.recovery_code)
    fresh = await signin.log_in(request.scope, body.username, body.password, given)
    person, session = fresh.staff, fresh.session
    out = LoginOut(fresh.access_token, session.expires_at, person.role, person.id, session.id)
    return encode(out)


@post(
    "/logout",
    status_code=204,
    operation_id="staffLogout",
    guards=[ENROLLING],
    responses=answers(None, 401, status=204, told="Logged out"),
)
async def log_out(
    request: Request[Any, Any, Any], db: GivenDatabase, clock: GivenClock, gate: GivenGate
) -> None:
    """End this session, everywhere within a second; others of the same person go on."""
    who = caller(request)

    async def work(tx: Tx) -> None:
        await sessions.end(
            tx,
            [who.staff.id],
            EndReason.LOGGED_OUT,
            who.actor,
            clock.now(),
            only=who.session.id,
        )

    await db.run(work)
    gate.expire()


ROUTER = Router(path="/admin/auth", tags=["Staff"], route_handlers=[log_in, log_out])
