"""Where staff are logged in: one's own sessions, and for admins those of others."""

from datetime import datetime
from typing import Any

import msgspec
from litestar import Request, Response, Router, delete, get, post
from litestar.params import FromPath

from rewards.core.errors import Unauthorized
from rewards.infra.db import Database, Tx
from rewards.infra.http import ID_MAX, encode, one_of, path_id, whole
from rewards.infra.openapi import answers, asks, choice, takes, whole_number
from rewards.staff import second_factor, service, sessions
from rewards.staff.auth import ANY_STAFF, StaffGate, caller, requires
from rewards.staff.given import GivenClock, GivenDatabase, GivenGate, WhyIn, why
from rewards.staff.model import Permission, StaffNotFound
from rewards.staff.model_sessions import (
    EndReason,
    Proof,
    SessionNotFound,
    SessionState,
    StaffSession,
)

LIST_DEFAULT, LIST_MAX = 50, 500
LISTED = asks(
    {
        "state": choice(SessionState, "In any case"),
        "limit": whole_number("Lines a page", maximum=LIST_MAX, default=LIST_DEFAULT),
        "before": whole_number("Below this id: the last one of the page before", maximum=ID_MAX),
    }
)


class SessionOut(msgspec.Struct):
    """A login: when, from where, with what, and how it ended. `current`: this very request's.

    `last_seen_at` is exact to the minute. `EXPIRED` is over by itself; `ended_by` is a member of
    staff.
    """

    id: int
    state: SessionState
    current: bool
    proof: Proof
    created_at: datetime
    last_seen_at: datetime
    proven_at: datetime
    expires_at: datetime
    address: str | None
    user_agent: str | None
    ended_at: datetime | None
    ended_by: int | None
    end_reason: EndReason | None

    @classmethod
    def of(cls, one: StaffSession, state: SessionState, current_id: int) -> "SessionOut":
        return cls(
            id=one.id,
            state=state,
            current=one.id == current_id,
            proof=one.proof,
            created_at=one.created_at,
            last_seen_at=one.last_seen_at,
            proven_at=one.proven_at,
            expires_at=one.expires_at,
            address=one.address,
            user_agent=one.user_agent,
            ended_at=one.ended_at,
            ended_by=one.ended_by,
            end_reason=one.end_reason,
        )


class EndedOut(msgspec.Struct):
    """How many sessions were ended."""

    ended: int


@get(
    "/sessions",
    operation_id="listOwnSessions",
    operation_class=LISTED,
    guards=[ANY_STAFF],
    responses=answers(list[SessionOut], 400, 401, 403),
)
async def list_own_sessions(
    request: Request[Any, Any, Any], db: GivenDatabase, clock: GivenClock, gate: GivenGate
) -> Response[bytes]:
    """Where one is and was logged in, newest first; kept for 30 days after they are over."""
    return await _list(request, db, gate, caller(request).staff.id, clock.now())


@delete(
    "/sessions/{session_id:str}",
    status_code=204,
    operation_id="endOwnSession",
    guards=[ANY_STAFF],
    responses=answers(None, 401, 403, 404, status=204, told="Ended"),
)
async def end_own_session(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    gate: GivenGate,
    session_id: FromPath[str],
) -> None:
    """End one of one's own sessions, everywhere within a second. 404 when it is over already."""
    who, number = caller(request), path_id(session_id, SessionNotFound)

    async def work(tx: Tx) -> None:
        reason, at = EndReason.ENDED, clock.now()
        if not await sessions.end(tx, [who.staff.id], reason, who.actor, at, only=number):
            raise SessionNotFound

    await db.run(work)
    gate.expire()


@post(
    "/sessions/end-others",
    status_code=200,
    operation_id="endOtherSessions",
    guards=[ANY_STAFF],
    responses=answers(EndedOut, 401, 403, told="Ended"),
)
async def end_other_sessions(
    request: Request[Any, Any, Any], db: GivenDatabase, clock: GivenClock, gate: GivenGate
) -> Response[bytes]:
    """End all of one's own sessions but this one, everywhere within a second."""
    who = caller(request)

    async def work(tx: Tx) -> int:
        if await second_factor.lock(tx, who.staff.id) is None:
            raise Unauthorized
        reason, at, keep = EndReason.ENDED, clock.now(), who.session.id
        return len(await sessions.end(tx, [who.staff.id], reason, who.actor, at, keep=keep))

    ended = await db.run(work)
    gate.expire()
    return encode(EndedOut(ended))


