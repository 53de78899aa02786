"""Imports of stock files that go on after their request was answered."""

import asyncio
from typing import BinaryIO

import structlog

from rewards.core.clock import Clock
from rewards.core.errors import Unavailable
from rewards.infra.crypto import Vault
from rewards.infra.db import Database
from rewards.inventory import service as inventory
from rewards.inventory.model import Batch, Products

log = structlog.get_logger()

# Each reads and stores chunks side by side; more of them would only take turns.
RUNNING_MAX = 4
GRACE_S = 5.0


class Imports:
    """One a process: runs imports, and does not let them die with their request."""

    def __init__(self, db: Database, vault: Vault, products: Products, clock: Clock) -> None:
        self._db = db
        self._vault = vault
        self._products = products
        self._clock = clock
        self._running: set[asyncio.Task[Batch]] = set()

    def check_room(self) -> None:
        """Raises Unavailable while this process runs as many imports as it may."""
        if len(self._running) >= RUNNING_MAX:
            raise Unavailable("Too many imports are running, please retry", retry_after_s=30)

    def start(self, batch_id: int, file: BinaryIO) -> "asyncio.Future[Batch]":
        """Import `file` into the open batch and close it; the batch as it ends.

        Whoever waits for the answer may go away: the import goes on. If the process is killed the
        batch is given up by a sweeper, and the same file imported again loads the rest.
        """
        task = asyncio.create_task(self._run(batch_id, file))
        self._running.add(task)
        task.add_done_callback(self._ended)
        return asyncio.shield(task)

    async def _run(self, batch_id: int, file: BinaryIO) -> Batch:
        with file:
            return await inventory.run_import(
                self._db, self._vault, self._products, self._clock, batch_id, file
            )

    def _ended(self, task: asyncio.Task[Batch]) -> None:
        self._running.discard(task)
        # Retrieved, or nobody may ever: a problem is one log line here, not a warning at exit.
        if not task.cancelled() and (problem := task.exception()) is not None:
            log.error("import_failed", problem=type(problem).__name__)

    async def close(self, grace_s: float = GRACE_S) -> None:
        """Give what runs a moment to end, then stop it; its batch is FAILED and can be repeated."""
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=grace_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
