"""Acts upon many orders, a chunk a transaction, so that one that fails keeps no other waiting."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeAlias

import structlog

from rewards.core.errors import Refusal, Unavailable
from rewards.infra.db import Database, Tx
from rewards.orders.model import Order

log = structlog.get_logger()

# A transaction holds the locks of so many orders at most.
CHUNK_MAX = 20

Act: TypeAlias = Callable[[Sequence[int], Tx], Awaitable[list[Order | Refusal]]]


async def act_apart(db: Database, chunk: Sequence[int], act: Act) -> BaseException | None:
    """One transaction for all; should it fail, one for each order. Answers the last failure.

    Raises Unavailable: then nothing is wrong with an order, and trying each would help nobody.
    """
    work = db.run(partial(act, chunk))
    [outcome] = await asyncio.gather(work, return_exceptions=True)
    if not isinstance(outcome, BaseException):
        return None
    if isinstance(outcome, Unavailable):
        raise outcome
    if len(chunk) == 1:
        log.error("order_task_failed", order_id=chunk[0], exc_info=outcome)
        return outcome
    problems = [await act_apart(db, [order_id], act) for order_id in chunk]
    return next((problem for problem in reversed(problems) if problem), None)