@get(
    "/staff/{staff_id:str}/sessions",
    operation_id="listStaffSessions",
    operation_class=LISTED,
    guards=[requires(Permission.STAFF_READ)],
    responses=answers(list[SessionOut], 400, 401, 403, 404),
)
async def list_staff_sessions(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    gate: GivenGate,
    staff_id: FromPath[str],
) -> Response[bytes]:
    """Where one person is and was logged in, newest first."""
    return await _list(request, db, gate, path_id(staff_id, StaffNotFound), clock.now())


@post(
    "/staff/{staff_id:str}/sessions/end",
    status_code=200,
    operation_id="endStaffSessions",
    guards=[requires(Permission.STAFF_WRITE, proof=True)],
    operation_class=takes(WhyIn, required=False),
    responses=answers(EndedOut, 400, 401, 403, 404, told="Ended"),
)
async def end_staff_sessions(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    gate: GivenGate,
    staff_id: FromPath[str],
) -> Response[bytes]:
    """End every session of one person, everywhere within a second; they may log in again."""
    who, number = caller(request), path_id(staff_id, StaffNotFound)
    told = await why(request)

    async def work(tx: Tx) -> int:
        if await second_factor.lock(tx, number) is None:
            raise StaffNotFound
        reason, at = EndReason.ENDED_BY_ADMIN, clock.now()
        return len(await sessions.end(tx, [number], reason, who.actor, at, why=told))

    ended = await db.run(work)
    gate.expire()
    return encode(EndedOut(ended))


@post(
    "/staff/{staff_id:str}/sessions/{session_id:str}/end",
    status_code=204,
    operation_id="endStaffSession",
    guards=[requires(Permission.STAFF_WRITE, proof=True)],
    operation_class=takes(WhyIn, required=False),
    responses=answers(None, 400, 401, 403, 404, status=204, told="Ended"),
)
async def end_staff_session(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    gate: GivenGate,
    staff_id: FromPath[str],
    session_id: FromPath[str],
) -> None:
    """End one session of one person, everywhere within a second; their others go on.

    404 when it is over already, or somebody else's.
    """
    who, person = caller(request), path_id(staff_id, StaffNotFound)
    number, told = path_id(session_id, SessionNotFound), await why(request)

    async def work(tx: Tx) -> None:
        reason, at = EndReason.ENDED_BY_ADMIN, clock.now()
        if not await sessions.end(tx, [person], reason, who.actor, at, only=number, why=told):
            raise SessionNotFound

    await db.run(work)
    gate.expire()


async def _list(
    request: Request[Any, Any, Any],
    db: Database,
    gate: StaffGate,
    staff_id: int,
    at: datetime,
) -> Response[bytes]:
    query, idle_max = request.query_params, gate.rules.idle_max
    async with db.connection() as connection:
        [person] = await service.read_staff(connection, [staff_id])
        if person is None:
            raise StaffNotFound
        found = await sessions.find(
            connection,
            staff_id,
            at,
            idle_max,
            state=one_of("State", SessionState, query.get("state")),
            before_id=whole("Before", query.get("before"), default=ID_MAX, maximum=ID_MAX),
            limit=whole("Limit", query.get("limit"), default=LIST_DEFAULT, maximum=LIST_MAX),
        )
    current = caller(request).session.id
    return encode([SessionOut.of(one, one.state(at, idle_max), current) for one in found])


ROUTER = Router(
    path="/admin/api/v1",
    tags=["Sessions (staff)"],
    route_handlers=[
        list_own_sessions,
        end_own_session,
        end_other_sessions,
        list_staff_sessions,
        end_staff_sessions,
        end_staff_session,
    ],
)
