"""Second factors: set up one's own, confirm it, remove it; reset another's."""

from typing import Any

import msgspec
from litestar import Request, Response, Router, post
from litestar.params import FromPath

from rewards.core.errors import InvalidField
from rewards.infra.db import Tx
from rewards.infra.http import decode, encode, path_id
from rewards.infra.openapi import answers, takes
from rewards.staff import second_factor
from rewards.staff.auth import ANY_STAFF, ENROLLING, ENROLLING_PROVEN, caller, requires
from rewards.staff.given import (
    GivenClock,
    GivenDatabase,
    GivenGate,
    GivenSignIn,
    WhyIn,
    why,
)
from rewards.staff.http_proof import given_of, password_of
from rewards.staff.model import Permission, StaffNotFound
from rewards.staff.model_sessions import OwnSecondFactor
from rewards.staff.totp import key_of, uri_of


class PendingFactorOut(msgspec.Struct):
    """Shown once: `uri` for a QR code, `secret` to type in. Six digits, every 30 seconds."""

    secret: str
    uri: str

    def __repr__(self) -> str:
        return "PendingFactorOut([redacted])"


class ConfirmIn(msgspec.Struct, forbid_unknown_fields=True):
    code: str = ""

    def __repr__(self) -> str:
        return "ConfirmIn([redacted])"


class RecoveryCodesOut(msgspec.Struct):
    """Shown once; each lets its owner in one time when the authenticator is lost."""

    recovery_codes: list[str]

    def __repr__(self) -> str:
        return "RecoveryCodesOut([redacted])"


class RemoveIn(msgspec.Struct, forbid_unknown_fields=True):
    """`code`; or `password` and `recovery_code` when the authenticator is lost."""

    code: str | None = None
    password: str | None = None
    recovery_code: str | None = None

    def __repr__(self) -> str:
        return "RemoveIn([redacted])"


CONFIRM = msgspec.json.Decoder(ConfirmIn)
REMOVE = msgspec.json.Decoder(RemoveIn)


@post(
    "/me/second-factor",
    status_code=201,
    operation_id="beginSecondFactor",
    guards=[ENROLLING_PROVEN],
    responses=answers(PendingFactorOut, 401, 403, 409, status=201, told="Waits for its first code"),
)
async def begin_second_factor(
    request: Request[Any, Any, Any], signin: GivenSignIn
) -> Response[bytes]:
    """Get a secret for an authenticator app; it counts once it is confirmed with a code of it.

    Asked again it makes another. 409 when a second factor is on.
    """
    who = caller(request)
    secret = await signin.begin_factor(who)
    out = PendingFactorOut(key_of(secret), uri_of(secret, who.staff.username))
    return encode(out, 201)


@post(
    "/me/second-factor/confirm",
    status_code=200,
    operation_id="confirmSecondFactor",
    guards=[ENROLLING],
    operation_class=takes(ConfirmIn, needs=("code",)),
    responses=answers(RecoveryCodesOut, 400, 401, 403, 409, 429, told="On from now on"),
)
async def confirm_second_factor(
    request: Request[Any, Any, Any], signin: GivenSignIn, gate: GivenGate
) -> Response[bytes]:
    """Switch it on with a code of it: every login asks for one from now on. Ends other sessions.

    403 PROOF_REFUSED for a wrong code, 409 when none waits to be confirmed.
    """
    body = decode(CONFIRM, await request.body())
    given = given_of(body.code, None)
    assert given.code is not None, "a text was given"
    codes = await signin.confirm_factor(caller(request), given.code)
    gate.expire()
    return encode(RecoveryCodesOut(codes))


@post(
    "/me/second-factor/remove",
    status_code=204,
    operation_id="removeSecondFactor",
    guards=[ANY_STAFF],
    operation_class=takes(RemoveIn),
    responses=answers(None, 400, 401, 403, 409, 429, 503, status=204, told="Off"),
)
async def remove_second_factor(
    request: Request[Any, Any, Any], signin: GivenSignIn, gate: GivenGate
) -> None:
    """Switch it off by `code`, or by `password` and `recovery_code`. Ends other sessions."""
    body = decode(REMOVE, await request.body())
    given = given_of(body.code, body.recovery_code)
    if not given:
        raise InvalidField("Code", "required")
    password = None
    if given.recovery_code is not None:
        password = password_of("Password", body.password)
    await signin.remove_factor(caller(request), password, given)
    gate.expire()


@post(
    "/staff/{staff_id:str}/second-factor/reset",
    status_code=204,
    operation_id="resetSecondFactor",
    guards=[requires(Permission.STAFF_WRITE, proof=True)],
    operation_class=takes(WhyIn, required=False),
    responses=answers(None, 400, 401, 403, 404, 409, status=204, told="Off"),
)
async def reset_second_factor(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    gate: GivenGate,
    staff_id: FromPath[str],
) -> None:
    """Switch another person's off who lost authenticator and recovery codes; ends their sessions.

    409 for one's own, and for a person who has none.
    """
    who, number = caller(request), path_id(staff_id, StaffNotFound)
    if number == who.staff.id:
        raise OwnSecondFactor
    reason = await why(request)

    async def work(tx: Tx) -> None:
        person = await second_factor.lock(tx, number)
        if person is None:
            raise StaffNotFound
        await second_factor.remove(tx, person, who.actor, clock.now(), why=reason)

    await db.run(work)
    gate.expire()


ROUTER = Router(
    path="/admin/api/v1",
    tags=["Oneself (staff)"],
    route_handlers=[
        begin_second_factor,
        confirm_second_factor,
        remove_second_factor,
        reset_second_factor,
    ],
)
