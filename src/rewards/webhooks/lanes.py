"""The lane of an endpoint: what a worker holds for it, in order, and how much of it at once."""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from rewards.webhooks.model_sending import Outcome

# Attempts at one endpoint at the same time: one at first, one more with each success, half of them
# after a failure. So a dead endpoint holds one connection, and what arrives is nearly in order.
AT_ONCE_MAX = 16
# What is taken ahead of them: twice as much each time that it was too little, so that a fast
# endpoint never waits for the database and a slow one holds little.
AHEAD_MIN = AT_ONCE_MAX
AHEAD_MAX = 2_048
# Failures in a row after which an endpoint is only probed: one attempt at a time, one a second.
FAILURES_MAX = 5
PROBE_EVERY_S = 1.0
# Asked to slow down, an endpoint is left alone for so long at most; single deliveries wait longer.
PAUSE_S_MAX = 60.0
# Of what is free in all, an eighth for one endpoint.
FREE_SHARE = 8


@dataclass(frozen=True, slots=True)
class Job:
    """A delivery that this worker holds a lease of, ready to be sent before `until_s`."""

    delivery_id: int
    lease: UUID
    # Attempts made before this one.
    attempts: int
    message_id: str
    body: bytes = field(repr=False)
    # By the monotonic clock; begun later, an answer might come after the lease.
    until_s: float
    # When what it tells of happened.
    event_at: datetime


@dataclass(eq=False, slots=True)
class Lane:
    """Jobs begin in the order in which they were taken. Times are of the monotonic clock.

    The state of an endpoint is a matter of this worker alone: another one learns it anew.
    """

    endpoint_id: int
    # Where what is let go of is put, for somebody to give back; shared by all lanes.
    back: "list[tuple[Lane, Job]]" = field(repr=False)
    url: str = ""
    keys: tuple[bytes, ...] = field(default=(), repr=False)
    waiting: deque[Job] = field(default_factory=deque)
    running: int = 0
    # Ended, or let go of, but not yet written down: still leased.
    told: int = 0
    returning: int = 0
    # Whether there may be more than was taken.
    more: bool = False
    ahead: int = AHEAD_MIN
    at_once: int = 1
    failures: int = 0
    resume_s: float = 0.0

    @property
    def held(self) -> int:
        """How many deliveries of this endpoint have our lease."""
        return len(self.waiting) + self.running + self.told + self.returning

    @property
    def narrow(self) -> bool:
        """The circuit: too many failures in a row."""
        return self.failures >= FAILURES_MAX

    def well(self, now_s: float) -> bool:
        """Whether there is nothing to remember of it."""
        return not self.failures and self.resume_s <= now_s

    @property
    def low(self) -> bool:
        """Whether it is time to take more."""
        return self.more and len(self.waiting) <= self.ahead // 2

    def room(self, now_s: float) -> int:
        """How many more may be taken for it; none overtakes what is on its way back."""
        if now_s < self.resume_s or self.returning:
            return 0
        if self.narrow:
            return max(0, 1 - self.held)
        waiting = len(self.waiting)
        return 0 if waiting > self.ahead // 2 else self.ahead - waiting

    def add(self, jobs: "list[Job]", room: int) -> None:
        """What was just taken for it; `room` is what would have been."""
        if not self.waiting and self.more:
            self.ahead = min(2 * self.ahead, AHEAD_MAX)
        self.more = len(jobs) >= room
        self.waiting.extend(jobs)

    def runners_wanted(self, free: int) -> int:
        """How many more may begin now. The fewer are free in all, the fewer one endpoint gets."""
        most = max(1, min(self.at_once, free // FREE_SHARE))
        return max(0, min(most - self.running, len(self.waiting)))

    def next(self, now_s: float) -> Job | None:
        """The next job to begin; None when this runner is one too many, or nothing is left."""
        if self.waiting and now_s >= self.waiting[0].until_s:
            self.drop()
            self.ahead = max(self.ahead // 2, AHEAD_MIN)
        if self.running > self.at_once or not self.waiting:
            return None
        return self.waiting.popleft()

    def drop(self) -> None:
        """Let go of what has not begun."""
        self.back.extend((self, job) for job in self.waiting)
        self.returning += len(self.waiting)
        self.waiting.clear()

    def leave_alone(self, now_s: float) -> None:
        """Take nothing for it for as long as an endpoint may ask for."""
        self.resume_s = now_s + PAUSE_S_MAX

    def learn(self, outcome: Outcome, now_s: float) -> None:
        """Open up, or narrow down; pause where the endpoint asked for it, or only fails."""
        if outcome.delivered:
            self.failures, self.resume_s = 0, 0.0
            self.at_once = min(self.at_once + 1, AT_ONCE_MAX)
        elif not outcome.ours:
            self.failures += 1
            self.at_once = max(self.at_once // 2, 1)
            pause_s = min(outcome.retry_after_s or 0.0, PAUSE_S_MAX)
            if self.narrow or outcome.gone:
                pause_s = max(pause_s, PROBE_EVERY_S)
            if pause_s:
                self.resume_s = max(self.resume_s, now_s + pause_s)
                self.drop()
