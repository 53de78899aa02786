"""What a worker does about claim links: makes those that are lacking, ends those nobody used."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from rewards.claims import sql
from rewards.claims.service import ClaimLinks
from rewards.core.actor import SYSTEM
from rewards.core.clock import Clock
from rewards.core.errors import Refusal
from rewards.infra.db import Database, Tx
from rewards.orders import books, linking
from rewards.orders.chunks import CHUNK_MAX, Act, act_apart
from rewards.orders.claiming import LapseAsk, lapse
from rewards.orders.model import Order

NOT_CLAIMED = "not claimed in time"
# One run looks at so many orders at most; the next run goes on.
RUN_MAX = 10_000

NextIds: TypeAlias = Callable[[Tx, int, int], Awaitable[list[int]]]


@dataclass(frozen=True, slots=True)
class LinkTasks:
    """The tasks of one worker process. Each may run twice, or be killed at any point."""

    db: Database
    clock: Clock
    links: ClaimLinks

    async def make(self, order_ids: Sequence[int]) -> None:
        """Make the links these orders lack; those that lack none are left alone."""
        for start in range(0, len(order_ids), CHUNK_MAX):
            chunk = sorted(set(order_ids[start : start + CHUNK_MAX]))
            await self.db.run(partial(self._make, chunk))

    async def sweep(self) -> int:
        """Make the links whose job was lost; how many orders lacked some."""
        return await self._each_chunk(linking.lacking_links, self._make)

    async def lapse(self) -> int:
        """Take back what was not claimed in time, and pay it back; of how many orders."""

        async def due(tx: Tx, after_id: int, limit: int) -> list[int]:
            return await sql.due_orders(tx, self.clock.now(), after_id, limit)

        return await self._each_chunk(due, self._lapse)

    async def _make(self, order_ids: Sequence[int], tx: Tx) -> list[Order | Refusal]:
        return await linking.make_links(tx, order_ids, self.links, self.clock.now())

    async def _lapse(self, order_ids: Sequence[int], tx: Tx) -> list[Order | Refusal]:
        # The orders first, as everybody does; from here on their links stay as they are.
        await books.lock(tx, order_ids)
        at = self.clock.now()
        due = await sql.due(tx, order_ids, at)
        asks = [
            LapseAsk(
                order_id,
                frozenset(position for owner, position in due if owner == order_id),
                SYSTEM,
                NOT_CLAIMED,
            )
            for order_id in order_ids
        ]
        answers = await lapse(tx, asks, at)
        await sql.end(tx, due, at)
        return answers

    async def _each_chunk(self, find: NextIds, act: Act) -> int:
        """Act on what `find` names, a chunk a transaction; the last problem is raised last."""
        after_id, acted = 0, 0
        problem: BaseException | None = None
        while acted < RUN_MAX:
            async with self.db.connection() as connection:
                order_ids = await find(connection, after_id, CHUNK_MAX)
            if not order_ids:
                break
            problem = await act_apart(self.db, order_ids, act) or problem
            after_id, acted = order_ids[-1], acted + len(order_ids)
        if problem is not None:
            raise problem
        return acted
