"""Holds calls back: buckets keep to a vendor's limits, a breaker leaves one that is down alone."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic

# A call waits so long for its turn; then it is told to come again.
WAIT_MAX_S = 5.0
OPENS_AFTER = 5
OPEN_S = 30.0


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `calls` in any `per_s` seconds."""

    calls: int
    per_s: float


class Bucket:
    """One limit, kept exactly: after `calls` turns the next comes `per_s` after the first."""

    def __init__(self, rate: Rate, now: Callable[[], float] = monotonic) -> None:
        self._per_s = rate.per_s
        self._now = now
        self._turns: deque[float] = deque(maxlen=rate.calls)

    def reserve(self, wait_max_s: float) -> float | None:
        """Seconds to wait for a turn, which is taken; None when it would be more than the limit."""
        now = turn = self._now()
        if len(self._turns) == self._turns.maxlen:
            turn = max(now, self._turns[0] + self._per_s)
        if turn - now > wait_max_s:
            return None
        self._turns.append(turn)
        return turn - now


class Throttle:
    """The buckets of one vendor account in this process."""

    def __init__(self, rates: Mapping[str, Rate], now: Callable[[], float] = monotonic) -> None:
        self._buckets = {name: Bucket(rate, now) for name, rate in rates.items()}

    async def turn(self, call: str, wait_max_s: float = WAIT_MAX_S) -> bool:
        """Wait for this call's turn; False when that would take too long."""
        for name in ("*", call):
            bucket = self._buckets.get(name)
            if bucket is None:
                continue
            wait_s = bucket.reserve(wait_max_s)
            if wait_s is None:
                return False
            if wait_s:
                await asyncio.sleep(wait_s)
        return True


class Breaker:
    """Opens after a row of failures; then lets one call through every `open_s` to look."""

    def __init__(
        self,
        opens_after: int = OPENS_AFTER,
        open_s: float = OPEN_S,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._opens_after = opens_after
        self._open_s = open_s
        self._now = now
        self._failures = 0
        self._try_at = 0.0

    @property
    def open(self) -> bool:
        return self._failures >= self._opens_after

    def admit(self) -> bool:
        """Whether a call may go out now."""
        if not self.open:
            return True
        now = self._now()
        if now < self._try_at:
            return False
        # Only this one; the next has to wait again, whatever becomes of it.
        self._try_at = now + self._open_s
        return True

    def succeeded(self) -> None:
        self._failures = 0

    def failed(self) -> None:
        self._failures += 1
        if self.open:
            self._try_at = self._now() + self._open_s

    @property
    def retry_after_s(self) -> float:
        return max(self._try_at - self._now(), 0.0) if self.open else 0.0
