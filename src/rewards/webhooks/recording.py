"""Writes down what attempts met, in batches, and gives back what was leased and not begun."""

import asyncio
from collections.abc import Callable, Sequence

import asyncpg
import structlog

from rewards.core.clock import Clock
from rewards.infra.db import TROUBLE, Database, Tx
from rewards.webhooks import health, sql_sending
from rewards.webhooks.lanes import Job, Lane
from rewards.webhooks.sql_sending import Told

log = structlog.get_logger()

RECORD_MAX = 4_096
AWAY_S = 1.0


class Recorder:
    """What ends while one batch is written is the next batch; a lone attempt waits for nobody.

    `freed` is told of each lane that something was written down for.
    """

    def __init__(self, db: Database, clock: Clock, freed: Callable[[Lane], None]) -> None:
        self._db = db
        self._clock = clock
        self._freed = freed
        self.told: list[tuple[Lane, Told]] = []
        # What lanes let go of.
        self.back: list[tuple[Lane, Job]] = []
        self._something = asyncio.Event()
        self._writing = asyncio.Lock()

    @property
    def empty(self) -> bool:
        return not (self.told or self.back)

    def wake(self) -> None:
        """Something may have been let go of."""
        self._something.set()

    def tell(self, lane: Lane, told: Told) -> None:
        """Have it written down."""
        lane.told += 1
        self.told.append((lane, told))
        self._something.set()

    async def run(self) -> None:
        """Write until cancelled; what a lost database does not take is kept and tried again."""
        away = False
        while True:
            await self._something.wait()
            self._something.clear()
            try:
                await self.record_all()
                away = False
            except TROUBLE as problem:
                if not away:
                    log.warning("webhooks_unrecorded", problem=type(problem).__name__)
                away = True
                self._something.set()
                await asyncio.sleep(AWAY_S)

    async def record_all(self) -> int:
        """Write down all that has ended; how many attempts that were."""
        count = 0
        while not self.empty:
            async with self._writing:
                count += await self._record()
        return count

    async def _record(self) -> int:
        told, back = self.told[:RECORD_MAX], self.back[:RECORD_MAX]
        try:
            await self._write([one for _, one in told], [job for _, job in back])
        except asyncpg.DataError:
            await self._write_each(told, back)
        del self.told[: len(told)], self.back[: len(back)]
        for lane, _ in told:
            lane.told -= 1
        for lane, _ in back:
            lane.returning -= 1
        for lane in {lane for lane, _ in (*told, *back)}:
            self._freed(lane)
        return len(told)

    async def _write(self, told: Sequence[Told], back: Sequence[Job]) -> None:
        async def work(tx: Tx) -> int:
            at = self._clock.now()
            # Endpoints first, as whoever leases locks them first.
            await health.note(tx, told, at)
            if back:
                ids, leases = [job.delivery_id for job in back], [job.lease for job in back]
                await sql_sending.give_back(tx, ids, leases)
            return await sql_sending.record(tx, told, at) if told else 0

        count = await self._db.run(work)
        if late := len(told) - count:
            # Written before, and nobody knew; or another worker has sent it again meanwhile.
            log.warning("webhook_attempts_late", attempts=late)

    async def _write_each(
        self, told: Sequence[tuple[Lane, Told]], back: Sequence[tuple[Lane, Job]]
    ) -> None:
        """What the database does not take keeps nothing else from being written."""
        await self._write([], [job for _, job in back])
        for _, one in told:
            try:
                await self._write([one], [])
            except asyncpg.DataError:
                # Its lease ends, and it is sent again.
                log.exception("webhook_attempt_lost", delivery_id=one.delivery_id)
