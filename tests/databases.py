"""Databases for tests, each a fresh copy of one template; the next is made while a test runs."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg


def with_database(dsn: str, name: str) -> str:
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))


@asynccontextmanager
async def lasting_copy(server_dsn: str, template: str, purpose: str) -> AsyncIterator[str]:
    """The DSN of a copy of `template` that several tests look at; dropped when the block ends."""
    name = f"rewards_{purpose}_{os.getpid()}"
    admin = await asyncpg.connect(server_dsn)
    await admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    yield with_database(server_dsn, name)
    await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await admin.close()


class Copies:
    """Hands out copies of `template`. Making one takes longer than many a test."""

    def __init__(
        self, server_dsn: str, template: str, before_drop: Callable[[str], Awaitable[None]]
    ) -> None:
        self._server_dsn = server_dsn
        self._template = template
        self._before_drop = before_drop
        self._serial = itertools.count(1)
        self._next: asyncio.Task[str] | None = None
        self._drops: set[asyncio.Task[None]] = set()

    async def take(self) -> str:
        """The name of a copy that is the caller's alone."""
        mine = self._next or asyncio.create_task(self._make())
        name = await mine
        self._next = asyncio.create_task(self._make())
        return name

    def drop(self, name: str) -> None:
        """Have the copy dropped, some time soon."""
        self._spawn(self._drop(name))

    async def rest(self) -> None:
        """Wait until nothing is being made or dropped."""
        if self._next:
            await self._next
        await asyncio.gather(*self._drops)

    async def close(self) -> None:
        """Drop what was made ahead, and wait for all drops."""
        if self._next:
            self.drop(await self._next)
        await self.rest()

    async def _drop(self, name: str) -> None:
        await self._before_drop(with_database(self._server_dsn, name))
        await self._execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    async def _make(self) -> str:
        name = f"rewards_test_{os.getpid()}_{next(self._serial)}"
        # Copied as files, a small database costs less than through the server's memory and log.
        await self._execute(
            f'CREATE DATABASE "{name}" TEMPLATE "{self._template}" STRATEGY file_copy'
        )
        return name

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._drops.add(task)
        task.add_done_callback(self._drops.discard)

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self._server_dsn)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()
