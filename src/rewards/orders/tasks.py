"""What the worker does for orders. Each may run twice, and be killed at any point, without harm."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

import structlog

from rewards.core.actor import SYSTEM
from rewards.core.clock import Clock
from rewards.core.errors import Refusal
from rewards.infra.db import Database, Tx
from rewards.infra.settings import Settings
from rewards.inventory.hints import PoolHints
from rewards.orders import model, sql_read
from rewards.orders.chunks import CHUNK_MAX, Act, act_apart
from rewards.orders.closing import CancelAsk
from rewards.orders.filling import RetryAsk, retry
from rewards.orders.model import Order, Status, SubStatus
from rewards.orders.refunds import cancel, pay_owed

log = structlog.get_logger()

# One run of a task looks at so many orders at most; the next run goes on.
RUN_MAX = 10_000
# Longer than a job takes to be picked up; after that its order is looked for.
LOST_AFTER = timedelta(seconds=60)
STUCK_AFTER = timedelta(hours=24)
LATE = "deliver_by has passed"

# What a look into the pool may help without anybody having asked for it.
WAITING_SUB_STATUSES = tuple(
    sorted({state.sub_status for state in model.FILLABLE - {model.PROCESSING}})
)
PENDING_SUB_STATUSES = tuple(
    sorted({state.sub_status for state in model.STATES if state.status is Status.PENDING})
)

NextIds = Callable[[Tx, int, int], Awaitable[list[int]]]


@dataclass(frozen=True, slots=True)
class OrderTasks:
    """The tasks of one worker process."""

    db: Database
    clock: Clock
    settings: Settings
    hints: PoolHints = field(default_factory=PoolHints)
    # Where a task that had more than RUN_MAX to look at goes on.
    left_off: dict[str, int] = field(default_factory=dict)

    async def fill(self, order_ids: Sequence[int]) -> None:
        """Fill orders of 11 to 50 from the pool; one that is filled already is left alone."""
        for start in range(0, len(order_ids), CHUNK_MAX):
            chunk = sorted(set(order_ids[start : start + CHUNK_MAX]))
            await self.db.run(partial(self._retry, chunk))

    async def sweep(self) -> int:
        """Fill orders whose job was lost: still PROCESSING long after they were placed."""

        async def lost(tx: Tx, after_id: int, limit: int) -> list[int]:
            before = self.clock.now() - LOST_AFTER
            return await sql_read.waiting_in(tx, SubStatus.PROCESSING, before, after_id, limit)

        return await self._each_chunk("sweep", lost, self._retry)

    async def retry_waiting(self) -> int:
        """Look into the pool for all that waits, only where auto-retry is on (spec.md §4)."""
        if self.settings.disable_auto_order_retry:
            return 0

        async def waiting(tx: Tx, after_id: int, limit: int) -> list[int]:
            return await sql_read.waiting_for_stock(tx, WAITING_SUB_STATUSES, after_id, limit)

        return await self._each_chunk("retry_waiting", waiting, self._retry)

    async def deadlines(self) -> int:
        """Cancel and refund what its client no longer wants: `deliver_by` has passed."""

        async def due(tx: Tx, after_id: int, limit: int) -> list[int]:
            return await sql_read.due_deadlines(tx, self.clock.now(), after_id, limit)

        async def give_up(order_ids: Sequence[int], tx: Tx) -> list[Order | Refusal]:
            asks = [CancelAsk(n, SYSTEM, LATE, only_open=True) for n in order_ids]
            return await cancel(tx, asks, self.clock.now())

        return await self._each_chunk("deadlines", due, give_up)

    async def refunds_owed(self) -> int:
        """Book refunds that could not be booked before, where the wallet takes money again."""

        async def pay(order_ids: Sequence[int], tx: Tx) -> list[Order | Refusal]:
            return await pay_owed(tx, order_ids, SYSTEM, self.clock.now())

        return await self._each_chunk("refunds_owed", sql_read.refunds_owed, pay)

    async def report_stuck(self) -> int:
        """Say how many orders wait for more than 24 hours; somebody must look at them."""
        async with self.db.connection() as connection:
            before = self.clock.now() - STUCK_AFTER
            count, oldest = await sql_read.stuck(connection, PENDING_SUB_STATUSES, before)
        if count:
            log.warning("orders_stuck", orders=count, oldest=str(oldest))
        return count

    async def _retry(self, order_ids: Sequence[int], tx: Tx) -> list[Order | Refusal]:
        asks = [RetryAsk(order_id, SYSTEM) for order_id in order_ids]
        return await retry(tx, asks, self.settings.bulk_units_max, self.clock.now(), self.hints)

    async def _each_chunk(self, task: str, find: NextIds, act: Act) -> int:
        """Act on what `find` names, a chunk a transaction; how many were acted on.

        A run that reaches RUN_MAX leaves off there, and the next one of this process goes on. An
        order that fails keeps no other waiting; the last such problem is raised at the end.
        """
        after_id, acted = self.left_off.pop(task, 0), 0
        problem: BaseException | None = None
        while acted < RUN_MAX:
            async with self.db.connection() as connection:
                order_ids = await find(connection, after_id, CHUNK_MAX)
            if not order_ids:
                break
            chunk = sorted(order_ids)
            problem = await act_apart(self.db, chunk, act) or problem
            after_id, acted = chunk[-1], acted + len(chunk)
        else:
            self.left_off[task] = after_id
        if problem is not None:
            raise problem
        return acted
