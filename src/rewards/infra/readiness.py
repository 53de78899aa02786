"""Whether a process can do its work now, told part by part and within a bounded time."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import asyncpg

from rewards.infra import beats
from rewards.infra.beats import ProcessKind
from rewards.infra.changes import ChangeFeed
from rewards.infra.db import TROUBLE, Database, Tx
from rewards.infra.migrate import migrations

# Whoever asks is answered within this, also by a database that hangs.
WAIT_S = 1.5
CLOSE_S = 1.0


class Part(StrEnum):
    DATABASE = "database"
    SCHEMA = "schema"
    CHANGE_FEED = "change_feed"
    DESK = "desk"
    JOBS = "jobs"
    # Orders are taken without one, but what waits goes on waiting: told, and not held against us.
    WORKER = "worker"


class State(StrEnum):
    OK = "ok"
    AWAY = "away"  # nobody answers, or not in time
    MISSING = "missing"  # migrations were not applied
    STALE = "stale"
    FULL = "full"
    SILENT = "silent"
    UNKNOWN = "unknown"


# What does not keep a process from its work.
HARMLESS = frozenset({Part.WORKER})

MISSING = """
SELECT count(*) FROM unnest($1::text[]) AS need (name)
WHERE NOT EXISTS (SELECT FROM schema_migrations AS m WHERE m.name = need.name)
"""
Look = Callable[[], State]


@dataclass(frozen=True, slots=True)
class Told:
    """Every part and its state; nothing of why, which is for the log."""

    parts: Mapping[Part, State]

    def body(self) -> dict[str, object]:
        """What is answered: one word, and the parts."""
        return {"status": "ready" if self.ready else "not_ready", "parts": dict(self.parts)}

    @property
    def ready(self) -> bool:
        return all(state is State.OK for part, state in self.parts.items() if part not in HARMLESS)


class Readiness:
    """One a process. `looks` are the parts that are seen in memory.

    However many ask, one look at the database is under way; one that hangs is joined by whoever
    asks meanwhile, not repeated, and nobody waits for its end.
    """

    def __init__(
        self, db: Database, feed: ChangeFeed, looks: Mapping[Part, Look], *, worker_silent_s: float
    ) -> None:
        self._db = db
        self._feed = feed
        self._looks = looks
        self._silent_s = worker_silent_s
        self._needed = [migration.name for migration in migrations()]
        self._asking: asyncio.Task[dict[Part, State]] | None = None

    async def tell(self) -> Told:
        """How it stands with every part, within WAIT_S; never raises."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        done, _ = await asyncio.wait({self._asking}, timeout=WAIT_S)
        stored = self._asking.result() if done else _away()
        return Told({**stored, **{part: look() for part, look in self._looks.items()}})

    async def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait({self._asking}, timeout=CLOSE_S)

    async def _ask(self) -> dict[Part, State]:
        try:
            async with self._db.connection() as connection:
                schema = await self._schema(connection)
                worker = await self._worker(connection) if schema is State.OK else State.UNKNOWN
            feed = await self._fresh()
        except TROUBLE:
            return _away()
        return {
            Part.DATABASE: State.OK,
            Part.SCHEMA: schema,
            Part.CHANGE_FEED: feed,
            Part.WORKER: worker,
        }

    async def _fresh(self) -> State:
        """Whether this process hears what others change; nobody is let in on what it does not."""
        try:
            await self._feed.ensure_fresh()
        except TROUBLE:
            return State.STALE
        return State.OK

    async def _schema(self, connection: Tx) -> State:
        """An older program runs on a newer schema; a newer one not on an older."""
        try:
            missing: int = await connection.fetchval(MISSING, self._needed)
        except asyncpg.UndefinedTableError:
            return State.MISSING
        except asyncpg.InsufficientPrivilegeError:
            # A role that may not see it says nothing against it.
            return State.OK
        return State.MISSING if missing else State.OK

    async def _worker(self, connection: Tx) -> State:
        known = await beats.read(connection)
        at_work = beats.beating(known, ProcessKind.WORKER, self._silent_s)
        return State.OK if at_work else State.SILENT


def _away() -> dict[Part, State]:
    return {Part.DATABASE: State.AWAY} | dict.fromkeys(
        (Part.SCHEMA, Part.CHANGE_FEED, Part.WORKER), State.UNKNOWN
    )
