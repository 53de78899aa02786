"""The database: one pool, one way to run a transaction, bounded retries of what was undone."""

import asyncio
import json
import random
import weakref
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias, TypeVar

import asyncpg

from rewards.core.errors import Unavailable
from rewards.infra.metrics import Gauge, looks
from rewards.infra.settings import Settings

Result = TypeVar("Result")
Record: TypeAlias = asyncpg.Record

ATTEMPT_MAX = 3
ACQUIRE_TIMEOUT_S = 2.0
CLOSE_TIMEOUT_S = 1.0
# Serialization failure, deadlock: the transaction was undone and may simply run again.
RETRYABLE = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
# The server is gone, full, or busy beyond its patience. Nothing was done, unless it went away while
# it committed; a caller's Idempotency-Key tells.
AWAY = (
    asyncpg.PostgresConnectionError,
    # Shut down, crashed or starting; a statement that took too long.
    asyncpg.OperatorInterventionError,
    # Out of connections, disk or memory.
    asyncpg.InsufficientResourcesError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.TransactionTimeoutError,
    # A standby that is not promoted yet.
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InterfaceError,
    # What the driver says when the server's farewell has arrived but the socket's end has not.
    asyncpg.InternalClientError,
    ConnectionError,
    FileNotFoundError,
    TimeoutError,
)
# What whoever works on and on waits out, and then goes on.
TROUBLE = (Unavailable, asyncpg.PostgresError, *AWAY)


MAIN = "main"
CONNECTIONS = Gauge("db_connections", "Connections to the database.", "pool", "state")
WAITING = Gauge("db_waiting", "Callers that wait for a connection.", "pool")


class Tx(asyncpg.Connection):
    """A connection inside a transaction; what every `sql.py` function takes."""

    def get_reset_query(self) -> str:
        # The default costs a round trip at every release. We never SET, LISTEN or take session
        # locks on pooled connections (tests/test_tidy.py looks), so there is nothing to reset.
        return ""


async def _prepare(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec(
        "jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog"
    )


class Database:
    """A pool of connections. `name` says whose it is, where several are counted."""

    def __init__(self, pool: asyncpg.Pool, name: str = MAIN) -> None:
        self._pool = pool
        self.name = name
        # Who has a connection, or waits for one.
        self._askers = 0
        _OPEN.add(self)

    @classmethod
    async def connect(
        cls, dsn: str, settings: Settings, *, size: int | None = None, name: str = MAIN
    ) -> "Database":
        """Open the pool. Raises what asyncpg raises when nobody answers."""
        pool = await asyncpg.create_pool(
            dsn,
            min_size=1,
            max_size=size or settings.pool_size,
            connection_class=Tx,
            init=_prepare,
            command_timeout=settings.statement_timeout_s,
            timeout=ACQUIRE_TIMEOUT_S,
            max_inactive_connection_lifetime=300,
            server_settings={
                "application_name": "rewards",
                "timezone": "UTC",
                "lock_timeout": str(int(settings.lock_timeout_s * 1000)),
                "idle_in_transaction_session_timeout": "10000",
                "jit": "off",
                # What we touch is in memory: look it up by index. The default reads small tables
                # whole, which made a lone posting 25 % slower.
                "random_page_cost": "1.1",
            },
        )
        return cls(pool, name)

    async def close(self) -> None:
        _OPEN.discard(self)
        try:
            await asyncio.wait_for(self._pool.close(), CLOSE_TIMEOUT_S)
        except TimeoutError:
            self._pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Tx]:
        """A connection outside any transaction: reads of one statement."""
        self._askers += 1
        try:
            # Giving it back may find the server gone too.
            async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
                yield connection  # type: ignore[misc]
        except AWAY as away:
            raise Unavailable from away
        finally:
            self._askers -= 1

    def load(self) -> tuple[int, int, int]:
        """How many of its connections are in use, how many idle, and how many callers wait."""
        idle = self._pool.get_idle_size()
        in_use = self._pool.get_size() - idle
        return in_use, idle, max(self._askers - in_use, 0)

    async def ping(self) -> None:
        """One round trip. Raises Unavailable when nobody answers."""
        async with self.connection() as connection:
            await connection.execute("SELECT 1")

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        """One unit of work: commits when the block ends, rolls back when it raises."""
        async with self.connection() as connection, connection.transaction():
            try:
                yield connection
            except TimeoutError:
                # Who left a statement unanswered would let us wait as long for the rollback.
                connection.terminate()
                raise

    async def run(self, work: Callable[[Tx], Awaitable[Result]]) -> Result:
        """Run `work` in a transaction, again if PostgreSQL undid it, at most ATTEMPT_MAX times."""
        for attempt in range(ATTEMPT_MAX):
            try:
                async with self.transaction() as tx:
                    return await work(tx)
            except RETRYABLE:
                if attempt == ATTEMPT_MAX - 1:
                    raise
                await asyncio.sleep(random.uniform(0, 0.02 * 2**attempt))  # noqa: S311
        raise AssertionError("unreachable")


_OPEN: "weakref.WeakSet[Database]" = weakref.WeakSet()


@looks
def _count_connections() -> None:
    found: defaultdict[tuple[str, ...], int] = defaultdict(int)
    waiting: defaultdict[tuple[str, ...], int] = defaultdict(int)
    for database in _OPEN:
        in_use, idle, waits = database.load()
        found[database.name, "in_use"] += in_use
        found[database.name, "idle"] += idle
        waiting[database.name,] += waits
    CONNECTIONS.replace(found)
    WAITING.replace(waiting)


def rows_affected(status: Any) -> int:
    """The count at the end of a command tag such as `UPDATE 3`."""
    return int(str(status).rsplit(" ", 1)[-1])
