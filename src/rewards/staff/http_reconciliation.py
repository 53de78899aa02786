"""Runs of the reconciliation and the drift they found; explaining one repairs nothing."""

from datetime import date, datetime
from typing import Any

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.params import FromPath

from rewards.core.errors import InvalidField, Refusal
from rewards.core.text import printable
from rewards.infra.db import Tx
from rewards.infra.http import ID_MAX, cursor_answer, decode, encode, one_of, path_id, whole
from rewards.infra.openapi import answers, asks, choice, takes, whole_number
from rewards.reconciliation import service
from rewards.reconciliation.model import (
    Drift,
    DriftFilter,
    DriftNotFound,
    DriftState,
    Kind,
    Phase,
    Run,
    RunState,
    SubjectKind,
)
from rewards.staff.auth import caller, requires
from rewards.staff.given import GivenClock, GivenDatabase
from rewards.staff.model import Permission

LIST_DEFAULT, LIST_MAX = 50, 500
REASON_CHARS_MAX = 500
DAY = {"type": "string", "format": "date", "description": "A day in UTC, such as 2026-11-20"}
CURSOR = whole_number("`X-Next-Cursor` of the page before", maximum=ID_MAX)


class RunOut(msgspec.Struct):
    """One run: our own books (`vendor_id` null) or one vendor's, for one day in UTC.

    Counts are of its latest `round`; `drifts` are those that nobody has explained yet. While
    `unread` is not 0 the vendor is asked again.
    """

    id: int
    day: date
    vendor_id: int | None
    state: RunState
    phase: Phase
    round: int
    purchases: int
    orders: int
    reconciled: int
    units: int
    drifts: int
    unread: int
    problem: str | None
    started_at: datetime
    ended_at: datetime | None

    @classmethod
    def of(cls, run: Run) -> "RunOut":
        return cls(**{name: getattr(run, name) for name in cls.__struct_fields__})


class DriftOut(msgspec.Struct):
    """What two books say of one thing. `theirs` is the vendor's, or our ledger's and stock's."""

    id: int
    run_id: int
    day: date
    vendor_id: int | None
    kind: Kind
    subject_kind: SubjectKind
    subject: str
    ours: dict[str, Any]
    theirs: dict[str, Any]
    state: DriftState
    found_at: datetime
    explained_by: int | None
    explained_at: datetime | None
    note: str | None

    @classmethod
    def of(cls, drift: Drift) -> "DriftOut":
        found = drift.finding
        return cls(
            id=drift.id,
            run_id=drift.run_id,
            day=drift.day,
            vendor_id=found.vendor_id,
            kind=found.kind,
            subject_kind=found.subject_kind,
            subject=found.subject,
            ours=dict(found.ours),
            theirs=dict(found.theirs),
            state=drift.state,
            found_at=drift.found_at,
            explained_by=drift.explained_by,
            explained_at=drift.explained_at,
            note=drift.note,
        )


class ExplainIn(msgspec.Struct, forbid_unknown_fields=True):
    """Why the books differ, and what was done about it elsewhere; always."""

    reason: str = ""


EXPLAIN = msgspec.json.Decoder(ExplainIn)


@get(
    "/reconciliation/runs",
    operation_id="listReconciliationRuns",
    operation_class=asks(
        {
            "day": DAY,
            "limit": whole_number("Runs a page", maximum=LIST_MAX, default=LIST_DEFAULT),
            "cursor": CURSOR,
        }
    ),
    guards=[requires(Permission.RECONCILIATION_READ)],
    responses=answers(list[RunOut], 400, 401, 403),
)
async def list_runs(request: Request[Any, Any, Any], db: GivenDatabase) -> Response[bytes]:
    """Every run, newest first; each day has one for our own books and one for each vendor."""
    query = request.query_params
    day = _day(query.get("day"))
    limit, before_id = _page(request)
    async with db.connection() as connection:
        found = await service.list_runs(connection, day, before_id=before_id, limit=limit + 1)
    shown = found[:limit]
    following = str(shown[-1].id) if len(found) > limit else None
    return cursor_answer(request, [RunOut.of(run) for run in shown], limit, following)


@get(
    "/reconciliation/drifts",
    operation_id="listDrifts",
    operation_class=asks(
        {
            "state": choice(DriftState, "In any case; all if left out"),
            "kind": choice(Kind, "In any case; all if left out"),
            "vendor_id": whole_number("Against this vendor's books", maximum=ID_MAX),
            "day": DAY,
            "limit": whole_number("Drifts a page", maximum=LIST_MAX, default=LIST_DEFAULT),
            "cursor": CURSOR,
        }
    ),
    guards=[requires(Permission.RECONCILIATION_READ)],
    responses=answers(list[DriftOut], 400, 401, 403),
)
async def list_drifts(request: Request[Any, Any, Any], db: GivenDatabase) -> Response[bytes]:
    """Where books disagree, newest first, with both sides. The same finding is listed once."""
    query = request.query_params
    vendor_id = query.get("vendor_id")
    narrow = DriftFilter(
        one_of("State", DriftState, query.get("state")),
        one_of("Kind", Kind, query.get("kind")),
        whole("VendorId", vendor_id, default=1, maximum=ID_MAX) if vendor_id else None,
        _day(query.get("day")),
    )
    limit, before_id = _page(request)
    async with db.connection() as connection:
        found = await service.list_drifts(connection, narrow, before_id=before_id, limit=limit + 1)
    shown = found[:limit]
    following = str(shown[-1].id) if len(found) > limit else None
    return cursor_answer(request, [DriftOut.of(drift) for drift in shown], limit, following)


@post(
    "/reconciliation/drifts/{drift_id:str}/explain",
    status_code=200,
    operation_id="explainDrift",
    guards=[requires(Permission.RECONCILIATION_EXPLAIN)],
    operation_class=takes(ExplainIn, needs=("reason",)),
    responses=answers(DriftOut, 400, 401, 403, 404, 409),
)
async def explain_drift(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    drift_id: FromPath[str],
) -> Response[bytes]:
    """Say why a drift is as it is; it is EXPLAINED from then on, and nothing else changes.

    Orders, units and money stay as they are: whoever repairs something does it by its own route.
    """
    number = path_id(drift_id, DriftNotFound)
    body = decode(EXPLAIN, await request.body())
    if not body.reason.strip():
        raise InvalidField("Reason", "required")
    note = printable("Reason", body.reason, REASON_CHARS_MAX)
    who = caller(request)

    async def work(tx: Tx) -> list[Drift | Refusal]:
        return await service.explain(tx, [number], who.actor, who.staff.id, note, clock.now())

    [answer] = await db.run(work)
    if isinstance(answer, Refusal):
        raise answer
    return encode(DriftOut.of(answer))


def _page(request: Request[Any, Any, Any]) -> tuple[int, int]:
    query = request.query_params
    limit = whole("Limit", query.get("limit"), default=LIST_DEFAULT, maximum=LIST_MAX)
    return limit, whole("Cursor", query.get("cursor"), default=ID_MAX, maximum=ID_MAX)


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise InvalidField("Day", "format") from None


ROUTER = Router(
    path="/admin/api/v1",
    tags=["Reconciliation (staff)"],
    route_handlers=[list_runs, list_drifts, explain_drift],
)
