"""The worker as a process: it says when it is ready, forgets what is old, and obeys SIGTERM."""

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from rewards.core.clock import SystemClock
from rewards.entry.equipment import RETENTION, Context, retention
from rewards.entry.worker import work
from rewards.infra import jobs
from rewards.infra.crypto import Vault
from rewards.infra.db import Database
from rewards.infra.jobs import JobAsk
from rewards.infra.settings import Settings
from rewards.infra.worker import JobsUnhandled, Worker

SOURCE = Path(__file__).parents[2] / "src"


async def test_it_is_ready_in_a_moment_and_stops_when_told(
    dsn: str, db: Database, tmp_path: Path
) -> None:
    # The master key is there, as where an API was started before.
    await Vault.open_database(db, Settings(home=tmp_path))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "rewards.entry.worker"),
        env={
            **os.environ,
            "PYTHONPATH": str(SOURCE),
            "REWARDS_DATABASE_URL": dsn,
            "REWARDS_HOME": str(tmp_path),
        },
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    line = json.loads(await asyncio.wait_for(process.stderr.readline(), 20))
    assert line["event"] == "worker_ready"
    began_s = time.monotonic()
    process.send_signal(signal.SIGTERM)
    rest = await asyncio.wait_for(process.stderr.read(), 10)
    assert await process.wait() == 0
    assert time.monotonic() - began_s < 5
    assert [json.loads(line)["event"] for line in rest.splitlines()] == ["worker_stopped"]


async def test_what_is_old_is_forgotten(
    db: Database, dsn: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "_declared", {RETENTION})
    async with db.transaction() as tx:
        await tx.execute(
            "INSERT INTO pgqueuer_log (created, job_id, status, priority, entrypoint)"
            " SELECT now() - n * interval '1 day', n, 'successful', 0, 'x'"
            " FROM generate_series(1, 20) AS n"
        )
        await tx.execute(
            "INSERT INTO idempotency_keys (client_id, route, key, fingerprint, answer, created_at)"
            " SELECT 1, 'r', n::text, '', '{}', now() - n * interval '1 day'"
            " FROM generate_series(25, 35) AS n"
        )
        await jobs.enqueue(tx, [JobAsk(RETENTION)])
    worker = Worker(dsn, settings)
    retention(worker, Context(settings, dsn, db, SystemClock()))
    assert await worker.drain() == 1
    async with db.connection() as connection:
        assert (
            await connection.fetchval("SELECT max(job_id) FROM pgqueuer_log WHERE job_id < 90") <= 7
        )
        assert await connection.fetchval("SELECT max(key::int) FROM idempotency_keys") <= 30


async def test_it_refuses_to_start_half_equipped(
    db: Database, dsn: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "_declared", {"orders.fill"})
    with pytest.raises(JobsUnhandled, match=r"orders\.fill"):
        await work(Context(settings, dsn, db, SystemClock()), asyncio.Event(), [])
