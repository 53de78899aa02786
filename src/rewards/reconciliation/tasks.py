"""What a worker does: opens a day's runs and goes through them, a step at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from time import monotonic
from uuid import uuid4

import structlog

from rewards.core.clock import Clock
from rewards.infra import jobs
from rewards.infra.db import Database, Tx
from rewards.reconciliation import own_books, sql, vendor_books
from rewards.reconciliation.model import (
    DAY,
    OF_A_VENDOR,
    OF_OURS,
    DayNotOver,
    Phase,
    Run,
    beginning_of,
    day_of,
)
from rewards.reconciliation.turns import LEASE_S, PAUSE_S, TakenOver, Turn
from rewards.vendors import books
from rewards.vendors.buying import AdapterSource

log = structlog.get_logger()

RUN_JOB = jobs.declare("reconciliation.run")
# A job goes on with a run for so long, then lets others have the worker.
TURN_S = 300.0
SWEEP_MAX = 100
# Days that nobody reconciled, such as while no worker ran, are made up for.
MISSED_DAYS_MAX = 31

Told = Callable[[Run], None]


@dataclass(frozen=True, slots=True)
class Reconciling:
    """The tasks of one process. Each may run twice, and be killed anywhere, without harm."""

    db: Database
    accounts: AdapterSource
    clock: Clock
    pause_s: float = PAUSE_S

    async def daily(self) -> int:
        """Open the runs of every day that is over and has none; how many days."""
        yesterday = day_of(self.clock.now()) - DAY
        async with self.db.connection() as connection:
            last = await sql.last_day(connection)
        first = max(last + DAY, yesterday - MISSED_DAYS_MAX * DAY) if last else yesterday
        days = (yesterday - first).days + 1
        for offset in range(days):
            runs = await self.open(first + offset * DAY)
            async with self.db.transaction() as tx:
                await jobs.enqueue(tx, [_job(run.id) for run in runs if not run.done])
        return max(days, 0)

    async def open(
        self, day: date, vendor_id: int | None = None, *, again: bool = False
    ) -> list[Run]:
        """The runs of a day, made where there are none; of one vendor, or of all and ourselves.

        `again`: those that are done go through the day once more. The sweep finds those that
        nobody works on. Raises DayNotOver.
        """
        if day >= day_of(self.clock.now()):
            raise DayNotOver

        async def work(tx: Tx) -> list[Run]:
            at = self.clock.now()
            await sql.open_runs(tx, day, await self._wanted(tx, day, vendor_id), at)
            runs = await sql.runs_of(tx, day, vendor_id)
            if again:
                await sql.reopen(tx, [run.id for run in runs if run.done], at)
                runs = await sql.runs_of(tx, day, vendor_id)
            return runs

        return await self.db.run(work)

    async def _wanted(
        self, tx: Tx, day: date, vendor_id: int | None
    ) -> list[tuple[int | None, Phase]]:
        if vendor_id is not None:
            return [(vendor_id, OF_A_VENDOR[0])]
        since = beginning_of(day)
        of_vendors = await books.vendors_of(tx, since, since + DAY)
        return [*((one, OF_A_VENDOR[0]) for one in of_vendors), (None, OF_OURS[0])]

    async def work_on(self, run_ids: Sequence[int]) -> None:
        """Go on with each run; what is done, somebody else's or not due is left alone."""
        for run_id in sorted(set(run_ids)):
            run = await self.work(run_id)
            if run is not None and not run.done:
                async with self.db.transaction() as tx:
                    await jobs.enqueue(tx, [_job(run.id, run.next_at)])

    async def sweep(self) -> int:
        """Queue again what is due and whose job was lost; how many."""

        async def work(tx: Tx) -> int:
            due = await sql.due(tx, self.clock.now(), SWEEP_MAX)
            await jobs.enqueue(tx, [_job(run_id) for run_id in due])
            return len(due)

        return await self.db.run(work)

    async def work(
        self, run_id: int, *, turn_s: float = TURN_S, told: Told | None = None
    ) -> Run | None:
        """Go on with one run until it is done, must wait, or the turn is over; where it is then.

        None: it is done already, or somebody else is at it.
        """
        turn = Turn(self.db, self.accounts, self.clock, uuid4(), self.pause_s)

        async def lease(tx: Tx) -> Run | None:
            return await sql.lease(tx, run_id, turn.token, LEASE_S)

        run = await self.db.run(lease)
        if run is None:
            return None
        ends_s = monotonic() + turn_s
        try:
            while not run.done and run.next_at <= self.clock.now() and monotonic() < ends_s:
                run = await _step(turn, run)
                if told is not None:
                    told(run)
        except TakenOver:
            log.warning("reconciliation_taken_over", run_id=run_id)
            return None
        finally:
            async with self.db.transaction() as tx:
                await sql.release(tx, run_id, turn.token)
        _say(run)
        return run


async def _step(turn: Turn, run: Run) -> Run:
    if run.phase is Phase.LISTING:
        return await vendor_books.list_book(turn, run)
    if run.phase is Phase.PURCHASES:
        return await vendor_books.read_back(turn, run)
    if run.phase is Phase.LEDGER:
        return await own_books.ledger_of_day(turn, run)
    if run.phase is Phase.UNITS:
        return await own_books.units_of_all(turn, run)
    if run.vendor_id is None:
        return await own_books.orders_of_day(turn, run)
    return await own_books.orders_of_vendor(turn, run)


def _say(run: Run) -> None:
    facts = {
        "run_id": run.id,
        "day": str(run.day),
        "vendor_id": run.vendor_id,
        "orders": run.orders,
        "reconciled": run.reconciled,
        "drifts": run.drifts,
    }
    if run.drifts:
        log.warning("reconciliation_drift", **facts)
    elif run.problem:
        log.warning("reconciliation_waits", problem=run.problem, **facts)
    elif run.done:
        log.info("reconciled", **facts)


def _job(run_id: int, not_before: datetime | None = None) -> jobs.JobAsk:
    return jobs.JobAsk(
        RUN_JOB, {"run_id": run_id}, execute_after=not_before, dedupe_key=str(run_id)
    )
