"""Moving windows: how many requests were let through in the last so many seconds; pure."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

# Up to this many requests a window is exact to the microsecond. Beyond it requests are counted in
# slices of a 10,000th of its length, and leave with the last of their slice: memory stays bounded,
# and what is inexact is exact to 0.01 % and never lets one too many through.
EXACT_AMOUNT_MAX = 10_000
SPENT_ENTRIES_MAX = 256


@dataclass(frozen=True, slots=True)
class Window:
    """At most `amount` requests in any `per_s` seconds."""

    amount: int
    per_s: int

    @property
    def grain_us(self) -> int:
        """The length of a slice; 0 counts each request by itself."""
        if self.amount <= EXACT_AMOUNT_MAX:
            return 0
        return self.per_s * 1_000_000 // EXACT_AMOUNT_MAX


@dataclass(frozen=True, slots=True)
class Standing:
    """How one window stands after a request was let through, or was not."""

    window: Window
    remaining: int
    # When the next one is let through if none remains, else when the oldest one leaves the window.
    reset_at_us: int


class Log:
    """The requests of one subject in one window, oldest first, as (last microsecond, how many)."""

    __slots__ = ("_counts", "_first", "_times", "count")

    def __init__(self) -> None:
        self._times = array("q")
        self._counts = array("Q")
        # Entries before this index have left the window; they are cut off now and then.
        self._first = 0
        self.count = 0

    def expire(self, now_us: int, per_s: int) -> None:
        """Let go of what happened `per_s` or more ago."""
        times, first = self._times, self._first
        before = now_us - per_s * 1_000_000
        while first < len(times) and times[first] <= before:
            self.count -= self._counts[first]
            first += 1
        if first == len(times) or first > SPENT_ENTRIES_MAX:
            del self._times[:first], self._counts[:first]
            first = 0
        self._first = first

    def add(self, now_us: int, grain_us: int) -> None:
        self.count += 1
        times = self._times
        if grain_us and times and times[-1] // grain_us == now_us // grain_us:
            times[-1] = now_us
            self._counts[-1] += 1
            return
        times.append(now_us)
        self._counts.append(1)

    def standing(self, window: Window, now_us: int) -> Standing:
        """After `expire`. The limit may have been lowered since: then several must leave first."""
        length_us = window.per_s * 1_000_000
        remaining = window.amount - self.count
        if self.count == 0:
            return Standing(window, remaining, now_us)
        index = self._first
        leaving = self._counts[index]
        while remaining + leaving <= 0:
            index += 1
            leaving += self._counts[index]
        return Standing(window, max(0, remaining), self._times[index] + length_us)


class Subject:
    """One client, address or user: a log for each window length, and what is under way."""

    __slots__ = ("_logs", "under_way")

    def __init__(self) -> None:
        self._logs: dict[int, Log] = {}
        self.under_way = 0

    def take(self, windows: Sequence[Window], now_us: int) -> tuple[bool, Standing]:
        """Count one request in all windows, or in none.

        Let through: the first window's standing. Refused: the standing of the full window that
        opens last. An amount may differ from one call to the next.
        """
        logs = []
        refused: Standing | None = None
        for window in windows:
            log = self._logs.get(window.per_s)
            if log is None:
                log = self._logs[window.per_s] = Log()
            log.expire(now_us, window.per_s)
            if log.count >= window.amount:
                standing = log.standing(window, now_us)
                if refused is None or standing.reset_at_us > refused.reset_at_us:
                    refused = standing
            logs.append(log)
        if refused is not None:
            return False, refused
        for window, log in zip(windows, logs, strict=True):
            log.add(now_us, window.grain_us)
        return True, logs[0].standing(windows[0], now_us)

    def counts(self, windows: Sequence[Window], now_us: int) -> list[int]:
        """How many count in each window now."""
        found = []
        for window in windows:
            log = self._logs.get(window.per_s)
            if log is not None:
                log.expire(now_us, window.per_s)
            found.append(log.count if log is not None else 0)
        return found

    def idle(self, now_us: int) -> bool:
        """Whether forgetting this subject would change no answer."""
        if self.under_way:
            return False
        for per_s, log in self._logs.items():
            log.expire(now_us, per_s)
        return all(log.count == 0 for log in self._logs.values())
