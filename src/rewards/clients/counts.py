"""Where requests are counted: in this process, or in a Redis or Valkey that processes share."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import resources
from typing import Any

import structlog
from limits.aio.storage import RedisStorage
from limits.storage import storage_from_string

from rewards.clients.windows import Standing, Subject, Window

log = structlog.get_logger()

# Of one purpose. Clients are far fewer; addresses and usernames are anybody's to invent.
SUBJECTS_MAX = 100_000
# A new subject looks at this many of the oldest ones and forgets those that no longer matter.
SWEEP_STEPS = 2
# A process that dies gives its slots back after this long. No request of ours lives longer.
SLOT_LEASE_S = 30
SHARED_TIMEOUT_S = 0.5
# A burst waits its turn for these rather than opening a socket for each request.
SHARED_CONNECTIONS_MAX = 16
# After a failure this long passes before one request asks the shared store again.
AWAY_PAUSE_S = 2.0


@dataclass(frozen=True, slots=True)
class Taken:
    """The outcome of one request: let through, or not, and why not."""

    allowed: bool
    # None: as many as allowed are under way already.
    standing: Standing | None
    now_us: int


class MemoryCounts:
    """Counts of this process. No lock and no thread: every method runs to its end in one go."""

    def __init__(self) -> None:
        self._purposes: dict[str, dict[str | int, Subject]] = {}

    def take(
        self,
        purpose: str,
        key: str | int,
        windows: Sequence[Window],
        now_us: int,
        concurrent: int | None = None,
    ) -> Taken:
        """Count one request, and hold a slot when `concurrent` is given; all or nothing."""
        subjects = self._purposes.setdefault(purpose, {})
        subject = subjects.get(key)
        if subject is None:
            _sweep(subjects, now_us)
            subject = subjects[key] = Subject()
        if concurrent is not None and subject.under_way >= concurrent:
            return Taken(False, None, now_us)
        allowed, standing = subject.take(windows, now_us)
        if allowed and concurrent is not None:
            subject.under_way += 1
        return Taken(allowed, standing, now_us)

    def standing(
        self, purpose: str, key: str | int, windows: Sequence[Window], now_us: int
    ) -> tuple[list[int], int]:
        """How many count in each window now, and how many slots are held; counts nothing."""
        subject = self._purposes.get(purpose, {}).get(key)
        if subject is None:
            return [0] * len(windows), 0
        return subject.counts(windows, now_us), subject.under_way

    def give_back(self, purpose: str, key: str | int) -> None:
        """Return a slot that `take` held."""
        subject = self._purposes[purpose][key]
        assert subject.under_way > 0, "a slot is given back once"
        subject.under_way -= 1


def _sweep(subjects: dict[str | int, Subject], now_us: int) -> None:
    """Forget what is idle, a little at a time, and the oldest when there are too many."""
    for _ in range(min(SWEEP_STEPS, len(subjects))):
        key = next(iter(subjects))
        subject = subjects.pop(key)
        room = len(subjects) < SUBJECTS_MAX - 1
        if not subject.idle(now_us) and (subject.under_way or room):
            subjects[key] = subject


class SharedCountsAway(Exception):
    """The shared store does not answer; the caller counts for itself meanwhile."""


class SharedCounts:
    """Counts in Redis or Valkey through the storage of `limits`, one round trip a request.

    The library's own strategies take one window a call; ours go in one script with the slots, so
    that a refused request consumes nothing. Time is the server's, whatever the machines think.
    """

    def __init__(self, url: str, timeout_s: float = SHARED_TIMEOUT_S) -> None:
        """`redis://`, `rediss://`, `redis+sentinel://`, `redis+cluster://`, or those of Valkey.

        `timeout_s`: how long one answer may take before the store counts as away.
        """
        # Imported here: an installation without the extra has no such package.
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        storage = storage_from_string(
            "async+" + url.replace("valkey", "redis", 1),
            implementation="redispy",
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            # Trying again could count one request twice.
            retry=Retry(NoBackoff(), 0),  # type: ignore[arg-type]
        )
        assert isinstance(storage, RedisStorage)
        self._storage = storage
        bridge: Any = storage.bridge
        self._server: Any = bridge.get_connection()
        scripts = resources.files("rewards.clients")
        take, look = scripts.joinpath("take.lua"), scripts.joinpath("look.lua")
        self._script: Any = self._server.register_script(take.read_text())
        self._look: Any = self._server.register_script(look.read_text())
        base = storage.base_exceptions
        problems = base if isinstance(base, tuple) else (base,)
        self._problems: tuple[type[Exception], ...] = (*problems, OSError, TimeoutError)
        self._timeout_s = timeout_s
        self._turns = asyncio.Semaphore(SHARED_CONNECTIONS_MAX)
        self._away = False
        self._away_until_s = 0.0

    async def close(self) -> None:
        await self._server.aclose()

    @property
    def resting(self) -> bool:
        """Whether the store failed so lately that it is not asked again yet."""
        return self._away and time.monotonic() < self._away_until_s

    async def take(
        self,
        purpose: str,
        key: str | int,
        windows: Sequence[Window],
        concurrent: int | None = None,
        token: str = "",
    ) -> Taken:
        """As in memory; the slot is held under `token`, at most SLOT_LEASE_S.

        Raises SharedCountsAway.
        """
        name = _name(purpose, key)
        keys = [f"{name}:slots", f"{name}:totals", *(f"{name}:{w.per_s}" for w in windows)]
        arguments: list[int | str] = [concurrent or 0, SLOT_LEASE_S * 1_000_000, token]
        for window in windows:
            arguments += [window.amount, window.per_s * 1_000_000, window.grain_us]
        which, remaining, reset_at_us, now_us = await self._ask(self._script, keys, arguments)
        if which < 0:
            return Taken(False, None, now_us)
        standing = Standing(windows[max(0, which - 1)], remaining, reset_at_us)
        return Taken(which == 0, standing, now_us)

    async def standing(
        self, purpose: str, key: str | int, windows: Sequence[Window]
    ) -> tuple[list[int], int]:
        """As in memory. Raises SharedCountsAway."""
        name = _name(purpose, key)
        keys = [f"{name}:slots", *(f"{name}:{window.per_s}" for window in windows)]
        lengths = [window.per_s * 1_000_000 for window in windows]
        held, *counted = await self._ask(self._look, keys, lengths)
        return counted, held

    async def give_back(self, purpose: str, key: str | int, token: str) -> None:
        """Return a slot; when nobody answers, its lease returns it."""
        if self.resting:
            return
        try:
            async with self._turns, asyncio.timeout(self._timeout_s):
                await self._server.zrem(f"{_name(purpose, key)}:slots", token)
        except self._problems as problem:
            await self._went_away(problem)

    async def _ask(
        self, script: Any, keys: list[str], arguments: Sequence[int | str]
    ) -> Sequence[int]:
        async with self._turns:
            if self.resting:
                raise SharedCountsAway
            if self._away:
                # This one finds out; nobody else waits for a store that may still be away.
                self._away_until_s = time.monotonic() + AWAY_PAUSE_S
            try:
                async with asyncio.timeout(self._timeout_s):
                    answer: Sequence[int] = await script(keys=keys, args=arguments)
            except self._problems as problem:
                await self._went_away(problem)
                raise SharedCountsAway from problem
        if self._away:
            self._away = False
            log.info("shared_limits_back")
        return answer

    async def _went_away(self, problem: Exception) -> None:
        self._away_until_s = time.monotonic() + AWAY_PAUSE_S
        if not self._away:
            self._away = True
            log.warning("shared_limits_away", problem=type(problem).__name__)
        with suppress(*self._problems):
            async with asyncio.timeout(self._timeout_s):
                await self._drop_idle()

    async def _drop_idle(self) -> None:
        """What lies idle leads to a store that is gone: each would fail, a pause after another."""
        pool = getattr(self._server, "connection_pool", None)
        # A cluster has a pool for each node, and opens them again by itself.
        await (self._server.aclose() if pool is None else pool.disconnect(inuse_connections=False))


def _name(purpose: str, key: str | int) -> str:
    # The braces put all keys of a subject on one node of a cluster.
    return f"rewards:{{{purpose}:{key}}}"
