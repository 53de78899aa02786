"""Gives every committed event its place in its client's feed, and a delivery to each endpoint.

Events are inserted by any number of transactions at once and become visible in another order than
they were written in. One sealer at a time looks at what became visible since it looked last, and
numbers it per client: without gaps, and never below a number that somebody has seen (spec.md §7,
docs/adr/0022). Placing an order waits for none of it.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

import asyncpg
import structlog

from rewards.core.clock import Clock
from rewards.core.errors import Unavailable
from rewards.infra.db import Database, Tx
from rewards.webhooks import sql_sealing as sql
from rewards.webhooks.sql_sealing import Look

log = structlog.get_logger()

# An event waits half of it on average; a look that finds nothing is one small read.
POLL_S = 0.1
AWAY_S = 1.0
# Events in one transaction; many times what comes in a tenth of a second.
BATCH_MAX = 2_000
DRAIN_ROUND_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Sealed:
    """What one round did. `behind`: a backlog is left."""

    events: int
    deliveries: int
    behind: bool


NOTHING = Sealed(0, 0, behind=False)


class Sealer:
    """One in every worker; the row of `event_sealing` lets one of them at a time do it.

    A killed one leaves nothing half done: numbers, deliveries and how far it came are one
    transaction. One that hangs loses its lock when the server ends its idle transaction.
    """

    def __init__(self, db: Database, clock: Clock, *, batch_max: int = BATCH_MAX) -> None:
        self._db = db
        self._clock = clock
        self._batch_max = batch_max

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
                    log.warning("sealing_interrupted", exc_info=problem)
                away, pause_s = True, AWAY_S
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause_s)

    async def drain(self) -> int:
        """Seal here and now whatever is committed; returns how many events that were.

        For tests and for commands. Another sealer's round counts as its own.
        """
        count = 0
        for _ in range(DRAIN_ROUND_MAX):
            done = await self.seal()
            count += done.events
            if done is NOTHING:
                return count
        raise AssertionError("more events than anybody ever had")

    async def seal(self) -> Sealed:
        """One round: number what became visible since the last one, at most BATCH_MAX events."""
        async with self._db.connection() as connection:
            if not await sql.due(connection):
                return NOTHING
        async with self._db.transaction() as tx:
            turn = await sql.take_turn(tx)
            if turn is None:
                return NOTHING
            if turn.after_id is not None and turn.upto_id is not None:
                return await self._seal_backlog(tx, turn.after_id, turn.upto_id)
            if not turn.unknown and turn.sealed is not None:
                look = await sql.look_at_new(tx, turn.sealed, self._batch_max + 1)
                if look.seen <= self._batch_max:
                    await sql.move_on(tx, look.snapshot)
                    return await self._number(tx, look)
            after_id, upto_id = await sql.fall_behind(tx, None if turn.unknown else turn.sealed)
            if upto_id > after_id:
                log.info("feed_is_behind", events_max=upto_id - after_id)
            return await self._seal_backlog(tx, after_id, upto_id)

    async def _seal_backlog(self, tx: Tx, after_id: int, upto_id: int) -> Sealed:
        look = await sql.look_at_backlog(tx, after_id, upto_id, self._batch_max)
        behind = look.last_id is not None and look.seen == self._batch_max
        if look.last_id is not None and behind:
            await sql.move_along(tx, look.last_id)
        else:
            await sql.move_on(tx, None)
        return await self._number(tx, look, behind=behind)

    async def _number(self, tx: Tx, look: Look, *, behind: bool = False) -> Sealed:
        return Sealed(len(look.ids), await sql.number(tx, look, self._clock.now()), behind)
