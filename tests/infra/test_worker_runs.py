"""A worker's daily life: batches, failures, dead letters, recurring jobs, stopping."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import pytest

from rewards.core.errors import Unavailable
from rewards.infra import jobs, runner
from rewards.infra.db import Database
from rewards.infra.jobs import JobAsk
from rewards.infra.runner import BACKOFF_MAX_S, backoff_s
from rewards.infra.settings import Settings
from rewards.infra.worker import JobsUnhandled, Worker

pytestmark = pytest.mark.usefixtures("names")
Payloads = Sequence[Mapping[str, Any]]


async def enqueue(db: Database, *asks: JobAsk) -> None:
    async with db.transaction() as tx:
        await jobs.enqueue(tx, asks)


async def left(db: Database) -> int:
    async with db.connection() as connection:
        return int(await connection.fetchval("SELECT count(*) FROM pgqueuer"))


async def until(condition: Callable[[], bool], limit_s: float = 10) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def running(worker: Worker) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(worker.run(stop))
    await asyncio.wait_for(worker.ready.wait(), 10)
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, 12)


class Calls:
    """A handler that remembers its batches and fails by a rule."""

    def __init__(self, fails: Callable[[Mapping[str, Any]], bool] = lambda _: False) -> None:
        self.batches: list[list[int]] = []
        self._fails = fails

    async def __call__(self, payloads: Payloads) -> None:
        self.batches.append([payload["n"] for payload in payloads])
        if any(self._fails(payload) for payload in payloads):
            raise ValueError("secret-4711")

    @property
    def seen(self) -> set[int]:
        return {n for batch in self.batches for n in batch}


def build(dsn: str, settings: Settings, handler: Any, **how: Any) -> Worker:
    worker = Worker(dsn, settings)
    worker.register("test.a", handler, **how)
    worker.register("test.b", Calls())
    return worker


async def test_jobs_are_done_at_once_in_batches_and_leave_the_queue(
    db: Database, dsn: str, settings: Settings
) -> None:
    calls = Calls()
    async with running(build(dsn, settings, calls, batch_max=10)):
        await asyncio.sleep(0.3)
        began_s = time.monotonic()
        await enqueue(db, JobAsk("test.a", {"n": 0}))
        await until(lambda: calls.seen == {0})
        # By NOTIFY; polling alone would take up to five seconds.
        assert time.monotonic() - began_s < 2
        await enqueue(db, *(JobAsk("test.a", {"n": n}) for n in range(1, 101)))
        await until(lambda: len(calls.seen) == 101)
    assert max(len(batch) for batch in calls.batches) == 10
    assert await left(db) == 0


async def test_draining_does_what_is_due_and_what_that_queues(
    db: Database, dsn: str, settings: Settings
) -> None:
    async def split(payloads: Payloads) -> None:
        smaller = [JobAsk("test.a", {"n": p["n"] - 1}) for p in payloads if p["n"] > 0]
        await enqueue(db, *smaller)

    await enqueue(db, JobAsk("test.a", {"n": 3}), JobAsk("test.a", {"n": 3}))
    assert await build(dsn, settings, split).drain() == 8
    assert await left(db) == 0


async def test_a_failing_job_waits_and_its_neighbours_are_done(
    db: Database, dsn: str, settings: Settings
) -> None:
    seen: list[tuple[str, str]] = []
    calls = Calls(lambda payload: payload["n"] == 3)
    worker = Worker(dsn, settings, observe=lambda name, what, _: seen.append((name, what)))
    worker.register("test.a", calls, attempt_max=3)
    worker.register("test.b", Calls())
    await enqueue(db, *(JobAsk("test.a", {"n": n}) for n in range(6)))
    assert await worker.drain() == 6
    assert calls.batches == [[0, 1, 2, 3, 4, 5], [0], [1], [2], [3], [4], [5]]
    assert sorted(seen) == [("test.a", "done")] * 5 + [("test.a", "failed")]
    async with db.connection() as connection:
        row = await connection.fetchrow(
            "SELECT status, attempts, queue_manager_id,"
            " extract(epoch FROM execute_after - now())::float8 AS wait_s FROM pgqueuer"
        )
    assert row is not None
    assert (row["status"], row["attempts"], row["queue_manager_id"]) == ("queued", 1, None)
    assert 0.3 < row["wait_s"] < 1.3


async def test_a_job_that_never_succeeds_is_a_dead_letter_with_a_reason(
    db: Database, dsn: str, settings: Settings
) -> None:
    worker = build(dsn, settings, Calls(lambda _: True), attempt_max=3)
    await enqueue(db, JobAsk("test.a", {"n": 7}, dedupe_key="7"))
    for _ in range(3):
        assert await worker.drain() == 1
        async with db.transaction() as tx:
            await tx.execute("UPDATE pgqueuer SET execute_after = now() - interval '1 s'")
    assert await worker.drain() == 0
    async with db.transaction() as tx:
        [letter] = await jobs.dead(tx)
        assert (letter.name, letter.payload, letter.attempts) == ("test.a", {"n": 7}, 3)
        assert letter.reason == "ValueError"
        books = str(await tx.fetch("SELECT * FROM pgqueuer_log"))
        assert "secret-4711" not in books
        assert await jobs.revive(tx, [letter.job_id]) == [True]
    assert await worker.drain() == 1


async def test_an_outage_costs_a_job_no_attempt(db: Database, dsn: str, settings: Settings) -> None:
    async def away(_payloads: Payloads) -> None:
        raise Unavailable

    worker = build(dsn, settings, away, attempt_max=1)
    await enqueue(db, JobAsk("test.a", {"n": 1}))
    assert await worker.drain() == 1
    async with db.connection() as connection:
        row = await connection.fetchrow("SELECT status, attempts FROM pgqueuer")
    assert row is not None
    assert (row["status"], row["attempts"]) == ("queued", 0)


async def test_a_handler_is_cancelled_after_its_time(
    db: Database, dsn: str, settings: Settings
) -> None:
    ended = []

    async def slow(_payloads: Payloads) -> None:
        try:
            await asyncio.sleep(30)
        finally:
            ended.append(True)

    worker = build(dsn, settings, slow, timeout_s=0.05, attempt_max=1)
    await enqueue(db, JobAsk("test.a", {"n": 1}))
    assert await worker.drain() == 1
    assert ended == [True]
    async with db.transaction() as tx:
        [letter] = await jobs.dead(tx)
    assert letter.reason == "rewards.infra.runner.JobTimedOut"


async def test_calls_beside_each_other_do_not_wait_for_a_slow_one(
    db: Database, dsn: str, settings: Settings
) -> None:
    """But no more than so many at a time."""
    slow, under_way, most = asyncio.Event(), set[int](), 0
    done: list[int] = []

    async def handler(payloads: Payloads) -> None:
        nonlocal most
        [payload] = payloads
        under_way.add(payload["n"])
        most = max(most, len(under_way))
        await (slow.wait() if payload["n"] < 2 else asyncio.sleep(0.01))
        under_way.discard(payload["n"])
        done.append(payload["n"])

    async with running(build(dsn, settings, handler, batch_max=1, calls_max=3)):
        await enqueue(db, *(JobAsk("test.a", {"n": n}) for n in range(12)))
        await until(lambda: sorted(done) == list(range(2, 12)))
        assert (under_way, most) == ({0, 1}, 3)
        slow.set()
        await until(lambda: len(done) == 12)
    assert await left(db) == 0


async def test_a_failed_job_gives_way_to_its_queued_twin(
    db: Database, dsn: str, settings: Settings
) -> None:
    async def fail(payloads: Payloads) -> None:
        if payloads[0]["n"] == 1:
            await enqueue(db, JobAsk("test.a", {"n": 2}, dedupe_key="k"))
            raise ValueError

    worker = build(dsn, settings, fail)
    await enqueue(db, JobAsk("test.a", {"n": 1}, dedupe_key="k"))
    assert await worker.drain() == 2
    assert await left(db) == 0
    async with db.connection() as connection:
        rows = await connection.fetch("SELECT status FROM pgqueuer_log ORDER BY id")
    assert [row["status"] for row in rows] == ["picked", "deleted", "picked", "successful"]


async def test_a_bound_over_all_workers_is_kept(db: Database, dsn: str, settings: Settings) -> None:
    now, most = 0, 0

    async def one_at_a_time(payloads: Payloads) -> None:
        nonlocal now, most
        assert len(payloads) == 1
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.02)
        now -= 1

    await enqueue(db, *(JobAsk("test.a", {"n": n}) for n in range(8)))
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(3):
            worker = build(dsn, settings, one_at_a_time, running_max=1)
            await stack.enter_async_context(running(worker))
        async with asyncio.timeout(15):
            while await left(db):
                await asyncio.sleep(0.05)
    assert most == 1


async def test_a_recurring_job_runs_in_a_worker(db: Database, dsn: str, settings: Settings) -> None:
    turns: list[float] = []

    async def turn(_payloads: Payloads) -> None:
        turns.append(time.monotonic())

    workers = [build(dsn, settings, turn) for _ in range(2)]
    async with contextlib.AsyncExitStack() as stack:
        for worker in workers:
            worker.schedule("test.a", 2)
            await stack.enter_async_context(running(worker))
        await until(lambda: len(turns) >= 2)
    assert turns[1] - turns[0] > 0.9


async def test_a_worker_without_a_handler_for_a_declared_name_does_not_start(
    dsn: str, settings: Settings
) -> None:
    jobs.declare("test.c")
    worker = build(dsn, settings, Calls())
    with pytest.raises(JobsUnhandled, match=r"test\.c"):
        await worker.run(asyncio.Event())


async def test_stopping_lets_jobs_end(db: Database, dsn: str, settings: Settings) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def brief(_payloads: Payloads) -> None:
        began.set()
        await asyncio.sleep(0.5)
        ended.set()

    async with running(build(dsn, settings, brief)):
        await enqueue(db, JobAsk("test.a", {"n": 1}))
        await asyncio.wait_for(began.wait(), 8)
    assert ended.is_set()
    assert await left(db) == 0


async def test_stopping_gives_back_what_does_not_end_in_time(
    db: Database, dsn: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "STOP_GRACE_S", 0.2)
    began = asyncio.Event()

    async def endless(_payloads: Payloads) -> None:
        began.set()
        await asyncio.sleep(60)

    async with running(build(dsn, settings, endless, batch_max=2)):
        await enqueue(db, *(JobAsk("test.a", {"n": n}) for n in range(5)))
        await asyncio.wait_for(began.wait(), 8)
        began_s = time.monotonic()
    assert time.monotonic() - began_s < 3
    async with db.connection() as connection:
        rows = await connection.fetch(
            "SELECT status, attempts, queue_manager_id, execute_after <= now() AS due FROM pgqueuer"
        )
    # Free for the next worker at once, not at the end of a lease, and nothing is held against them.
    assert [tuple(row) for row in rows] == [("queued", 0, None, True)] * 5


async def test_a_cancelled_worker_loses_no_job(
    db: Database, dsn: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PgQueuer deletes a job whose task was cancelled; here it stays."""
    monkeypatch.setattr(runner, "STOP_GRACE_S", 0.2)
    began = asyncio.Event()

    async def endless(_payloads: Payloads) -> None:
        began.set()
        await asyncio.sleep(60)

    task = asyncio.create_task(build(dsn, settings, endless).run(asyncio.Event()))
    await enqueue(db, JobAsk("test.a", {"n": 1}))
    await asyncio.wait_for(began.wait(), 8)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.wait_for(task, 15)
    assert await left(db) == 1


