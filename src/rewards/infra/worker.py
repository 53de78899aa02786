"""The worker: takes queued jobs, queues recurring ones on time, and outlives its database."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import structlog
from pgqueuer.core import qm
from pgqueuer.domain import errors, models
from pgqueuer.domain.types import JOB_STATUS
from pgqueuer.ports.repository import EntrypointExecutionParameter

from rewards.core.errors import Unavailable
from rewards.infra import jobs, schedules
from rewards.infra.db import TROUBLE, Database
from rewards.infra.queue import LeasedQueries, PoolDriver
from rewards.infra.runner import HELD_MAX, Handler, JobDead, Observe, Role, Runner
from rewards.infra.schedules import Schedule
from rewards.infra.settings import Settings

log = structlog.get_logger()

LEASE_S = 30.0
# How often a worker looks for lost jobs. A sixth of 30 s keeps the promise of 30 s + 5 s.
LOOKS_PER_LEASE = 6
TAKE_MAX = 64
POOL_SIZE = 2
QUEUE = "queue"
TICK_S = 1.0
RECONNECT_S = 1.0
# Of the ten seconds for stopping, what is left when the jobs have had theirs.
STOP_BOOKS_S = 1.0
DRAIN_ROUND_MAX = 1_000


class JobsUnhandled(Exception):
    """Names are enqueued that this worker has no handler for: it was put together wrongly."""


class Worker:
    """Any number of them share one queue; each may be killed at any moment.

    A killed worker's jobs run elsewhere within `lease_s` and a sixth of it. `observe` is told of
    every run of a job: name, outcome (`done`, `failed`, `dead`) and seconds.
    """

    def __init__(
        self,
        dsn: str,
        settings: Settings,
        *,
        lease_s: float = LEASE_S,
        observe: Observe = lambda _name, _outcome, _took_s: None,
    ) -> None:
        self._dsn = dsn
        self._settings = settings
        self._lease = timedelta(seconds=lease_s)
        self._observe = observe
        self._roles: dict[str, Role] = {}
        self._schedules: dict[str, Schedule] = {}
        self.ready = asyncio.Event()

    def register(
        self,
        name: str,
        handler: Handler,
        *,
        batch_max: int = 32,
        calls_max: int = 1,
        timeout_s: float = 60.0,
        attempt_max: int = 10,
        running_max: int = 0,
    ) -> None:
        """Let `handler` do the jobs of this name, at most `batch_max` of them in one call.

        At most `calls_max` calls run at a time in each worker; each is cancelled after `timeout_s`.
        `running_max` bounds the jobs under way over all workers (0: no bound). A call that raises
        is repeated job by job, each later again, with doubling pauses; after `attempt_max` failures
        a job is a dead letter (`jobs.dead`). Handlers may run twice, or at two places at once.
        """
        assert name not in self._roles, f"{name} has two handlers"
        assert 1 <= batch_max <= HELD_MAX
        assert calls_max > 0
        self._roles[name] = Role(
            name, handler, batch_max, calls_max, timeout_s, attempt_max, running_max
        )

    def schedule(self, name: str, every_s: int, *, offset_s: int = 0) -> None:
        """Queue a job of this name every `every_s` seconds, counted from 1970 plus `offset_s`.

        So 1800 means on the hour and the half hour, UTC. A turn nobody was there for is made up
        once. While a turn is still queued the next one adds none.
        """
        assert name in self._roles, f"{name} has no handler"
        assert every_s > 0
        self._schedules[name] = Schedule(name, every_s, offset_s)

    def check(self) -> None:
        """Raise JobsUnhandled when something this process may enqueue has no handler."""
        missing = jobs.declared() - self._roles.keys()
        if missing:
            raise JobsUnhandled(", ".join(sorted(missing)))

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then end within ten seconds; waits out a database that is away.

        Sets `ready` when jobs are taken. Raises JobsUnhandled at once.
        """
        self.check()
        while not stop.is_set():
            try:
                async with self._database() as db:
                    await self._begin(db)
                    await self._serve(db, stop)
            except TROUBLE as problem:
                log.warning("worker_restarts", exc_info=problem)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), RECONNECT_S)

    async def tick(self, db: Database) -> list[str]:
        """Queue the recurring jobs that are due by the database's clock; returns their names."""
        async with db.transaction() as tx:
            return await schedules.tick(tx, list(self._schedules.values()))

    async def drain(self) -> int:
        """Do here and now every job that is due, and those they queue; returns how many ran.

        For tests and one-off commands. A failed job waits for its next attempt like any other.
        """
        count = 0
        async with self._database() as db:
            manager = self._manager(PoolDriver(self._dsn, db))
            for _ in range(DRAIN_ROUND_MAX):
                taken = await manager.queries.dequeue(
                    batch_size=TAKE_MAX,
                    entrypoints={
                        name: EntrypointExecutionParameter(runner.parameters.concurrency_limit)
                        for name, runner in manager.entrypoint_registry.items()
                    },
                    queue_manager_id=manager.queue_manager_id,
                    global_concurrency_limit=None,
                    heartbeat_timeout=self._lease,
                )
                if not taken:
                    break
                count += len(taken)
                await asyncio.gather(*(_do(manager, job) for job in taken))
        return count

    @contextlib.asynccontextmanager
    async def _database(self) -> AsyncIterator[Database]:
        """Connections of the queue's own: a beat never waits for a handler's transaction."""
        db = await Database.connect(self._dsn, self._settings, size=POOL_SIZE, name=QUEUE)
        try:
            yield db
        finally:
            await db.close()

    async def _begin(self, db: Database) -> None:
        async with db.transaction() as tx:
            await schedules.register(tx, list(self._schedules.values()))
            strangers = await jobs.names_besides(tx, list(self._roles))
        if strangers:
            log.warning("jobs_without_handler", names=strangers)

    def _manager(self, driver: PoolDriver) -> qm.QueueManager:
        queries = LeasedQueries.over(driver)
        manager = qm.QueueManager(queries)
        queries.worker_id = manager.queue_manager_id
        for role in self._roles.values():
            manager.register_executor(role.name, Runner.of(role, self._observe))
        return manager

    async def _serve(self, db: Database, stop: asyncio.Event) -> None:
        """One life of a queue manager: until `stop`, or until something unforeseen ends it."""
        driver = PoolDriver(self._dsn, db)
        manager = self._manager(driver)
        running = asyncio.create_task(
            manager.run(
                dequeue_timeout=self._lease / LOOKS_PER_LEASE,
                batch_size=TAKE_MAX,
                max_concurrent_tasks=HELD_MAX,
                heartbeat_timeout=self._lease,
                log_aggregation_interval=timedelta(0),
            )
        )
        ticking = asyncio.create_task(self._tick_until_cancelled(db))
        stopping = asyncio.create_task(stop.wait())
        self.ready.set()
        try:
            await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.ready.clear()
            ticking.cancel()
            stopping.cancel()
            await asyncio.wait({ticking, stopping})
            await _end(manager, driver, running)
        if running.done() and not running.cancelled():
            running.result()

    async def _tick_until_cancelled(self, db: Database) -> None:
        while True:
            try:
                await self.tick(db)
            except Unavailable:
                # The queue waits for the database too, and says so.
                pass
            except asyncpg.PostgresError as problem:
                log.warning("tick_failed", exc_info=problem)
            await asyncio.sleep(TICK_S)


