"""`/reports`: files that staff ask for; a worker makes them, and they expire."""

from datetime import date, datetime
from typing import Any

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.params import FromPath
from litestar.response import Stream

from rewards.clients import service as clients
from rewards.core.errors import Forbidden, InvalidField, Refusal
from rewards.core.text import day
from rewards.infra.csvtext import CSV
from rewards.infra.db import Tx
from rewards.infra.http import (
    ID_MAX,
    cursor_answer,
    decode,
    encode,
    member_of,
    path_id,
    whole,
)
from rewards.infra.openapi import answers, asks, takes, whole_number
from rewards.orders.model import Status
from rewards.reports import service
from rewards.reports.model import (
    NEEDS,
    OF_CLIENTS,
    Parameters,
    Report,
    ReportKind,
    ReportNotFound,
    ReportState,
)
from rewards.reports.service import Reader
from rewards.staff.auth import SECURITY, Caller, caller, requires
from rewards.staff.given import GivenClock, GivenDatabase
from rewards.staff.model import Permission, Role

LIST_DEFAULT, LIST_MAX = 50, 500
DAYS_MAX = 366


class ParametersIn(msgspec.Struct, forbid_unknown_fields=True, rename={"first_day": "from"}):
    """Whole days in UTC, at most 366, of all kinds but STOCK_DEPTH, which is of the moment.

    `client_id`: of orders, transactions, refunds and deliveries. `vendor_id`: of vendor orders.
    `status`: of orders.
    """

    first_day: str | None = None
    to: str | None = None
    client_id: int | None = None
    vendor_id: int | None = None
    status: str | None = None


class ReportIn(msgspec.Struct, forbid_unknown_fields=True):
    """`kind`: ORDERS, TRANSACTIONS, REFUNDS, STOCK_DEPTH, STOCK_MOVEMENTS, DELIVERIES or
    VENDOR_ORDERS; and what of it."""

    kind: str
    parameters: ParametersIn = msgspec.field(default_factory=ParametersIn)


class ReportOut(msgspec.Struct):
    """How far a file is. `rows` are written, of `estimated` at most; `progress` from 0 to 1."""

    report_id: int
    kind: ReportKind
    parameters: Parameters
    asked_by: int
    state: ReportState
    rows: int
    estimated: int | None
    progress: float
    bytes: int
    problem: str | None
    asked_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    expires_at: datetime | None

    @classmethod
    def of(cls, one: Report) -> "ReportOut":
        names = [name for name in cls.__struct_fields__ if name != "report_id"]
        return cls(one.id, **{name: getattr(one, name) for name in names})


REPORT = msgspec.json.Decoder(ReportIn)


@post(
    "/reports",
    status_code=202,
    operation_id="askForReport",
    guards=[requires(Permission.REPORTS_MAKE)],
    operation_class=takes(ReportIn),
    responses=answers(ReportOut, 400, 401, 403, 404, 409, status=202, told="Being made"),
)
async def ask(
    request: Request[Any, Any, Any], db: GivenDatabase, clock: GivenClock
) -> Response[bytes]:
    """Have a CSV file made in the background; follow it by its id.

    403 without the permission for what it shows. 409 while three of one's own are being made. It
    holds no code, and of telephone numbers the last four digits; text that a spreadsheet could take
    for a formula has an apostrophe in front.
    """
    body, who = decode(REPORT, await request.body()), caller(request)
    kind = member_of("Kind", ReportKind, body.kind)
    _check_may(who, kind)
    parameters = _parameters(kind, body.parameters)

    async def work(tx: Tx) -> Report:
        if parameters.client_id is not None:
            await clients.check_there(tx, parameters.client_id)
        asked = await service.ask(tx, kind, parameters, who.staff.id, who.actor, clock.now())
        if isinstance(asked, Refusal):
            raise asked
        return asked

    return encode(ReportOut.of(await db.run(work)), 202)


@get(
    "/reports",
    operation_id="listReports",
    operation_class=asks(
        {
            "limit": whole_number("Reports a page", maximum=LIST_MAX, default=LIST_DEFAULT),
            "cursor": whole_number("`X-Next-Cursor` of the page before", maximum=ID_MAX),
        }
    ),
    guards=[requires(Permission.REPORTS_MAKE)],
    responses=answers(list[ReportOut], 400, 401, 403),
)
async def list_reports(request: Request[Any, Any, Any], db: GivenDatabase) -> Response[bytes]:
    """One's own reports, newest first; an admin's list has everybody's."""
    query = request.query_params
    limit = whole("Limit", query.get("limit"), default=LIST_DEFAULT, maximum=LIST_MAX)
    before_id = whole("Cursor", query.get("cursor"), default=ID_MAX, maximum=ID_MAX)
    reader = _reader(caller(request))
    async with db.connection() as connection:
        found = await service.find(connection, reader, before_id=before_id, limit=limit + 1)
    shown = found[:limit]
    following = str(shown[-1].id) if len(found) > limit else None
    return cursor_answer(request, [ReportOut.of(one) for one in shown], limit, following)


