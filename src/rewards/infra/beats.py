"""Heartbeats: every process says that it is still there, and everybody can see who is silent."""

import asyncio
import os
import platform
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from importlib.metadata import version
from uuid import UUID, uuid4

import structlog

from rewards.infra.db import TROUBLE, Database, Tx, rows_affected

log = structlog.get_logger()

EVERY_S = 10.0
# A last word that the database does not take in time is not waited for.
GOODBYE_S = 0.5
# Rows of processes that have long been gone.
KEPT_HOURS = 24
LIST_MAX = 1_000


class ProcessKind(StrEnum):
    API = "API"
    WORKER = "WORKER"


@dataclass(frozen=True, slots=True)
class Beat:
    """A process as it last told of itself; `silent_s` is since then, by the database's clock."""

    id: UUID
    kind: ProcessKind
    host: str
    pid: int
    version: str
    started_at: datetime
    beat_at: datetime
    stopped_at: datetime | None
    silent_s: float
    age_s: float


TELL = """
INSERT INTO process_beats (id, kind, host, pid, version, started_at, beat_at, stopped_at)
VALUES ($1, $2, $3, $4, $5, now(), now(), CASE WHEN $6 THEN now() END)
ON CONFLICT (id) DO UPDATE SET beat_at = excluded.beat_at, stopped_at = excluded.stopped_at
"""

READ = """
SELECT id, kind, host, pid, version, started_at, beat_at, stopped_at,
    extract(epoch FROM now() - beat_at)::float8 AS silent_s,
    extract(epoch FROM now() - started_at)::float8 AS age_s
FROM process_beats
WHERE beat_at > now() - make_interval(hours => $1)
ORDER BY stopped_at IS NOT NULL, beat_at DESC, id LIMIT $2
"""

FORGET = "DELETE FROM process_beats WHERE beat_at < now() - make_interval(hours => $1)"


async def read(tx: Tx) -> list[Beat]:
    """Processes that were there in the last KEPT_HOURS, those that still are first."""
    rows = await tx.fetch(READ, KEPT_HOURS, LIST_MAX)
    return [Beat(**(dict(row) | {"kind": ProcessKind(row["kind"])})) for row in rows]


async def forget(tx: Tx) -> int:
    """Drop those that are gone for longer; how many."""
    return rows_affected(await tx.execute(FORGET, KEPT_HOURS))


def beating(beats: Sequence[Beat], kind: ProcessKind, silent_s: float) -> list[Beat]:
    """Those of a kind that are at work."""
    return [b for b in beats if b.kind is kind and b.stopped_at is None and b.silent_s < silent_s]


class Heart:
    """One a process."""

    def __init__(self, db: Database, kind: ProcessKind) -> None:
        self._db = db
        self._me = (uuid4(), kind, platform.node(), os.getpid(), version("starship-rewards"))

    async def run(self, stop: asyncio.Event) -> None:
        """Beat until `stop` is set, and then say goodbye; waits out a database that is away."""
        while not stop.is_set():
            with suppress(*TROUBLE):
                await self.beat()
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), EVERY_S)
        try:
            async with asyncio.timeout(GOODBYE_S):
                await self.beat(stopped=True)
        except TROUBLE as away:
            # It will be taken for one that was killed.
            log.warning("heart_no_goodbye", problem=type(away).__name__)

    async def beat(self, *, stopped: bool = False) -> None:
        """Say once that this process is there, or that it ends."""
        async with self._db.transaction() as tx:
            await tx.execute(TELL, *self._me, stopped)
