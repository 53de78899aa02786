"""`rewards reconcile`: a day's books compared now, with progress, instead of in the night."""

import asyncio
import sys
from collections.abc import Callable
from datetime import date
from functools import partial

import typer
from rich.console import Console
from rich.progress import Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from rewards.core.clock import SystemClock
from rewards.core.errors import InvalidField, Refusal
from rewards.entry.vendors import opened
from rewards.infra.settings import Settings
from rewards.reconciliation.model import DAY, Run, day_of
from rewards.reconciliation.tasks import Reconciling

AGREED, DRIFTED, UNFINISHED = 0, 1, 2
# What takes longer goes on in a worker.
TURN_S = 24 * 3_600.0
LOOK_EVERY_S, LOOKS_MAX = 2.0, 10_000


async def run(settings: Settings, day: str, vendor: str) -> int:
    """Go through the day once more and say what was found; the exit code.

    0: all agree. 1: some drift is listed. 2: it is not through; 1 also for what is refused.
    """
    clock = SystemClock()
    try:
        wanted = read_day("Day", day) if day else day_of(clock.now()) - DAY
        async with opened(settings) as desk:
            vendor_id = (await desk.find(vendor)).id if vendor else None
            reconciling = Reconciling(desk.db, desk.accounts, clock)
            runs = await _go_through(reconciling, wanted, vendor_id)
    except Refusal as refused:
        typer.echo(refused.message, err=True)
        return DRIFTED
    _show(runs)
    if any(each.drifts for each in runs):
        return DRIFTED
    return AGREED if all(each.done for each in runs) else UNFINISHED


def read_day(field: str, text: str) -> date:
    """A day as a person types it. Refuses `Invalid <field>: format`."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidField(field, "format") from None


async def _go_through(reconciling: Reconciling, day: date, vendor_id: int | None) -> list[Run]:
    runs = await reconciling.open(day, vendor_id, again=True)
    columns = (TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(file=sys.stderr), transient=True) as progress:
        for run in runs:
            bar = progress.add_task(_whose(run), total=None)
            await _finish(reconciling, run, partial(_tell, progress, bar))
    return await reconciling.open(day, vendor_id)


async def _finish(reconciling: Reconciling, run: Run, told: Callable[[Run], None]) -> None:
    """Until it is through or must wait for its vendor; a worker may be at it as well."""
    for _ in range(LOOKS_MAX):
        if await reconciling.work(run.id, turn_s=TURN_S, told=told) is not None:
            return
        [now] = [one for one in await reconciling.open(run.day, run.vendor_id) if one.id == run.id]
        if now.done:
            return
        told(now)
        await asyncio.sleep(LOOK_EVERY_S)


def _tell(progress: Progress, bar: TaskID, run: Run) -> None:
    progress.update(bar, description=_so_far(run))


def _whose(run: Run) -> str:
    return "our own books" if run.vendor_id is None else f"vendor {run.vendor_id}"


def _so_far(run: Run) -> str:
    place = f" {run.position:,} of {run.upto:,}" if run.upto else ""
    return f"{_whose(run)}: {run.phase.lower()}{place}, {run.reconciled:,} reconciled"


def _show(runs: list[Run]) -> None:
    table = Table(
        "books", "state", "purchases", "orders", "reconciled", "units", "drift", "problem"
    )
    for run in runs:
        counts = (run.purchases, run.orders, run.reconciled, run.units, run.drifts)
        state = run.state if run.done else f"{run.state} ({run.phase})"
        table.add_row(_whose(run), state, *(f"{n:,}" for n in counts), run.problem or "")
    Console().print(table)
