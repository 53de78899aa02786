"""PgQueuer's queue, as a worker uses it: its statements, our pool, leases that are really held.

What the library had reported against it and what holds here (checked in 1.6.0, by reading and by
`tests/infra/test_worker_*.py`):

- #430, jobs picked again while they still run: beats go out at half the lease and are written at an
  eighth of it. A worker that stalls for longer still loses its job to another one; then its result
  counts for nothing (FINISH, RETRY and BEAT touch only what this worker still holds).
- #675, the lease could not be set from outside: it is a parameter here.
- #630, rows left `picked` after SIGTERM: the library now deletes what was cancelled, which would
  lose it. Here a cancelled job is released to the next worker.
- #475, rows left `picked` by a killed worker: the dequeue takes those whose beat is older than the
  lease. It looks at least every sixth of a lease, so a job is taken over within 35 s.
- A retry that could not be written made the job a failed one: here it stays with its lease.
"""

import asyncio
import contextlib
import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import structlog
from pgqueuer.adapters.persistence.qb import (
    QueryBuilderEnvironment,
    QueryQueueBuilder,
    QuerySchedulerBuilder,
)
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.core.tm import TaskManager
from pgqueuer.domain import errors, models, types
from pgqueuer.domain.settings import DBSettings
from pgqueuer.ports.driver import NotifyCallback

from rewards.core.errors import Unavailable
from rewards.infra.db import AWAY, Database, Tx

log = structlog.get_logger()
Result = TypeVar("Result")

LISTEN_PROBE_S = 5.0
LISTEN_RETRY_S = 0.5
AWAY_RETRY_S = 0.5
RETRY_WRITE_MAX = 3

# Every name in full: the library would otherwise read them from the environment, where a variable
# called CHANNEL or TRIGGER would rename our tables.
NAMES = DBSettings(
    prefix="",
    db_schema=None,
    channel=types.Channel("ch_pgqueuer"),
    function="fn_pgqueuer_changed",
    statistics_table="pgqueuer_statistics",
    queue_status_type="pgqueuer_status",
    queue_table="pgqueuer",
    queue_table_log="pgqueuer_log",
    trigger="tg_pgqueuer_changed",
    schedules_table="pgqueuer_schedules",
)


class Released(errors.RetryRequested):
    """The job goes back through no fault of its own. Not counted as an attempt."""


class PoolDriver:
    """Statements through a pool, LISTEN on a connection of its own that is renewed when it dies.

    With the database away a statement waits for it, until `shutdown` is set; then Unavailable.
    """

    def __init__(self, dsn: str, db: Database) -> None:
        self._dsn = dsn
        self._db = db
        self._shutdown = asyncio.Event()
        self._tasks = TaskManager()
        self._listening: asyncio.Task[None] | None = None
        self._heard = asyncio.Event()
        self._away = False

    async def fetch(self, query: str, *args: object) -> list[dict[str, object]]:
        return await self._patiently(lambda tx: _fetch(tx, query, args))

    async def execute(self, query: str, *args: object) -> str:
        return await self._patiently(lambda tx: tx.execute(query, *args))

    async def _patiently(self, work: Callable[[Tx], Awaitable[Result]]) -> Result:
        while True:
            try:
                async with self._db.connection() as connection:
                    result = await work(connection)
            except Unavailable as away:
                if self._shutdown.is_set():
                    raise
                if not self._away:
                    self._away = True
                    log.warning("database_away", exc_info=away)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._shutdown.wait(), AWAY_RETRY_S)
            else:
                if self._away:
                    self._away = False
                    log.warning("database_back")
                return result

    async def notify(self, channel: str, payload: str) -> None:
        await self.execute("SELECT pg_notify($1, $2)", channel, payload)

    async def add_listener(self, channel: str, callback: NotifyCallback) -> None:
        assert self._listening is None, "one listener a driver"
        self._listening = asyncio.create_task(self._listen(channel, callback))
        with contextlib.suppress(TimeoutError):
            # Without it jobs are found by polling: late, but found.
            await asyncio.wait_for(self._heard.wait(), LISTEN_PROBE_S)

    async def _listen(self, channel: str, callback: NotifyCallback) -> None:
        def relay(_connection: object, _pid: int, _channel: str, payload: object) -> None:
            callback(str(payload))

        while True:
            try:
                connection = await asyncpg.connect(
                    self._dsn,
                    timeout=LISTEN_PROBE_S,
                    command_timeout=LISTEN_PROBE_S,
                    server_settings={"application_name": "rewards-listen"},
                )
                try:
                    await connection.add_listener(channel, relay)
                    self._heard.set()
                    await _until_lost(connection)
                finally:
                    connection.terminate()
            except AWAY as away:
                log.warning("listen_lost", problem=type(away).__name__)
            await asyncio.sleep(LISTEN_RETRY_S)

    @property
    def shutdown(self) -> asyncio.Event:
        return self._shutdown

    @property
    def tm(self) -> TaskManager:
        return self._tasks

    async def __aenter__(self) -> "PoolDriver":
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait([self._listening])
            self._listening = None


async def _until_lost(connection: asyncpg.Connection) -> None:
    lost = asyncio.Event()
    connection.add_termination_listener(lambda _connection: lost.set())
    while not lost.is_set():
        try:
            await asyncio.wait_for(lost.wait(), LISTEN_PROBE_S)
        except TimeoutError:
            # A connection that is half open says nothing by itself.
            await connection.execute("SELECT 1")


