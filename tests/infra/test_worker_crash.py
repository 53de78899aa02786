"""Workers that are killed, frozen or stopped: their jobs run elsewhere, and none is lost."""

import asyncio
import contextlib
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from worker_process import BOOK, SLOW, TABLES

from rewards.infra import jobs
from rewards.infra.db import Database
from rewards.infra.jobs import JobAsk

SCRIPT = Path(__file__).with_name("worker_process.py")
SOURCE = Path(__file__).parents[2] / "src"
LEASE_S = 2.0


@pytest.fixture
async def tables(db: Database, names: None) -> None:
    jobs.declare(SLOW)
    jobs.declare(BOOK)
    async with db.transaction() as tx:
        await tx.execute(TABLES)


class Process:
    """One worker process; `pid` is known once it takes jobs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid

    @classmethod
    async def start(cls, dsn: str, lease_s: float = LEASE_S) -> "Process":
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(SCRIPT), dsn, str(lease_s)),
            env={**os.environ, "PYTHONPATH": str(SOURCE)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 20) == b"ready\n"
        return cls(process)

    async def end(self, number: int) -> float:
        """Send the signal; seconds until the process is gone."""
        began_s = time.monotonic()
        if self._process.returncode is None:
            self._process.send_signal(number)
        await asyncio.wait_for(self._process.wait(), 15)
        return time.monotonic() - began_s

    def send(self, number: int) -> None:
        self._process.send_signal(number)


@contextlib.asynccontextmanager
async def worker(dsn: str, lease_s: float = LEASE_S) -> AsyncIterator[Process]:
    process = await Process.start(dsn, lease_s)
    try:
        yield process
    finally:
        await process.end(signal.SIGKILL)


async def ask(db: Database, name: str, payloads: list[dict[str, Any]]) -> None:
    async with db.transaction() as tx:
        await jobs.enqueue(tx, [JobAsk(name, payload) for payload in payloads])


async def value(db: Database, query: str) -> Any:
    async with db.connection() as connection:
        return await connection.fetchval(query)


async def until(condition: Callable[[], Awaitable[bool]], limit_s: float) -> float:
    began_s = time.monotonic()
    async with asyncio.timeout(limit_s):
        while not await condition():
            await asyncio.sleep(0.02)
    return time.monotonic() - began_s


# For what must happen, however busy the machine is.
PATIENCE_S = 60.0
RUNS = "SELECT string_agg(phase, ' ' ORDER BY at) FROM runs"
FROM_TWO = "SELECT count(DISTINCT pid) FROM runs"


async def runs(db: Database, expected: str, limit_s: float) -> float:
    # More may have come since: nobody looks as often as the phases change.
    async def reached() -> bool:
        return str(await value(db, RUNS)).startswith(expected)

    return await until(reached, limit_s)


async def killed_in_the_middle(db: Database, dsn: str, lease_s: float) -> float:
    """Kill -9 a worker in the middle of a job; seconds until another one has begun it again."""
    async with worker(dsn, lease_s) as first, worker(dsn, lease_s) as second:
        # Stands by and takes nothing: starting it later could take as long as the job.
        second.send(signal.SIGSTOP)
        await ask(db, SLOW, [{"n": 1, "for_s": 3.0}])
        await runs(db, "began", PATIENCE_S)
        await first.end(signal.SIGKILL)
        second.send(signal.SIGCONT)
        took_s = await runs(db, "began began", lease_s + PATIENCE_S)
        await runs(db, "began began ended", PATIENCE_S)

        async def empty() -> bool:
            return bool(await value(db, "SELECT count(*) = 0 FROM pgqueuer"))

        await until(empty, PATIENCE_S)
    assert await value(db, FROM_TWO) == 2
    return took_s


async def test_a_killed_workers_job_runs_elsewhere(db: Database, dsn: str, tables: None) -> None:
    # How long it may take is asked of the real lease only: a busy machine is late by seconds.
    await killed_in_the_middle(db, dsn, LEASE_S)


@pytest.mark.long
async def test_with_the_real_lease_it_is_thirty_five_seconds(
    db: Database, dsn: str, tables: None
) -> None:
    assert await killed_in_the_middle(db, dsn, 30.0) <= 35


async def test_a_job_longer_than_its_lease_runs_once(db: Database, dsn: str, tables: None) -> None:
    async with worker(dsn), worker(dsn):
        await ask(db, SLOW, [{"n": 1, "for_s": LEASE_S * 3}])
        await runs(db, "began ended", PATIENCE_S)
        await asyncio.sleep(LEASE_S)
    assert await value(db, RUNS) == "began ended"


async def test_a_frozen_worker_that_wakes_does_not_end_its_successors_job(
    db: Database, dsn: str, tables: None
) -> None:
    async with worker(dsn) as frozen:
        await ask(db, SLOW, [{"n": 1, "for_s": 5.0}])
        await runs(db, "began", PATIENCE_S)
        frozen.send(signal.SIGSTOP)
        async with worker(dsn) as successor:
            await runs(db, "began began", PATIENCE_S)
            frozen.send(signal.SIGCONT)
            await runs(db, "began began ended", PATIENCE_S)
            await asyncio.sleep(0.5)
            assert (
                await value(db, "SELECT pid FROM runs WHERE phase = 'ended' ORDER BY at LIMIT 1")
                == frozen.pid
            )
            assert await value(db, "SELECT status::text FROM pgqueuer") == "picked"
            await runs(db, "began began ended ended", PATIENCE_S)

            async def empty() -> bool:
                return bool(await value(db, "SELECT count(*) = 0 FROM pgqueuer"))

            await until(empty, PATIENCE_S)
            assert successor.pid != frozen.pid
    assert await value(db, "SELECT count(*) FROM pgqueuer_log WHERE status = 'successful'") == 1


async def test_no_job_is_lost_while_workers_are_killed(
    db: Database, dsn: str, tables: None
) -> None:
    """Jobs keep coming while one of two workers dies again and again."""
    chance, count, kills = random.Random(17), 600, 5
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(worker(dsn))
        for turn in range(kills):
            victim = await stack.enter_async_context(worker(dsn))
            first = turn * count // kills
            for n in range(first, first + count // kills, 20):
                await ask(db, BOOK, [{"n": number} for number in range(n, n + 20)])
                await asyncio.sleep(chance.uniform(0, 0.02))
            await victim.end(signal.SIGKILL)

        async def all_done() -> bool:
            return bool(await value(db, "SELECT count(*) = 0 FROM pgqueuer"))

        await until(all_done, LEASE_S * 2 + 10)
    assert await value(db, "SELECT count(*) FROM booked") == count
    assert await value(db, "SELECT count(*) FROM pgqueuer") == 0


async def test_sigterm_ends_a_worker_within_ten_seconds(
    db: Database, dsn: str, tables: None
) -> None:
    async with worker(dsn) as idle, worker(dsn) as busy:
        assert await idle.end(signal.SIGTERM) < 3
        await ask(db, SLOW, [{"n": 1, "for_s": 60}])
        await runs(db, "began", PATIENCE_S)
        assert await busy.end(signal.SIGTERM) <= 10
    # Given back at once: the next worker need not wait for the lease.
    assert await value(db, "SELECT status = 'queued' AND execute_after <= now() FROM pgqueuer")
