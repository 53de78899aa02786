"""Wakes those who wait for the next event of a client: one look for all of a process."""

import asyncio
from collections import Counter, defaultdict
from contextlib import suppress

import asyncpg

from rewards.core.errors import TooManyRequests, Unavailable
from rewards.infra.db import Database
from rewards.webhooks import sql_feed

LOOK_EVERY_S = 0.2
# Requests that wait in one process, and those of one client among them.
WAITING_MAX = 1_000
WAITING_OF_CLIENT_MAX = 10
RETRY_AFTER_S = 1


class Waiting:
    """One a process. Who waits holds no connection; nobody looks while nobody waits."""

    def __init__(
        self, db: Database, *, most: int = WAITING_MAX, most_of_client: int = WAITING_OF_CLIENT_MAX
    ) -> None:
        self._db = db
        self._most = most
        self._most_of_client = most_of_client
        self._asleep: defaultdict[int, set[asyncio.Future[None]]] = defaultdict(set)
        self._above: dict[asyncio.Future[None], int] = {}
        self._places: Counter[int] = Counter()
        self._looking: asyncio.Task[None] | None = None
        self.closed = False

    def place(self, client_id: int) -> "Place":
        """`with waiting.place(client_id) as place:` around a request that may wait.

        Raises TooManyRequests when too many do already.
        """
        if self._places.total() >= self._most or self._places[client_id] >= self._most_of_client:
            raise TooManyRequests(
                details={"waiting": self._most_of_client},
                headers={"Retry-After": str(RETRY_AFTER_S)},
            )
        return Place(self, client_id)

    def close(self) -> None:
        """Wake everybody, and let nobody wait any more: this process is about to end."""
        self.closed = True
        for sleeper in list(self._above):
            _wake(sleeper)

    async def sleep(self, client_id: int, after: int, timeout_s: float) -> None:
        """Return when the client has an event above `after`, when time is up, or at the close."""
        if self.closed or timeout_s <= 0:
            return
        sleeper: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asleep[client_id].add(sleeper)
        self._above[sleeper] = after
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_on())
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(sleeper, timeout_s)
        finally:
            del self._above[sleeper]
            self._asleep[client_id].discard(sleeper)
            if not self._asleep[client_id]:
                del self._asleep[client_id]

    async def _look_on(self) -> None:
        while self._above:
            # While the database is away nobody is woken; their own next read says so.
            with suppress(Unavailable, asyncpg.PostgresError):
                await self._look()
            await asyncio.sleep(LOOK_EVERY_S)

    async def _look(self) -> None:
        async with self._db.connection() as connection:
            told = await sql_feed.last(connection, list(self._asleep))
        for client_id, last in told.items():
            for sleeper in self._asleep.get(client_id, ()):
                if last > self._above[sleeper]:
                    _wake(sleeper)

    def take(self, client_id: int) -> None:
        self._places[client_id] += 1

    def give_back(self, client_id: int) -> None:
        self._places[client_id] -= 1
        if not self._places[client_id]:
            del self._places[client_id]


class Place:
    """One request's place among those that wait; see `Waiting.place`."""

    __slots__ = ("_client_id", "_waiting")

    def __init__(self, waiting: Waiting, client_id: int) -> None:
        self._waiting = waiting
        self._client_id = client_id

    def __enter__(self) -> "Place":
        self._waiting.take(self._client_id)
        return self

    def __exit__(self, *_problem: object) -> None:
        self._waiting.give_back(self._client_id)

    async def sleep(self, after: int, timeout_s: float) -> None:
        await self._waiting.sleep(self._client_id, after, timeout_s)


def _wake(sleeper: "asyncio.Future[None]") -> None:
    if not sleeper.done():
        sleeper.set_result(None)
