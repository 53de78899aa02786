"""What others may do with reports: ask for one, follow it, cancel it, read its file."""

import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

from rewards.audit import service as audit
from rewards.audit.model import AuditFact
from rewards.core.actor import Actor
from rewards.core.errors import Refusal
from rewards.infra import jobs
from rewards.infra.db import Database, Tx
from rewards.reports import sql
from rewards.reports.model import (
    LIFETIME,
    OPEN_MAX,
    OPEN_STATES,
    Parameters,
    Report,
    ReportEnded,
    ReportKind,
    ReportNotFound,
    ReportNotReady,
    ReportState,
    TooManyReports,
)
from rewards.reports.sql_checks import CHECKS as CHECKS

SUBJECT = "report"
WRITE_JOB = jobs.declare("reports.write")
EXPIRE_MAX = 100


@dataclass(frozen=True, slots=True)
class Reader:
    """Who looks: `all_of_them` may see what anybody asked for, others their own."""

    staff_id: int
    all_of_them: bool

    def may_see(self, report: Report | None) -> bool:
        return report is not None and (self.all_of_them or report.asked_by == self.staff_id)


async def ask(
    tx: Tx, kind: ReportKind, parameters: Parameters, staff_id: int, actor: Actor, at: datetime
) -> Report | Refusal:
    """Queue one more file; a worker begins it once this has committed.

    Refused (409 TOO_MANY_REPORTS) while OPEN_MAX of the same person are open.
    """
    if await sql.count_open(tx, staff_id) >= OPEN_MAX:
        return TooManyReports()
    report = await sql.add(tx, kind, parameters, staff_id, at)
    await _record(tx, report, "report.asked", actor, at)
    await jobs.enqueue(tx, [job(report.id)])
    return report


async def cancel(tx: Tx, report_id: int, who: Reader, actor: Actor, at: datetime) -> Report:
    """Stop making it; what was written of it is gone. Raises ReportNotFound, ReportEnded."""
    report = await sql.lock(tx, report_id)
    if report is None or not who.may_see(report):
        raise ReportNotFound
    ended = await sql.end(tx, report_id, ReportState.CANCELLED, at, LIFETIME)
    if ended is None:
        raise ReportEnded(details={"state": report.state})
    await sql.drop_chunks(tx, [report_id])
    await _record(tx, ended, "report.cancelled", actor, at)
    return ended


async def find(tx: Tx, who: Reader, *, before_id: int, limit: int) -> list[Report]:
    """Reports this person may see, newest first."""
    asked_by = None if who.all_of_them else who.staff_id
    return await sql.find(tx, asked_by, before_id, limit)


async def read(tx: Tx, report_id: int, who: Reader) -> Report:
    """Raises ReportNotFound, also for one that somebody else asked for."""
    report = await sql.read(tx, report_id)
    if report is None or not who.may_see(report):
        raise ReportNotFound
    return report


async def open_file(tx: Tx, report_id: int, who: Reader, actor: Actor, at: datetime) -> Report:
    """The report whose file is about to be read; leaves an audit row.

    Raises ReportNotFound, and ReportNotReady where there is no file (yet, or any more).
    """
    report = await read(tx, report_id, who)
    if report.state is not ReportState.DONE or report.expires_at is None or report.expires_at <= at:
        gone = report.state is ReportState.DONE
        raise ReportNotReady(details={"state": ReportState.EXPIRED if gone else report.state})
    await _record(tx, report, "report.downloaded", actor, at)
    return report


async def content(db: Database, report: Report) -> AsyncIterator[bytes]:
    """The file, a chunk at a time; one that is dropped meanwhile breaks off."""
    for number in range(1, report.chunks + 1):
        async with db.connection() as connection:
            chunk = await sql.read_chunk(connection, report.id, number)
        if chunk is None:
            raise ReportNotReady(details={"state": ReportState.EXPIRED})
        yield zlib.decompress(chunk)


async def expire(tx: Tx, at: datetime) -> int:
    """Drop the files whose time has passed; how many reports."""
    expired = await sql.expire(tx, at, EXPIRE_MAX)
    await sql.drop_chunks(tx, expired)
    return len(expired)


def job(report_id: int) -> jobs.JobAsk:
    """What has a worker go on with it; asked for twice it runs once."""
    return jobs.JobAsk(WRITE_JOB, {"report_id": report_id}, dedupe_key=str(report_id))


async def _record(tx: Tx, report: Report, action: str, actor: Actor, at: datetime) -> None:
    asked = report.parameters
    facts: dict[str, object] = {
        "kind": report.kind,
        "from": asked.first_day and asked.first_day.isoformat(),
        "to": asked.to and asked.to.isoformat(),
        "client_id": asked.client_id,
        "vendor_id": asked.vendor_id,
        "status": asked.status,
        "rows": None if report.state in OPEN_STATES else report.rows,
    }
    fact = AuditFact(actor, asked.client_id, action, SUBJECT, report.id, facts)
    await audit.record(tx, [fact], at)