@get(
    "/reports/{report_id:str}",
    operation_id="getReport",
    guards=[requires(Permission.REPORTS_MAKE)],
    responses=answers(ReportOut, 401, 403, 404),
)
async def read_report(
    request: Request[Any, Any, Any], report_id: FromPath[str], db: GivenDatabase
) -> Response[bytes]:
    """How far one's own report is; an admin sees everybody's."""
    number = path_id(report_id, ReportNotFound)
    async with db.connection() as connection:
        found = await service.read(connection, number, _reader(caller(request)))
    return encode(ReportOut.of(found))


@post(
    "/reports/{report_id:str}/cancel",
    status_code=200,
    operation_id="cancelReport",
    guards=[requires(Permission.REPORTS_MAKE)],
    responses=answers(ReportOut, 401, 403, 404, 409),
)
async def cancel_report(
    request: Request[Any, Any, Any], report_id: FromPath[str], db: GivenDatabase, clock: GivenClock
) -> Response[bytes]:
    """Stop making it; what was written is dropped. 409 when it ended before."""
    number, who = path_id(report_id, ReportNotFound), caller(request)

    async def work(tx: Tx) -> Report:
        return await service.cancel(tx, number, _reader(who), who.actor, clock.now())

    return encode(ReportOut.of(await db.run(work)))


@get(
    "/reports/{report_id:str}/file",
    operation_id="downloadReport",
    guards=[requires(Permission.REPORTS_MAKE)],
    responses=answers(str, 401, 403, 404, 409, told="The file, `text/csv`"),
)
async def download(
    request: Request[Any, Any, Any], report_id: FromPath[str], db: GivenDatabase, clock: GivenClock
) -> Stream:
    """The file, as it was written; kept for seven days. 409 while, and where, there is none.

    Needs the permission for what it shows, as it is now. Each download leaves an audit row.
    """
    number, who = path_id(report_id, ReportNotFound), caller(request)

    async def work(tx: Tx) -> Report:
        report = await service.open_file(tx, number, _reader(who), who.actor, clock.now())
        _check_may(who, report.kind)
        return report

    report = await db.run(work)
    name = f"{report.kind.lower()}-{report.id}.csv"
    return Stream(
        service.content(db, report),
        media_type=CSV,
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Content-Length": str(report.bytes),
            "Cache-Control": "no-store",
        },
    )


def _reader(who: Caller) -> Reader:
    return Reader(who.staff.id, who.staff.role is Role.ADMIN)


def _check_may(who: Caller, kind: ReportKind) -> None:
    if not who.staff.may(NEEDS[kind]):
        raise Forbidden(details={"permission": NEEDS[kind]})


def _parameters(kind: ReportKind, given: ParametersIn) -> Parameters:
    """What was asked for, checked; a filter that the kind does not have is refused."""
    first, last = _days(kind, given)
    if given.client_id is not None and (kind not in OF_CLIENTS or not _is_id(given.client_id)):
        raise InvalidField("ClientId", "oneof")
    if given.vendor_id is not None and (
        kind is not ReportKind.VENDOR_ORDERS or not _is_id(given.vendor_id)
    ):
        raise InvalidField("VendorId", "oneof")
    status = None
    if given.status is not None:
        if kind is not ReportKind.ORDERS:
            raise InvalidField("Status", "oneof")
        status = member_of("Status", Status, given.status)
    return Parameters(first, last, given.client_id, given.vendor_id, status)


def _is_id(number: int) -> bool:
    return 0 < number <= ID_MAX


def _days(kind: ReportKind, given: ParametersIn) -> tuple[date | None, date | None]:
    if kind is ReportKind.STOCK_DEPTH:
        if given.first_day is not None or given.to is not None:
            raise InvalidField("From", "oneof")
        return None, None
    if given.first_day is None:
        raise InvalidField("From", "required")
    first = day("From", given.first_day)
    last = first if given.to is None else day("To", given.to)
    for field, found in (("From", first), ("To", last)):
        if not 1970 <= found.year < 9998:
            raise InvalidField(field, "date")
    if last < first:
        raise InvalidField("To", "min")
    if (last - first).days >= DAYS_MAX:
        raise InvalidField("To", "max")
    return first, last


ROUTER = Router(
    path="/admin/api/v1",
    tags=["Reports (staff)"],
    security=SECURITY,
    route_handlers=[ask, list_reports, read_report, cancel_report, download],
)