async def _fetch(tx: Tx, query: str, args: tuple[object, ...]) -> list[dict[str, object]]:
    return [dict(row) for row in await tx.fetch(query, *args)]


# Only what is picked by this very worker: a lease that was lost is not ours to end.
HELD = """
WITH ask AS (
    SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::text[], $4::text[])
        AS ask (id, worker_id, outcome, trouble)
),
held AS (
    SELECT job.id, ask.outcome, ask.trouble
    FROM ask JOIN pgqueuer AS job ON job.id = ask.id
    WHERE job.status = 'picked' AND job.queue_manager_id = ask.worker_id
    ORDER BY job.id FOR UPDATE OF job
)"""

FINISH = f"""{HELD},
done AS (
    DELETE FROM pgqueuer
    WHERE id = ANY(ARRAY(SELECT id FROM held WHERE outcome = 'successful'))
    RETURNING id, entrypoint, priority
),
dead AS (
    UPDATE pgqueuer SET status = 'failed', updated = now(), queue_manager_id = NULL, slot = NULL,
        attempts = attempts + 1
    WHERE id = ANY(ARRAY(SELECT id FROM held WHERE outcome <> 'successful'))
    RETURNING id, entrypoint, priority
)
INSERT INTO pgqueuer_log (job_id, status, entrypoint, priority, traceback)
SELECT id, held.outcome::pgqueuer_status, entrypoint, priority, held.trouble::jsonb
FROM (SELECT * FROM done UNION ALL SELECT * FROM dead) AS ended JOIN held USING (id)
"""  # noqa: S608

# A queued twin does the same work: then this one need not come back.
RETRY = f"""{HELD},
twinned AS (
    DELETE FROM pgqueuer AS job
    WHERE id = ANY(ARRAY(SELECT id FROM held)) AND dedupe_key IS NOT NULL AND EXISTS (
        SELECT FROM pgqueuer AS twin
        WHERE twin.dedupe_key = job.dedupe_key AND twin.status = 'queued'
    )
    RETURNING id, entrypoint, priority
),
again AS (
    UPDATE pgqueuer SET status = 'queued', updated = now(), queue_manager_id = NULL, slot = NULL,
        execute_after = now() + make_interval(secs => $5), attempts = attempts + $6
    WHERE id = ANY(ARRAY(SELECT id FROM held EXCEPT SELECT id FROM twinned))
    RETURNING id, entrypoint, priority
)
INSERT INTO pgqueuer_log (job_id, status, entrypoint, priority, traceback)
SELECT id, status::pgqueuer_status, entrypoint, priority, held.trouble::jsonb
FROM (
    SELECT *, 'queued' AS status FROM again UNION ALL SELECT *, 'deleted' FROM twinned
) AS ended JOIN held USING (id)
"""  # noqa: S608

BEAT = """
UPDATE pgqueuer SET heartbeat = now()
WHERE id = ANY($1::bigint[]) AND status = 'picked' AND queue_manager_id = $2
"""


@dataclasses.dataclass
class LeasedQueries(Queries):
    """The library's statements; those that end, return or renew a job only while it is held."""

    worker_id: UUID | None = None

    @classmethod
    def over(cls, driver: PoolDriver) -> "LeasedQueries":
        return cls(
            driver,
            qbe=QueryBuilderEnvironment(NAMES),
            qbq=QueryQueueBuilder(NAMES),
            qbs=QuerySchedulerBuilder(NAMES),
        )

    async def log_jobs(
        self,
        job_status: list[tuple[models.Job, types.JOB_STATUS, models.TracebackRecord | None]],
    ) -> None:
        ended = [entry for entry in job_status if entry[1] != "canceled"]
        if ended:
            await self.driver.execute(FINISH, *_columns(ended))
        cancelled = [entry for entry in job_status if entry[1] == "canceled"]
        if cancelled:
            await self._give_back(cancelled, timedelta(0), counted=False)

    async def retry_job(
        self,
        job: models.Job,
        delay: timedelta,
        traceback_record: models.TracebackRecord | None,
    ) -> None:
        counted = not (traceback_record and traceback_record.exception_type == Released.__name__)
        try:
            await self._give_back([(job, "queued", traceback_record)], delay, counted=counted)
        except Unavailable:
            # It stays picked and is taken over when its lease ends.
            log.warning("job_left_to_its_lease", job=job.entrypoint, job_id=job.id)

    async def _give_back(
        self,
        entries: Sequence[tuple[models.Job, str, models.TracebackRecord | None]],
        delay: timedelta,
        *,
        counted: bool,
    ) -> None:
        for attempt in range(RETRY_WRITE_MAX):
            try:
                await self.driver.execute(
                    RETRY, *_columns(entries), delay.total_seconds(), int(counted)
                )
            except asyncpg.UniqueViolationError:
                # A twin was queued this very moment; the next look sees it.
                if attempt == RETRY_WRITE_MAX - 1:
                    raise
            else:
                return

    async def update_heartbeat(self, job_ids: list[types.JobId]) -> None:
        await self.driver.execute(BEAT, sorted(set(job_ids)), self.worker_id)


def _columns(
    entries: Sequence[tuple[models.Job, str, models.TracebackRecord | None]],
) -> tuple[list[Any], ...]:
    return (
        [job.id for job, _, _ in entries],
        [job.queue_manager_id for job, _, _ in entries],
        [outcome for _, outcome, _ in entries],
        [trouble and trouble.model_dump_json() for _, _, trouble in entries],
    )
