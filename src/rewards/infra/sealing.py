"""Gives committed rows their place in an order that only ever grows at its end.

Rows are inserted by any number of transactions at once and become visible in another order than
they were written in. One sealer at a time looks at what became visible since it looked last, and
puts it behind all that has a place already (docs/adr/0022). Whoever writes waits for none of it.
"""

import asyncio
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass

import asyncpg
import structlog

from rewards.core.clock import Clock
from rewards.core.errors import Unavailable
from rewards.infra.db import Database, Tx
from rewards.infra.sql_sealing import Look, Rows

log = structlog.get_logger()

# A row waits half of it on average; a look that finds nothing is one small read.
POLL_S = 0.1
AWAY_S = 1.0
# Rows in one transaction; many times what comes in a tenth of a second.
BATCH_MAX = 2_000
DRAIN_ROUND_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Sealed:
    """What one round did: how many rows, what else that made. `behind`: a backlog is left."""

    rows: int
    made: int
    behind: bool


NOTHING = Sealed(0, 0, behind=False)


class Sealer(ABC):
    """One in every worker; the row of its state table lets one of them at a time do it.

    A killed one leaves nothing half done: places, what follows from them and how far it came are
    one transaction. One that hangs loses its lock when the server ends its idle transaction.
    """

    def __init__(
        self, db: Database, clock: Clock, rows: Rows, *, batch_max: int = BATCH_MAX
    ) -> None:
        self._db = db
        self._clock = clock
        self._rows = rows
        self._batch_max = batch_max

    @abstractmethod
    async def place(self, tx: Tx, look: Look) -> int:
        """Give each of these rows, at least one, the next place; how many other rows that made."""

    async def run(self, stop: asyncio.Event) -> None:
        """Seal until `stop` is set; waits out a database that is away."""
        away = False
        while not stop.is_set():
            pause_s = POLL_S
            try:
                if (await self.seal()).behind:
                    continue
                away = False
            except (Unavailable, asyncpg.PostgresError) as problem:
                if not away:
                    log.warning("sealing_interrupted", of=self._rows.table, exc_info=problem)
                away, pause_s = True, AWAY_S
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause_s)

    async def drain(self) -> int:
        """Seal here and now whatever is committed; returns how many rows that were.

        For tests and for commands. Another sealer's round counts as its own.
        """
        count = 0
        for _ in range(DRAIN_ROUND_MAX):
            done = await self.seal()
            count += done.rows
            if done is NOTHING:
                return count
        raise AssertionError("more rows than anybody ever had")

    async def seal(self) -> Sealed:
        """One round: seal what became visible since the last one, at most BATCH_MAX rows."""
        async with self._db.connection() as connection:
            if not await self._rows.due(connection):
                return NOTHING
        async with self._db.transaction() as tx:
            turn = await self._rows.take_turn(tx)
            if turn is None:
                return NOTHING
            if turn.after_id is not None and turn.upto_id is not None:
                return await self._seal_backlog(tx, turn.after_id, turn.upto_id)
            if not turn.unknown and turn.sealed is not None:
                look = await self._rows.look_at_new(tx, turn.sealed, self._batch_max + 1)
                if look.seen <= self._batch_max:
                    await self._rows.move_on(tx, look.snapshot)
                    return await self._placed(tx, look)
            sealed = None if turn.unknown else turn.sealed
            after_id, upto_id = await self._rows.fall_behind(tx, sealed)
            if upto_id > after_id:
                log.info("sealing_is_behind", of=self._rows.table, rows_max=upto_id - after_id)
            return await self._seal_backlog(tx, after_id, upto_id)

    async def _seal_backlog(self, tx: Tx, after_id: int, upto_id: int) -> Sealed:
        look = await self._rows.look_at_backlog(tx, after_id, upto_id, self._batch_max)
        behind = look.last_id is not None and look.seen == self._batch_max
        if look.last_id is not None and behind:
            await self._rows.move_along(tx, look.last_id)
        else:
            await self._rows.move_on(tx, None)
        return await self._placed(tx, look, behind=behind)

    async def _placed(self, tx: Tx, look: Look, *, behind: bool = False) -> Sealed:
        made = await self.place(tx, look) if look.ids else 0
        return Sealed(len(look.ids), made, behind)
