"""Looks every minute at what alerts are about, in whichever process has the turn."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from uuid import UUID, uuid4

import structlog

from rewards.alerts import sql
from rewards.alerts.model import Alert, AlertKind, Changes, Reading, Sight, What, decide
from rewards.alerts.readings import Reader, Readings
from rewards.alerts.telling import Teller, targets
from rewards.core.clock import Clock
from rewards.core.errors import Refusal
from rewards.infra.db import TROUBLE, Database, Tx
from rewards.infra.metrics import Counter
from rewards.infra.settings import Settings

log = structlog.get_logger()

LOOK_EVERY_S = 60.0
# How soon something is told, and how soon another process takes over.
TICK_S = 5.0
# Of the turns, every so manieth also looks at what is slow to read.
SLOW_EVERY = 10
# All kinds together. Whoever reads for longer than a turn is overtaken, and writes nothing.
READING_S = 40.0
KEPT = timedelta(days=365)
FORGET_MAX = 1_000

RAISED = Counter("alerts_raised_total", "Alerts that this process raised.", "kind")


@dataclass(frozen=True, slots=True)
class Watch:
    """One in every process, API and worker alike: that no worker is left must be seen, too."""

    db: Database
    clock: Clock
    settings: Settings
    readings: Readings
    teller: Teller

    async def run(self, stop: asyncio.Event) -> None:
        """Look, and beside it tell, until `stop` is set; waits out a database that is away.

        Telling may take long, where nobody answers; looking waits for none of it.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(_on_and_on(self.take_turn, stop))
            group.create_task(_on_and_on(self.teller.tell_due, stop))

    async def step(self) -> None:
        """Look if it is this process' turn, and tell what is due."""
        await self.take_turn()
        await self.teller.tell_due()

    async def take_turn(self) -> None:
        """Look, if nobody has looked in the last minute."""
        turn = uuid4()
        number = await self._take_turn(turn)
        if number is not None:
            await self.look(turn, slow=number % SLOW_EVERY == 1)

    async def look(self, turn: UUID, *, slow: bool) -> Changes | None:
        """Read, decide, write; None where another look has begun meanwhile, and nothing is done."""
        readers = {**self.readings.quick, **(self.readings.slow if slow else {})}
        sights = await self._read(readers)
        return await self._write(turn, sights)

    async def _take_turn(self, turn: UUID) -> int | None:
        async def work(tx: Tx) -> int | None:
            return await sql.take_turn(tx, turn, LOOK_EVERY_S)

        return await self.db.run(work)

    async def _read(self, readers: Mapping[AlertKind, Reader]) -> dict[AlertKind, Sight]:
        """Of each kind what could be read; the others stay as they are.

        Each has its share of the time that is left, so that none takes that of all, and a bug in
        one blinds no other.
        """
        found: dict[AlertKind, Sight] = {}
        until_s = monotonic() + READING_S
        for turn, (kind, read) in enumerate(readers.items()):
            share_s = (until_s - monotonic()) / (len(readers) - turn)
            [seen] = await asyncio.gather(_within(share_s, read), return_exceptions=True)
            if isinstance(seen, (Refusal, *TROUBLE)):
                log.warning("alerts_not_read", kind=kind, problem=type(seen).__name__)
            elif isinstance(seen, BaseException):
                log.error("alerts_reader_broke", kind=kind, exc_info=seen)
            else:
                found[kind] = seen if isinstance(seen, Sight) else Sight(seen)
        return found

    async def _write(self, turn: UUID, sights: Mapping[AlertKind, Sight]) -> Changes | None:
        told = targets(self.settings)

        async def work(tx: Tx) -> tuple[Changes, list[Alert]] | None:
            if not await sql.hold_turn(tx, turn):
                return None
            at = self.clock.now()
            changes = decide(await sql.lock_open(tx, list(sights)), sights)
            raised = await sql.raise_alerts(tx, changes.raised, at)
            over = [(alert, reading) for alert, reading in changes.cleared if reading is not None]
            await sql.see(tx, [*changes.seen, *over], at)
            cleared = await sql.clear(tx, [alert.id for alert, _ in changes.cleared], at)
            await sql.queue(tx, [alert.id for alert in raised], What.RAISED, told)
            await sql.queue(tx, cleared, What.CLEARED, told)
            await sql.forget(tx, at - KEPT, FORGET_MAX)
            await sql.end_look(tx)
            return changes, raised

        written = await self.db.run(work)
        if written is None:
            return None
        changes, raised = written
        for alert in raised:
            RAISED.add(alert.kind)
            log.warning("alert_raised", alert_id=alert.id, kind=alert.kind, subject=alert.subject)
        for alert, _ in changes.cleared:
            log.info("alert_cleared", alert_id=alert.id, kind=alert.kind, subject=alert.subject)
        return changes


async def _within(seconds: float, read: Reader) -> Sequence[Reading] | Sight:
    async with asyncio.timeout(seconds):
        return await read()


async def _on_and_on(act: Callable[[], Awaitable[object]], stop: asyncio.Event) -> None:
    away = False
    while not stop.is_set():
        try:
            await act()
            away = False
        except TROUBLE as problem:
            if not away:
                log.warning("watch_interrupted", problem=type(problem).__name__)
            away = True
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), TICK_S)
