"""One turn at a run: what every step needs, and how a step is written down."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeAlias
from uuid import UUID

from rewards.core.clock import Clock
from rewards.infra.db import Database, Tx
from rewards.reconciliation import sql
from rewards.reconciliation.model import Gain, Run
from rewards.vendors.buying import AdapterSource

# Longer than any step takes: a vendor's list of a day may come in hundreds of pages.
LEASE_S = 900.0
# A full bucket of calls is waited for; whoever buys has the same bucket.
PAUSE_S = 5.0

Work: TypeAlias = Callable[[Tx], Awaitable[tuple[Run, Gain]]]


class TakenOver(Exception):
    """The lease ran out and somebody else goes on with the run."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Who goes on with a run, and with what; the lease is `token`."""

    db: Database
    accounts: AdapterSource
    clock: Clock
    token: UUID
    pause_s: float = PAUSE_S

    async def step(self, work: Work) -> Run:
        """Do the work and write how far the run is, in one transaction. Raises TakenOver."""

        async def written(tx: Tx) -> Run:
            run, gain = await work(tx)
            after = replace(
                run,
                purchases=run.purchases + gain.purchases,
                orders=run.orders + gain.orders,
                reconciled=run.reconciled + gain.reconciled,
                units=run.units + gain.units,
            )
            if not await sql.advance(tx, after, self.token, LEASE_S):
                raise TakenOver
            fresh = await sql.list_findings(tx, after, gain.findings, self.clock.now())
            return replace(after, drifts=run.drifts + fresh)

        return await self.db.run(written)

    async def move(self, run: Run) -> Run:
        """Write a run that only went on to another place."""

        async def work(_tx: Tx) -> tuple[Run, Gain]:
            return run, Gain()

        return await self.step(work)

    async def rest(self, run: Run, pause: timedelta, problem: str) -> Run:
        """Leave the run as it is until later, and say why."""
        later = self.clock.now() + pause
        return await self.move(replace(run, next_at=later, problem=problem))