async def test_with_a_lost_lease_a_worker_cannot_end_the_job(
    db: Database, dsn: str, settings: Settings
) -> None:
    """Its successor holds it now: neither success nor failure of the first one counts."""

    async def robbed(payloads: Payloads) -> None:
        async with db.transaction() as tx:
            await tx.execute("UPDATE pgqueuer SET queue_manager_id = gen_random_uuid()")
        if payloads[0]["n"] == 2:
            raise ValueError

    worker = build(dsn, settings, robbed)
    for n in (1, 2):
        await enqueue(db, JobAsk("test.a", {"n": n}))
        assert await worker.drain() == 1
        async with db.transaction() as tx:
            row = await tx.fetchrow("DELETE FROM pgqueuer RETURNING status, attempts")
        assert row is not None
        assert (row["status"], row["attempts"]) == ("picked", 0)


async def test_the_worker_outlives_its_connections(
    db: Database, dsn: str, settings: Settings
) -> None:
    calls = Calls()
    async with running(build(dsn, settings, calls)):
        await asyncio.sleep(0.3)
        for n in range(3):
            async with db.connection() as connection:
                await connection.fetch(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            await enqueue(db, JobAsk("test.a", {"n": n}))
            await until(lambda n=n: n in calls.seen, 8)
    assert await left(db) == 0


def test_pauses_double_up_to_a_bound() -> None:
    for attempt, base in ((1, 1), (2, 2), (5, 16), (30, BACKOFF_MAX_S)):
        assert all(0.8 * base <= backoff_s(attempt) <= 1.2 * base for _ in range(50))
