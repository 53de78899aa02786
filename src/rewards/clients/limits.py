"""How often somebody may do something: orders of a client, logins of an address or user.

Limits are moving windows: at most N in any 60 seconds, not N between two full minutes. They are
counted in this process, or, with `redis_url`, in a store that all processes share. When that store
does not answer, each process counts for itself until it does (docs/adr/0004): orders go on, and
nobody gets more than his limit times the number of processes.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType
from typing import Any, TypeVar

from rewards.clients.counts import MemoryCounts, SharedCounts, SharedCountsAway, Taken
from rewards.clients.model import Limits, Principal
from rewards.clients.windows import Window
from rewards.core import ids
from rewards.core.clock import Clock
from rewards.core.errors import TooManyRequests
from rewards.infra.settings import Settings

Result = TypeVar("Result")

ORDERS = "orders"
# A slot comes free when a request ends, nobody knows when; this is how soon to ask again.
SLOT_RETRY_S = 1


@lru_cache(maxsize=4096)
def order_windows(limits: Limits) -> tuple[Window, ...]:
    """The minute comes first: it is the one that X-RateLimit-* tell of, as in the seed."""
    return (
        Window(limits.per_minute, 60),
        Window(limits.per_10s, 10),
        Window(limits.per_day, 86_400),
    )


class Limiter:
    """One a process; `order_slot` around an order, `spend` for anything else."""

    def __init__(self, clock: Clock, shared: SharedCounts | None = None) -> None:
        self._clock = clock
        self._memory = MemoryCounts()
        self._shared = shared
        self._background: set[asyncio.Task[Any]] = set()
        self._now_us = 0
        self._ahead_us = 0

    @classmethod
    def from_settings(cls, settings: Settings, clock: Clock) -> "Limiter":
        url = settings.redis_url.get_secret_value()
        return cls(clock, SharedCounts(url) if url else None)

    async def close(self) -> None:
        """Finish what is under way with the shared store, then leave it."""
        while self._background:
            await asyncio.wait(self._background)
        if self._shared is not None:
            await self._shared.close()

    def order_slot(self, principal: Principal) -> "OrderSlot":
        """`async with limiter.order_slot(principal) as headers:` around placing an order.

        Raises TooManyRequests, with X-RateLimit-* and Retry-After, when one of the client's four
        limits is reached; the request then counts in none of them. Otherwise it counts in all, and
        gives its place among the concurrent ones back when the block ends, however it ends.
        `headers` are the three X-RateLimit-* of the minute; hand them to `infra.http.answer_with`,
        so that every answer of the request carries them, an error too.
        """
        return OrderSlot(self, principal)

    async def spend(self, purpose: str, key: str, windows: Sequence[Window]) -> dict[str, str]:
        """Count one request of `key` in all windows; return X-RateLimit-* of the first.

        Raises TooManyRequests as `order_slot` does. Purposes do not touch each other's counts.
        """
        if self._shared is not None and not self._shared.resting:
            with suppress(SharedCountsAway):
                taking = self._in_background(self._shared.take(purpose, key, windows))
                return _told(await asyncio.shield(taking))
        taken = self._memory.take(purpose, key, windows, self._now())
        return _told(taken, ahead_us=self._ahead_us)

    async def standing(self, principal: Principal) -> "OrderStanding":
        """How much of each of the client's four limits is used now. Counts nothing.

        Without a shared store it is what this process has let through.
        """
        limits, client_id = principal.limits, principal.client_id
        windows = order_windows(limits)
        counted, held = self._memory.standing(ORDERS, client_id, windows, self._now())
        if self._shared is not None and not self._shared.resting:
            with suppress(SharedCountsAway):
                asking = self._in_background(self._shared.standing(ORDERS, client_id, windows))
                counted, held = await asyncio.shield(asking)
        return OrderStanding(tuple(zip(windows, counted, strict=True)), limits.concurrent, held)

    async def take_slot(self, principal: Principal, token: str) -> tuple[bool, dict[str, str]]:
        """What `order_slot` does first: whether the slot is held in the shared store, and headers.

        `token` names the slot there.
        """
        limits = principal.limits
        windows = order_windows(limits)
        if self._shared is not None and not self._shared.resting:
            taking = self._in_background(
                self._shared.take(ORDERS, principal.client_id, windows, limits.concurrent, token)
            )
            try:
                with suppress(SharedCountsAway):
                    return True, _told(await asyncio.shield(taking), concurrent=limits.concurrent)
            except asyncio.CancelledError:
                self._in_background(self._undo(taking, principal.client_id, token))
                raise
        taken = self._memory.take(
            ORDERS, principal.client_id, windows, self._now(), limits.concurrent
        )
        headers = _told(taken, concurrent=limits.concurrent, ahead_us=self._ahead_us)
        return False, headers

    def give_back(self, principal: Principal, token: str, *, shared: bool) -> None:
        """What `order_slot` does last. Never waits: a cancelled request cannot."""
        if not shared:
            self._memory.give_back(ORDERS, principal.client_id)
            return
        assert self._shared is not None
        self._in_background(self._shared.give_back(ORDERS, principal.client_id, token))

    async def _undo(self, taking: "asyncio.Task[Taken]", client_id: int, token: str) -> None:
        """The request went away while it asked for its slot: give back what it got, if it did."""
        assert self._shared is not None
        await asyncio.wait([taking])
        if taking.exception() is None and taking.result().allowed:
            await self._shared.give_back(ORDERS, client_id, token)

    def _in_background(self, work: Coroutine[Any, Any, Result]) -> "asyncio.Task[Result]":
        """A request may be cancelled at any await, but not an exchange with the shared store.

        The driver would have to drop the connection, and at times swallows the cancellation.
        """
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: "asyncio.Task[Any]") -> None:
        self._background.discard(task)
        if not task.cancelled():
            # Whoever still waits has it too; nobody may.
            task.exception()

    @property
    def sharing(self) -> bool:
        return self._shared is not None

    def _now(self) -> int:
        """The clock's microseconds, but never less than last time.

        A clock that is set back would keep everybody's old requests in their windows for as long.
        """
        now_us = int(self._clock.now().timestamp() * 1_000_000) + self._ahead_us
        if now_us < self._now_us:
            self._ahead_us += self._now_us - now_us
            now_us = self._now_us
        self._now_us = now_us
        return now_us


@dataclass(frozen=True, slots=True)
class OrderStanding:
    """The orders that count in each window, the minute first, and those under way."""

    windows: tuple[tuple[Window, int], ...]
    concurrent: int
    under_way: int


class OrderSlot:
    """A place among a client's concurrent requests; see `Limiter.order_slot`."""

    __slots__ = ("_limiter", "_principal", "_shared", "_token")

    def __init__(self, limiter: Limiter, principal: Principal) -> None:
        self._limiter = limiter
        self._principal = principal
        self._shared = False
        self._token = ids.request_id() if limiter.sharing else ""

    async def __aenter__(self) -> dict[str, str]:
        self._shared, headers = await self._limiter.take_slot(self._principal, self._token)
        return headers

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._limiter.give_back(self._principal, self._token, shared=self._shared)


def _told(taken: Taken, *, concurrent: int = 0, ahead_us: int = 0) -> dict[str, str]:
    """The headers of a request that was let through; raises TooManyRequests for another."""
    standing, now_us = taken.standing, taken.now_us
    details: dict[str, object]
    if standing is None:
        limit, remaining, reset_at_us = concurrent, 0, now_us + SLOT_RETRY_S * 1_000_000
        details = {"concurrent": concurrent}
    else:
        limit, remaining = standing.window.amount, standing.remaining
        reset_at_us = standing.reset_at_us
        details = {"limit": limit, "per_s": standing.window.per_s}
    headers = {
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": str(remaining),
        # Whole seconds, rounded up: at that second the next request is let through.
        "X-RateLimit-Reset": str(-((ahead_us - reset_at_us) // 1_000_000)),
    }
    if taken.allowed:
        return headers
    headers["Retry-After"] = str(max(1, -((now_us - reset_at_us) // 1_000_000)))
    raise TooManyRequests(details=details, headers=headers)
