"""A worker in a process of its own, for tests that kill it: python worker_process.py DSN LEASE_S.

`test.slow` writes that it began, sleeps as long as its payload says, and writes that it ended.
`test.book` adds a row for its id, once, in one transaction.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rewards.infra import jobs
from rewards.infra.db import Database
from rewards.infra.settings import Settings
from rewards.infra.worker import Worker

TABLES = """
CREATE TABLE runs (
    n bigint, phase text, pid int, at timestamptz DEFAULT clock_timestamp()
);
CREATE TABLE booked (n bigint PRIMARY KEY, times int NOT NULL)
"""
SLOW, BOOK = "test.slow", "test.book"


async def note(db: Database, n: int, phase: str) -> None:
    async with db.connection() as connection:
        await connection.execute(
            "INSERT INTO runs (n, phase, pid) VALUES ($1, $2, $3)", n, phase, os.getpid()
        )


def equip(worker: Worker, db: Database) -> None:
    async def slow(payloads: Sequence[Mapping[str, Any]]) -> None:
        for payload in payloads:
            await note(db, payload["n"], "began")
            await asyncio.sleep(payload["for_s"])
            await note(db, payload["n"], "ended")

    async def book(payloads: Sequence[Mapping[str, Any]]) -> None:
        async with db.transaction() as tx:
            await tx.execute(
                "INSERT INTO booked SELECT n, 1 FROM unnest($1::bigint[]) AS n"
                " ON CONFLICT (n) DO UPDATE SET times = booked.times + 1",
                sorted(payload["n"] for payload in payloads),
            )

    for name in (SLOW, BOOK):
        jobs.declare(name)
    worker.register(SLOW, slow, timeout_s=120)
    worker.register(BOOK, book, batch_max=20)


async def main(dsn: str, lease_s: float) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    settings = Settings()
    db = await Database.connect(dsn, settings, size=2)
    worker = Worker(dsn, settings, lease_s=lease_s)
    equip(worker, db)
    running = asyncio.create_task(worker.run(stop))
    await worker.ready.wait()
    print("ready", flush=True)
    await running
    await db.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2])))