async def _end(manager: qm.QueueManager, driver: PoolDriver, running: "asyncio.Task[None]") -> None:
    """Take no more jobs, let those under way end or go back, and write the books."""
    manager.shutdown.set()
    runners = [r for r in manager.entrypoint_registry.values() if isinstance(r, Runner)]
    await asyncio.gather(*(runner.stop() for runner in runners))
    _, late = await asyncio.wait({running}, timeout=STOP_BOOKS_S)
    if late:
        # The database is away, or a handler will not be cancelled: their leases will end.
        log.warning("worker_cut_off", jobs=len(manager.job_context))
        driver.shutdown.set()
        running.cancel()
        await asyncio.wait({running}, timeout=STOP_BOOKS_S)


async def _do(manager: qm.QueueManager, job: models.Job) -> None:
    """One job outside the library's loop, with the same ends."""
    runner = manager.entrypoint_registry[job.entrypoint]
    assert isinstance(runner, Runner)
    outcome: JOB_STATUS = "successful"
    record = None
    try:
        await runner.serve(job)
    except errors.RetryRequested as again:
        record = models.TracebackRecord.from_exception(again, job.id)
        await manager.queries.retry_job(job, again.delay, record)
        return
    except JobDead as dead:
        outcome = "failed"
        record = models.TracebackRecord.from_exception(dead, job.id)
    await manager.queries.log_jobs([(job, outcome, record)])
