"""What a worker does: writes reports a window of ids at a time, and drops old files.

A step reads a window, writes its rows as a chunk and says how far the report is, in one transaction
under the lease. Killed anywhere, another goes on behind the last step: no row is lost, none twice.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from time import monotonic
from uuid import UUID, uuid4

import structlog

from rewards.core.clock import Clock
from rewards.infra import jobs
from rewards.infra.csvtext import write_rows
from rewards.infra.db import TROUBLE, Database, Tx
from rewards.reports import service, sql
from rewards.reports.model import IDS_A_STEP, LIFETIME, Report, ReportKind, ReportState
from rewards.reports.sources import Source

log = structlog.get_logger()

# Longer than any step takes; a killed worker's report is taken up again after it.
LEASE_S = 60.0
# A job writes for so long, then lets others have the worker.
TURN_S = 120.0
SWEEP_MAX = 100
EXPIRE_ROUNDS_MAX = 100
GIVE_UP_AFTER = timedelta(days=1)
LATE = "not written within a day"


class TakenOver(Exception):
    """The lease ran out and somebody else goes on, or it was cancelled."""


@dataclass(frozen=True, slots=True)
class Writing:
    """The tasks of one process. Each may run twice, and be killed anywhere, without harm."""

    db: Database
    clock: Clock
    sources: Mapping[ReportKind, Source]
    ids_a_step: int = IDS_A_STEP

    async def work_on(self, report_ids: Sequence[int]) -> None:
        """Go on with each; what ended, or is somebody else's, is left alone."""
        for report_id in sorted(set(report_ids)):
            if not await self.work(report_id):
                async with self.db.transaction() as tx:
                    await jobs.enqueue(tx, [service.job(report_id)])

    async def work(self, report_id: int, *, turn_s: float = TURN_S) -> bool:
        """Write until it is done or the turn is over; False where something is left to write."""
        token = uuid4()

        async def lease(tx: Tx) -> Report | None:
            return await sql.lease(tx, report_id, token, LEASE_S, self.clock.now())

        report = await self.db.run(lease)
        if report is None:
            return True
        ends_s = monotonic() + turn_s
        try:
            while not report.written and monotonic() < ends_s:
                report = await self._step(report, token)
        except TakenOver:
            log.info("report_taken_over", report_id=report_id)
            return True
        except TROUBLE:
            # It passes; the job is tried again.
            raise
        except Exception as problem:
            await self._fail(report_id, problem)
            raise
        finally:
            async with self.db.transaction() as tx:
                await sql.release(tx, report_id, token)
        return report.written

    async def _step(self, report: Report, token: UUID) -> Report:
        source = self.sources[report.kind]

        async def written(tx: Tx) -> Report:
            after, text = await (self._window if report.begun else self._begin)(tx, source, report)
            # First of all: whoever lost the lease writes no chunk.
            if not await sql.advance(tx, after, token, LEASE_S):
                raise TakenOver
            if text:
                await sql.add_chunk(tx, after.id, after.chunks, zlib.compress(text))
            if after.written:
                await sql.end(tx, after.id, ReportState.DONE, self.clock.now(), LIFETIME)
            return after

        return await self.db.run(written)

    async def _begin(self, tx: Tx, source: Source, report: Report) -> tuple[Report, bytes]:
        """Fix which ids it goes through; the header is the first chunk."""
        found = await source.bounds(tx, report.parameters)
        first_after, upto = (found[0] - 1, found[1]) if found else (0, 0)
        begun = replace(report, first_after=first_after, position=first_after, upto=upto)
        return _with(begun, write_rows([source.header]), 0)

    async def _window(self, tx: Tx, source: Source, report: Report) -> tuple[Report, bytes]:
        assert report.position is not None, "it has begun"
        assert report.upto is not None, "and knows where it ends"
        upto_id = min(report.position + self.ids_a_step, report.upto)
        rows = await source.rows(tx, report.parameters, report.position, upto_id)
        after = replace(report, position=upto_id)
        return _with(after, write_rows(rows), len(rows))

    async def _fail(self, report_id: int, problem: Exception) -> None:
        """It would fail again: whoever asked is told that it did, the log says why."""

        async def work(tx: Tx) -> None:
            await _give_up(tx, report_id, self.clock.now(), type(problem).__name__)

        await self.db.run(work)

    async def sweep(self) -> int:
        """Queue again what nobody is at; how many. What takes longer than a day is given up."""

        async def work(tx: Tx) -> int:
            at = self.clock.now()
            due = await sql.due(tx, SWEEP_MAX)
            late = [report.id for report in due if report.asked_at < at - GIVE_UP_AFTER]
            for report_id in late:
                await _give_up(tx, report_id, at, LATE)
            left = [report.id for report in due if report.id not in late]
            await jobs.enqueue(tx, [service.job(report_id) for report_id in left])
            return len(left)

        return await self.db.run(work)

    async def expire(self) -> int:
        """Drop files whose time has passed; how many."""
        total = 0
        for _ in range(EXPIRE_ROUNDS_MAX):
            async with self.db.transaction() as tx:
                dropped = await service.expire(tx, self.clock.now())
            total += dropped
            if not dropped:
                break
        return total


async def _give_up(tx: Tx, report_id: int, at: datetime, problem: str) -> None:
    if await sql.end(tx, report_id, ReportState.FAILED, at, LIFETIME, problem):
        await sql.drop_chunks(tx, [report_id])


def _with(report: Report, text: bytes, rows: int) -> tuple[Report, bytes]:
    """The report with this text as its next chunk; no text is no chunk."""
    after = replace(
        report,
        chunks=report.chunks + (1 if text else 0),
        rows=report.rows + rows,
        bytes=report.bytes + len(text),
    )
    return after, text
