"""Requests that wait for a second person: see them, approve them, reject them."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.params import FromPath

from rewards.core.clock import Clock
from rewards.core.currency import exponent_of
from rewards.core.errors import InvalidField, Refusal
from rewards.core.money import to_decimal
from rewards.core.text import printable
from rewards.infra.db import Database, Tx
from rewards.infra.http import ID_MAX, decode, encode, one_of, path_id, whole
from rewards.infra.openapi import answers, asks, choice, takes, whole_number
from rewards.infra.query import yes_or_no
from rewards.staff import approvals
from rewards.staff.auth import caller, requires
from rewards.staff.given import GivenClock, GivenDatabase
from rewards.staff.model import Permission
from rewards.staff.model_approvals import (
    Approval,
    ApprovalKind,
    ApprovalNotFound,
    ApprovalState,
    Verdict,
)
from rewards.staff.naming import usernames

LIST_DEFAULT, LIST_MAX = 50, 500
NOTE_CHARS_MAX = 500


class ApprovalOut(msgspec.Struct):
    """A request: who asked for what and why, who decided it and when, and whether it is done."""

    approval_id: int
    kind: ApprovalKind
    subject_kind: str
    subject_id: int
    # What it costs at most, where that is one sum.
    amount: Decimal | None
    currency: str | None
    details: dict[str, Any]
    state: ApprovalState
    requested_by: int
    reason: str
    requested_at: datetime
    expires_at: datetime
    decided_by: int | None
    note: str | None
    decided_at: datetime | None
    withdrawn_at: datetime | None
    carried_out_at: datetime | None
    # Why what was agreed to could not be done any more, as a code; nothing moved then.
    refused: str | None
    # What moved the money that was agreed to.
    transaction_id: int | None

    @classmethod
    def of(cls, one: Approval) -> "ApprovalOut":
        amount = None
        if one.amount_minor is not None and one.currency is not None:
            amount = to_decimal(one.amount_minor, exponent_of(one.currency))
        return cls(
            approval_id=one.id,
            kind=one.kind,
            subject_kind=one.subject_kind,
            subject_id=one.subject_id,
            amount=amount,
            currency=one.currency,
            details=dict(one.details),
            state=one.state,
            requested_by=one.requested_by,
            reason=one.reason,
            requested_at=one.requested_at,
            expires_at=one.expires_at,
            decided_by=one.decided_by,
            note=one.note,
            decided_at=one.decided_at,
            withdrawn_at=one.withdrawn_at,
            carried_out_at=one.carried_out_at,
            refused=one.refused,
            transaction_id=one.transfer_id,
        )


class NamedApprovalOut(ApprovalOut):
    """A request, with the usernames of who asked and who decided."""

    requested_by_name: str | None
    decided_by_name: str | None


async def named(tx: Tx, found: Sequence[Approval]) -> list[NamedApprovalOut]:
    """Requests as they are shown: one statement for all names."""
    people = {one.requested_by for one in found} | {one.decided_by or 0 for one in found}
    names = await usernames(tx, people)
    return [
        NamedApprovalOut(
            **msgspec.structs.asdict(ApprovalOut.of(one)),
            requested_by_name=names.get(one.requested_by),
            decided_by_name=names.get(one.decided_by or 0),
        )
        for one in found
    ]


class ApproveIn(msgspec.Struct, forbid_unknown_fields=True):
    """A remark for the trail; may be left out."""

    note: str | None = None


class RejectIn(msgspec.Struct, forbid_unknown_fields=True):
    """Why not, always."""

    reason: str = ""


# For `responses` of what may take a second person.
WAITS = answers(ApprovalOut, status=202, told="Waits for a second person; nothing happened yet")


def waits(one: Approval) -> Response[bytes]:
    """What an act that takes a second person answers: the request."""
    return encode(ApprovalOut.of(one), 202)


APPROVE = msgspec.json.Decoder(ApproveIn)
REJECT = msgspec.json.Decoder(RejectIn)


@get(
    "/approvals",
    operation_id="listApprovals",
    operation_class=asks(
        {
            "state": choice(ApprovalState, "In any case"),
            "kind": choice(ApprovalKind, "In any case"),
            "mine": {"type": "boolean", "description": "true: what I asked for"},
            "limit": whole_number("Lines a page", maximum=LIST_MAX, default=LIST_DEFAULT),
            "before": whole_number(
                "Below this id: the last one of the page before", maximum=ID_MAX
            ),
        }
    ),
    guards=[requires(Permission.APPROVALS_READ)],
    responses=answers(list[NamedApprovalOut], 400, 401, 403),
)
async def list_approvals(request: Request[Any, Any, Any], db: GivenDatabase) -> Response[bytes]:
    """Requests, newest first; `state=REQUESTED` are those that wait for somebody.

    Of a cancel that names its items `details` has the first 20 here, and how many there are
    (`items`); the request itself has all of them.
    """
    query = request.query_params
    mine = yes_or_no("Mine", query.get("mine"))
    async with db.connection() as connection:
        found = await approvals.find(
            connection,
            state=one_of("State", ApprovalState, query.get("state")),
            kind=one_of("Kind", ApprovalKind, query.get("kind")),
            requested_by=caller(request).staff.id if mine else None,
            before_id=whole("Before", query.get("before"), default=ID_MAX, maximum=ID_MAX),
            limit=whole("Limit", query.get("limit"), default=LIST_DEFAULT, maximum=LIST_MAX),
        )
        shown = await named(connection, found)
    return encode(shown)


@get(
    "/approvals/{approval_id:str}",
    operation_id="getApproval",
    guards=[requires(Permission.APPROVALS_READ)],
    responses=answers(NamedApprovalOut, 401, 403, 404),
)
async def get_approval(approval_id: FromPath[str], db: GivenDatabase) -> Response[bytes]:
    """One request: what it is about, what it costs at most, how it stands, and until when."""
    number = path_id(approval_id, ApprovalNotFound)
    async with db.connection() as connection:
        [found] = await approvals.read(connection, [number])
        [shown] = await named(connection, [_raised(found)])
    return encode(shown)


@post(
    "/approvals/{approval_id:str}/approve",
    status_code=200,
    operation_id="approve",
    summary="Approve a request",
    # Whoever asked might sit at the unlocked desk of who agrees.
    guards=[requires(Permission.APPROVALS_DECIDE, proof=True)],
    operation_class=takes(ApproveIn, required=False),
    responses=answers(ApprovalOut, 400, 401, 403, 404, 409),
)
async def approve(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    approval_id: FromPath[str],
) -> Response[bytes]:
    """Agree to a request; a worker carries it out at once, and the state becomes CARRIED_OUT.

    403 for the person who asked, whatever their role. 409 when it was decided before, or expired.

    403 SAME_HANDS also where within 24 hours one of you made the other's account, or changed its
    password, role or second factor, or whether it is active; or somebody did so with both.
    """
    body = decode(APPROVE, await request.body() or b"{}")
    note = None if body.note is None else printable("Note", body.note, NOTE_CHARS_MAX)
    number = path_id(approval_id, ApprovalNotFound)
    return await _settle(request, db, clock, number, note, approve=True)


@post(
    "/approvals/{approval_id:str}/reject",
    status_code=200,
    operation_id="reject",
    summary="Reject a request",
    guards=[requires(Permission.APPROVALS_DECIDE)],
    operation_class=takes(RejectIn, needs=("reason",)),
    responses=answers(ApprovalOut, 400, 401, 403, 404, 409),
)
async def reject(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    approval_id: FromPath[str],
) -> Response[bytes]:
    """Refuse a request; `reason` is required and kept. What was blocked for it stays blocked."""
    body = decode(REJECT, await request.body())
    if not body.reason.strip():
        raise InvalidField("Reason", "required")
    note = printable("Reason", body.reason, NOTE_CHARS_MAX)
    number = path_id(approval_id, ApprovalNotFound)
    return await _settle(request, db, clock, number, note, approve=False)


async def _settle(
    request: Request[Any, Any, Any],
    db: Database,
    clock: Clock,
    approval_id: int,
    note: str | None,
    *,
    approve: bool,
) -> Response[bytes]:
    who = caller(request)
    verdict = Verdict(approval_id, approve, who.staff.id, note)

    async def work(tx: Tx) -> Approval:
        [answer] = await approvals.settle(tx, [verdict], who.actor, clock.now())
        return _raised(answer)

    return encode(ApprovalOut.of(await db.run(work)))


@post(
    "/approvals/{approval_id:str}/withdraw",
    status_code=200,
    operation_id="withdraw",
    summary="Withdraw a request",
    guards=[requires(Permission.APPROVALS_READ)],
    responses=answers(ApprovalOut, 401, 403, 404, 409),
)
async def withdraw(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    approval_id: FromPath[str],
) -> Response[bytes]:
    """Take back a request of one's own that nobody has decided; nothing comes of it.

    403 for anybody else, whatever their role. 409 when it was decided before, or expired. What was
    blocked for it stays blocked.
    """
    who = caller(request)
    number = path_id(approval_id, ApprovalNotFound)

    async def work(tx: Tx) -> Approval:
        [answer] = await approvals.take_back(tx, [number], who.staff.id, who.actor, clock.now())
        return _raised(answer)

    return encode(ApprovalOut.of(await db.run(work)))


def _raised(answer: Approval | Refusal) -> Approval:
    if isinstance(answer, Refusal):
        raise answer
    return answer


ROUTER = Router(
    path="/admin/api/v1",
    tags=["Approvals (staff)"],
    route_handlers=[list_approvals, get_approval, approve, reject, withdraw],
)
