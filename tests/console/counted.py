"""Counts the statements that a whole request sends, over all connections of the process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from rewards.infra.db import Database
from tests.counting import DRIVER

# Of the machines that run beside requests, and of transactions.
BESIDE = ("change_log", "changes", "BEGIN", "COMMIT", "ROLLBACK", "limit_counts")


class Sent(str):
    """A statement as it was sent, and the values that went with it."""

    __slots__ = ("values",)
    values: tuple[object, ...]


@asynccontextmanager
async def counting(db: Database, size: int) -> AsyncIterator[list[Sent]]:
    """The statements of this process inside the block, in order. Opens every connection first."""
    seen: list[Sent] = []

    def note(sent: object) -> None:
        text = Sent(sent.query.strip())  # type: ignore[attr-defined]
        text.values = tuple(sent.args or ())  # type: ignore[attr-defined]
        if not text.startswith(BESIDE) and not any(word in text for word in (*DRIVER, *BESIDE[:2])):
            seen.append(text)

    async with AsyncExitStack() as stack:
        held = [await stack.enter_async_context(db.connection()) for _ in range(size)]
        inner = [each._con for each in held]
        await asyncio.sleep(0)
    for each in inner:
        each.add_query_logger(note)
    try:
        yield seen
    finally:
        for each in inner:
            if not each.is_closed():
                each.remove_query_logger(note)
