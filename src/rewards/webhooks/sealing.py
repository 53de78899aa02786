"""Gives every committed event its place in its client's feed, and a delivery to each endpoint.

Events are numbered per client: without gaps, and never below a number that somebody has seen
(spec.md §7, docs/adr/0022).
"""

from rewards.core.clock import Clock
from rewards.infra import sealing
from rewards.infra.db import Database, Tx
from rewards.infra.sql_sealing import Look
from rewards.webhooks import sql_sealing as sql


class Sealer(sealing.Sealer):
    """`Sealed.made` counts deliveries."""

    def __init__(self, db: Database, clock: Clock, *, batch_max: int = sealing.BATCH_MAX) -> None:
        super().__init__(db, clock, sql.EVENTS, batch_max=batch_max)

    async def place(self, tx: Tx, look: Look) -> int:
        return await sql.number(tx, look, self._clock.now())
