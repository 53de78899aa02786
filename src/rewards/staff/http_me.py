"""Oneself: who one is and may, another password, a proof of who sits there."""

from datetime import datetime
from typing import Any

import msgspec
from litestar import Request, Response, Router, get, post

from rewards.core.errors import InvalidField
from rewards.infra.http import decode, encode
from rewards.infra.openapi import answers, takes
from rewards.staff import second_factor
from rewards.staff.auth import ANY_STAFF, ENROLLING, Caller, caller
from rewards.staff.given import GivenClock, GivenDatabase, GivenGate, GivenSignIn
from rewards.staff.http_proof import given_of, password_of
from rewards.staff.http_sessions import SessionOut
from rewards.staff.model import PERMISSIONS, Permission, Role
from rewards.staff.model_sessions import SessionRules


class StaffMeOut(msgspec.Struct):
    """`second_factor`: it is on. `second_factor_needed`: nothing else is open until it is set up.

    `proven_until`: from then on what hands out secrets asks for a proof first; null: never.
    """

    id: int
    username: str
    role: Role
    permissions: list[Permission]
    session: SessionOut
    second_factor: bool
    second_factor_needed: bool
    recovery_codes_left: int
    proven_until: datetime | None


class OwnPasswordIn(msgspec.Struct, forbid_unknown_fields=True):
    old_password: str = ""
    new_password: str = ""

    def __repr__(self) -> str:
        return "OwnPasswordIn([redacted])"


class ProveIn(msgspec.Struct, forbid_unknown_fields=True):
    """One of both."""

    password: str | None = None
    code: str | None = None

    def __repr__(self) -> str:
        return "ProveIn([redacted])"


class ProvenOut(msgspec.Struct):
    """Until when nothing more is asked; null where nothing ever is."""

    proven_until: datetime | None


OWN_PASSWORD = msgspec.json.Decoder(OwnPasswordIn)
PROVE = msgspec.json.Decoder(ProveIn)


@get(
    "/me",
    operation_id="getStaffMe",
    summary="Who I am",
    guards=[ENROLLING],
    responses=answers(StaffMeOut, 401),
)
async def get_me(
    request: Request[Any, Any, Any], db: GivenDatabase, clock: GivenClock, gate: GivenGate
) -> Response[bytes]:
    """Who one is, what one may, this session, and when it must be proven again."""
    who = caller(request)
    async with db.connection() as connection:
        left = await second_factor.codes_left(connection, who.staff.id)
    return encode(_out(who, gate.rules, clock.now(), left))


def _out(who: Caller, rules: SessionRules, at: datetime, codes_left: int) -> StaffMeOut:
    session = who.session
    return StaffMeOut(
        id=who.staff.id,
        username=who.staff.username,
        role=who.staff.role,
        permissions=sorted(PERMISSIONS[who.staff.role]),
        session=SessionOut.of(session, session.state(at, rules.idle_max), session.id),
        second_factor=who.second_factor,
        second_factor_needed=rules.second_factor_required and not who.second_factor,
        recovery_codes_left=codes_left,
        proven_until=session.proven_until(rules),
    )


@post(
    "/me/password",
    status_code=204,
    operation_id="changeOwnPassword",
    guards=[ANY_STAFF],
    operation_class=takes(OwnPasswordIn, needs=("old_password", "new_password")),
    responses=answers(None, 400, 401, 403, 429, 503, status=204, told="Changed"),
)
async def change_own_password(
    request: Request[Any, Any, Any], signin: GivenSignIn, gate: GivenGate
) -> None:
    """Set another password of at least 12 characters; every other session ends.

    403 PROOF_REFUSED for a wrong old one; after five attempts in five minutes wait.
    """
    body = decode(OWN_PASSWORD, await request.body())
    old = password_of("OldPassword", body.old_password)
    await signin.change_password(
        caller(request), old, password_of("NewPassword", body.new_password)
    )
    gate.expire()


@post(
    "/me/prove",
    status_code=200,
    operation_id="proveMyself",
    guards=[ENROLLING],
    operation_class=takes(ProveIn),
    responses=answers(ProvenOut, 400, 401, 403, 409, 429, 503, told="Proven"),
)
async def prove_myself(
    request: Request[Any, Any, Any], signin: GivenSignIn, gate: GivenGate, clock: GivenClock
) -> Response[bytes]:
    """Show by `password` or `code` that one still sits there; counts for ten minutes.

    What hands out secrets, decides who comes in or agrees as the second person answers 403
    PROOF_NEEDED without it; a login is a proof too. 403 PROOF_REFUSED for a wrong one; after five
    attempts in five minutes wait.
    """
    body = decode(PROVE, await request.body())
    if (body.password is None) is (body.code is None):
        raise InvalidField("Password", "one of password and code")
    password = None if body.password is None else password_of("Password", body.password)
    await signin.prove(caller(request), password, given_of(body.code, None))
    gate.expire()
    proof_for = gate.rules.proof_for
    return encode(ProvenOut(None if proof_for is None else clock.now() + proof_for))


ROUTER = Router(
    path="/admin/api/v1",
    tags=["Oneself (staff)"],
    route_handlers=[get_me, change_own_password, prove_myself],
)
