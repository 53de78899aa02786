"""Staff log in and out: `/admin/auth`."""

from datetime import datetime
from typing import Any

import msgspec
from litestar import Request, Response, Router, post

from rewards.core.errors import InvalidField
from rewards.core.text import printable
from rewards.infra.http import NO_STORE, answer_with, decode, encode
from rewards.infra.openapi import answers, takes
from rewards.staff import service
from rewards.staff.auth import ANY_STAFF, caller
from rewards.staff.given import GivenClock, GivenDatabase, GivenGate
from rewards.staff.model import Role

CHARS_MAX = 128


class LoginIn(msgspec.Struct, forbid_unknown_fields=True):
    username: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return "LoginIn([redacted])"


class LoginOut(msgspec.Struct):
    """A bearer token for `/admin/api/v1`; it says nothing on a client's route."""

    access_token: str
    access_expires_at: datetime
    role: Role
    staff_id: int


LOGIN = msgspec.json.Decoder(LoginIn)


@post(
    "/login",
    status_code=200,
    operation_id="staffLogin",
    security=[{}],
    operation_class=takes(LoginIn, needs=("username", "password")),
    responses=answers(LoginOut, 400, 401, 429, 503, told="Logged in"),
)
async def log_in(request: Request[Any, Any, Any], gate: GivenGate) -> Response[bytes]:
    """Log in as staff; the token lasts ten hours, or until it is revoked.

    A wrong password, an unknown name and a deactivated account all answer 401, in the same time.
    At most 10 attempts a minute from one address, and for one name.
    """
    answer_with(request, await gate.limit_address(request.scope))
    body = decode(LOGIN, await request.body())
    for field, value in (("Username", body.username), ("Password", body.password)):
        if not value:
            raise InvalidField(field, "required")
        printable(field, value, CHARS_MAX)
    session = await gate.log_in(request.scope, body.username, body.password)
    out = LoginOut(
        session.access_token, session.access_expires_at, session.staff.role, session.staff.id
    )
    return encode(out, headers=NO_STORE)


@post(
    "/logout",
    status_code=204,
    operation_id="staffLogout",
    guards=[ANY_STAFF],
    responses=answers(None, 401, status=204, told="Logged out"),
)
async def log_out(
    request: Request[Any, Any, Any], db: GivenDatabase, clock: GivenClock, gate: GivenGate
) -> None:
    """Void every token of the caller, everywhere within a second."""
    who = caller(request)
    async with db.transaction() as tx:
        await service.log_out(tx, [who.staff.id], clock.now(), who.actor)
    gate.expire()


ROUTER = Router(path="/admin/auth", tags=["Staff"], route_handlers=[log_in, log_out])
