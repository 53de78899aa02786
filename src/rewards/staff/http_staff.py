"""Who works here: list, let in, change roles, deactivate."""

from datetime import datetime
from typing import Any

import msgspec
from litestar import Request, Response, Router, get, patch, post
from litestar.params import FromPath

from rewards.core.errors import InvalidField, Refusal
from rewards.core.page import Page
from rewards.infra.db import Tx
from rewards.infra.http import decode, encode, page_answer, path_id
from rewards.infra.openapi import answers, asks, takes
from rewards.staff import service
from rewards.staff.auth import caller, requires
from rewards.staff.given import (
    PAGED,
    GivenClock,
    GivenDatabase,
    GivenGate,
    GivenPasswords,
    paged,
    reason_told,
)
from rewards.staff.model import NewStaff, Permission, Role, Staff, StaffChange, StaffNotFound


class StaffOut(msgspec.Struct):
    id: int
    username: str
    role: Role
    active: bool
    created_at: datetime

    @classmethod
    def of(cls, person: Staff) -> "StaffOut":
        return cls(person.id, person.username, person.role, person.active, person.created_at)


class NewStaffIn(msgspec.Struct, forbid_unknown_fields=True):
    """`role`: viewer, support, operations, finance or admin; a password of at least 12.

    `reason`: why, for the trail.
    """

    username: str
    role: str
    password: str
    reason: str | None = None

    def __repr__(self) -> str:
        return "NewStaffIn([redacted])"


class StaffChangeIn(msgspec.Struct, forbid_unknown_fields=True):
    """What is left out stays as it is; `reason`: why, for the trail."""

    role: str | None = None
    active: bool | None = None
    password: str | None = None
    reason: str | None = None

    def __repr__(self) -> str:
        return "StaffChangeIn([redacted])"


NEW_STAFF = msgspec.json.Decoder(NewStaffIn)
STAFF_CHANGE = msgspec.json.Decoder(StaffChangeIn)


@get(
    "/staff",
    operation_id="listStaff",
    operation_class=asks(PAGED),
    guards=[requires(Permission.STAFF_READ)],
    responses=answers(list[StaffOut], 400, 401, 403),
)
async def list_staff(request: Request[Any, Any, Any], db: GivenDatabase) -> Response[bytes]:
    """Everybody, in order of id; `page` and `limit` (50, at most 500)."""
    ask = paged(request)
    async with db.connection() as connection:
        people, total = await service.list_staff(connection, ask.size, ask.offset)
    return page_answer(request, Page(people, ask, total), [StaffOut.of(one) for one in people])


@get(
    "/staff/{staff_id:str}",
    operation_id="getStaff",
    guards=[requires(Permission.STAFF_READ)],
    responses=answers(StaffOut, 401, 403, 404),
)
async def get_staff(staff_id: FromPath[str], db: GivenDatabase) -> Response[bytes]:
    """One person."""
    number = path_id(staff_id, StaffNotFound)
    async with db.connection() as connection:
        [person] = await service.read_staff(connection, [number])
    if person is None:
        raise StaffNotFound
    return encode(StaffOut.of(person))


@post(
    "/staff",
    status_code=201,
    operation_id="createStaff",
    guards=[requires(Permission.STAFF_WRITE, proof=True)],
    operation_class=takes(NewStaffIn),
    responses=answers(StaffOut, 400, 401, 403, 409, status=201, told="Let in"),
)
async def create_staff(
    request: Request[Any, Any, Any], db: GivenDatabase, clock: GivenClock, passwords: GivenPasswords
) -> Response[bytes]:
    """Let somebody in. 409 when the username is taken."""
    body = decode(NEW_STAFF, await request.body())
    reason = reason_told(body.reason)
    ask = NewStaff(body.username, role_of(body.role), body.password, reason)
    digests = await passwords.digests([ask.password])

    async def work(tx: Tx) -> Staff:
        who = caller(request)
        [answer] = await service.create_staff(tx, [ask], digests, clock.now(), who.actor)
        return _raised(answer)

    return encode(StaffOut.of(await db.run(work)), 201)


@patch(
    "/staff/{staff_id:str}",
    operation_id="changeStaff",
    guards=[requires(Permission.STAFF_WRITE, proof=True)],
    operation_class=takes(StaffChangeIn),
    responses=answers(StaffOut, 400, 401, 403, 404, 409),
)
async def change_staff(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    passwords: GivenPasswords,
    gate: GivenGate,
    staff_id: FromPath[str],
) -> Response[bytes]:
    """Change a role, deactivate, or set a password; counts in every process within a second.

    Deactivation and a new password end every session of that person. 409 when no active admin
    would be left.
    """
    body = decode(STAFF_CHANGE, await request.body())
    role = None if body.role is None else role_of(body.role)
    number, reason = path_id(staff_id, StaffNotFound), reason_told(body.reason)
    ask = StaffChange(number, role, body.active, body.password, reason)
    digest = None if body.password is None else await passwords.digest(body.password)

    async def work(tx: Tx) -> Staff:
        who = caller(request)
        [answer] = await service.change_staff(tx, [ask], [digest], clock.now(), who.actor)
        return _raised(answer)

    changed = await db.run(work)
    gate.expire()
    return encode(StaffOut.of(changed))


def role_of(text: str) -> Role:
    """A role in any case; refuses the rest."""
    try:
        return Role(text.lower())
    except ValueError:
        raise InvalidField("Role", "oneof", details={"allowed": list(Role)}) from None


def _raised(answer: Staff | Refusal) -> Staff:
    if isinstance(answer, Refusal):
        raise answer
    return answer


ROUTER = Router(
    path="/admin/api/v1",
    tags=["Staff"],
    route_handlers=[list_staff, get_staff, create_staff, change_staff],
)
