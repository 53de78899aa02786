"""Tells every process within a second which cached facts went stale.

A writer announces in its own transaction; every process polls. There is no message to lose: a poll
reads every change whose transaction was not yet finished at the poll before.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime

import asyncpg
import structlog

from rewards.core.errors import Unavailable
from rewards.infra.db import Database, Record, Tx, rows_affected

log = structlog.get_logger()

POLL_TIMEOUT_S = 2.0
POLL_INTERVAL_S = 0.25
# With a poll this young nothing that was cached is older than a second when it is used.
FRESH_S = 0.8
ROUND_MAX = 3
# Rows must outlive the longest pause of a process that goes on afterwards.
RETENTION_HOURS_MIN = 24

ANNOUNCE = "INSERT INTO changes (topic, subject_id) SELECT $1, unnest($2::bigint[])"
# Everything below the horizon is finished and visible to this very statement; whatever commits
# later has a transaction id at or above it, and is found by the next poll however late it is.
READ_CHANGES = """
SELECT h.horizon, c.id, c.topic, c.subject_id
FROM (SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS horizon) AS h
LEFT JOIN changes AS c ON c.xid >= $1::text::xid8
ORDER BY c.id
"""
READ_HORIZON = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS horizon, NULL::bigint AS id"
FORGET = "DELETE FROM changes WHERE changed_at < $1"

Subscriber = Callable[[list[int]], Awaitable[None]]
# Linux' monotonic clock stands still while a machine sleeps, and what is cached would look fresh.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


async def announce(tx: Tx, topic: str, subject_ids: Sequence[int]) -> None:
    """Say that what is cached about these subjects is stale once this transaction commits."""
    if subject_ids:
        await tx.execute(ANNOUNCE, topic, sorted(set(subject_ids)))


async def forget(tx: Tx, before: datetime) -> int:
    """Delete changes older than `before`, which is at least RETENTION_HOURS_MIN ago; how many."""
    return rows_affected(await tx.execute(FORGET, before))


class ChangeFeed:
    """One a process: polls in the background, and on demand when somebody must know it is fresh.

    A cache asks `ensure_fresh` before it trusts an entry; its subscriber drops entries. To store
    what it loads it must check that nothing was dropped meanwhile: the load may have begun before
    the change and end after the drop.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._subscribers: defaultdict[str, list[Subscriber]] = defaultdict(list)
        self._horizon: str | None = None
        self._told: set[int] = set()
        self._began_s = float("-inf")
        self._expired_s = float("-inf")
        self._polling: asyncio.Task[None] | None = None
        self._background: asyncio.Task[None] | None = None

    def subscribe(self, topic: str, tell: Subscriber) -> None:
        """`tell` gets the ids of changed subjects before a poll counts as done."""
        self._subscribers[topic].append(tell)

    async def start(self) -> None:
        """Poll now (raises Unavailable), then every POLL_INTERVAL_S until `stop`."""
        await self._poll()
        self._background = asyncio.create_task(self._poll_on())

    async def stop(self) -> None:
        background, self._background = self._background, None
        if background is not None:
            background.cancel()
            with suppress(asyncio.CancelledError):
                await background
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.wait([self._polling])

    @property
    def fresh(self) -> bool:
        """Whether what was cached and not dropped may be trusted now; costs no await."""
        began_s = self._began_s
        return began_s > self._expired_s and time.clock_gettime(_CLOCK) - began_s < FRESH_S

    def expire(self) -> None:
        """Have the next `ensure_fresh` poll, because something was just committed here."""
        self._expired_s = time.clock_gettime(_CLOCK)

    async def ensure_fresh(self) -> None:
        """Return once a poll that began less than FRESH_S ago has succeeded.

        Usually that was the background's, and this returns at once. Raises Unavailable when the
        database is away: nobody is let in on a stale entry.
        """
        for _ in range(ROUND_MAX):
            if self.fresh:
                return
            await self._poll()
        if not self.fresh:
            raise Unavailable

    async def _poll(self) -> None:
        # All who wait share one poll; one of them going away does not stop it for the others.
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._read())
            self._polling.add_done_callback(_hear)
        await asyncio.shield(self._polling)

    async def _read(self) -> None:
        began_s = time.clock_gettime(_CLOCK)
        async with self._db.connection() as connection:
            # Whoever knocks waits for this: a database that does not answer is as one away.
            if self._horizon is None:
                rows = await connection.fetch(READ_HORIZON, timeout=POLL_TIMEOUT_S)
            else:
                rows = await connection.fetch(READ_CHANGES, self._horizon, timeout=POLL_TIMEOUT_S)
        changed = [row for row in rows if row["id"] is not None]
        for topic, subject_ids in self._untold(changed).items():
            for tell in self._subscribers.get(topic, ()):
                await tell(subject_ids)
        self._told = {row["id"] for row in changed}
        self._horizon = rows[0]["horizon"]
        self._began_s = began_s

    def _untold(self, changed: Sequence[Record]) -> dict[str, list[int]]:
        """While an old transaction is open the same rows come with every poll; tell them once."""
        found: defaultdict[str, dict[int, None]] = defaultdict(dict)
        for row in changed:
            if row["id"] not in self._told:
                found[row["topic"]][row["subject_id"]] = None
        return {topic: list(subjects) for topic, subjects in found.items()}

    async def _poll_on(self) -> None:
        away = False
        while True:
            await asyncio.sleep(POLL_INTERVAL_S)
            try:
                await self._poll()
                away = False
            except (Unavailable, asyncpg.PostgresError) as problem:
                # Callers find out through `ensure_fresh`; one line a spell is enough here.
                if not away:
                    log.warning("change_feed_away", problem=type(problem).__name__)
                away = True


def _hear(poll: asyncio.Task[None]) -> None:
    """Everybody who awaited it has the exception; nobody may have."""
    if not poll.cancelled():
        poll.exception()
