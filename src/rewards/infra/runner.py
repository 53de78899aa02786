"""Running the jobs of one name: batches for its handler, time limits, and what a failure means."""

import asyncio
import dataclasses
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import Any, TypeAlias

import msgspec
import structlog
from pgqueuer.core import executors
from pgqueuer.domain import errors, models

from rewards.core.errors import Refusal, Unavailable
from rewards.infra.desk import Desk
from rewards.infra.log import describe
from rewards.infra.queue import Released

log = structlog.get_logger()

Payload: TypeAlias = Mapping[str, Any]
# All jobs of one name that are at hand, in the order they were queued. Returning means all are
# done; raising means none is known to be, and each is tried again, alone first.
Handler: TypeAlias = Callable[[Sequence[Payload]], Awaitable[None]]
# Told of every run: the job's name, `done`, `failed` or `dead`, and seconds.
Observe: TypeAlias = Callable[[str, str, float], None]

# Jobs one worker has in hand at a time, over all names.
HELD_MAX = 256
# Stopping: jobs under way have this long to end.
STOP_GRACE_S = 7.0
# After the database was away, or the batch ran out of time before a member's turn.
UNAVAILABLE_S = 5.0
BACKOFF_FIRST_S = 1.0
BACKOFF_MAX_S = 600.0


class JobTimedOut(Exception):
    """The handler took longer than it said it would."""


class JobDead(Exception):
    """The last attempt failed. Says the reason and, unlike its cause, quotes no value."""


@dataclass(frozen=True, slots=True)
class Role:
    """How the jobs of one name are done; see `Worker.register`."""

    name: str
    handler: Handler
    batch_max: int
    calls_max: int
    timeout_s: float
    attempt_max: int
    running_max: int


def backoff_s(attempt: int) -> float:
    """Seconds before the next try after `attempt` failures: doubling, bounded, ±20 %."""
    jitter: float = random.uniform(0.8, 1.2)  # noqa: S311
    return float(min(BACKOFF_FIRST_S * 2 ** (attempt - 1), BACKOFF_MAX_S)) * jitter


@dataclasses.dataclass
class Runner(executors.AbstractEntrypointExecutor):
    """Feeds the library's single jobs to the handler in batches."""

    role: Role
    observe: Observe

    @classmethod
    def of(cls, role: Role, observe: Observe) -> "Runner":
        parameters = executors.EntrypointExecutorParameters(
            concurrency_limit=role.running_max, func=_never, on_failure="hold"
        )
        return cls(parameters, role, observe)

    def __post_init__(self) -> None:
        self._stopping = False
        self._desk: Desk[Payload, None] = Desk(
            self._work,
            name=self.role.name,
            batch_max=self.role.batch_max,
            in_flight_max=self.role.calls_max,
            queue_max=HELD_MAX,
        )

    async def _work(self, payloads: Sequence[Payload]) -> list[Refusal | None]:
        try:
            async with asyncio.timeout(self.role.timeout_s) as limit:
                await self.role.handler(payloads)
        except TimeoutError:
            if limit.expired():
                raise JobTimedOut from None
            raise
        return [None] * len(payloads)

    async def execute(self, job: models.Job, context: models.Context) -> None:
        await self.serve(job)

    async def serve(self, job: models.Job) -> None:
        """Do the job. Raises RetryRequested when it is to be tried again, or JobDead."""
        began_s = monotonic()
        try:
            payload = msgspec.json.decode(job.payload or b"{}")
            await self._desk.submit(payload)
        except Exception as problem:  # noqa: BLE001  whatever a handler raises is its failure
            if isinstance(problem, Unavailable):
                # An outage is not the job's failure: it costs no attempt.
                delay_s = 0 if self._stopping else UNAVAILABLE_S
                raise Released(timedelta(seconds=delay_s), describe(problem)) from None
            self._fail(job, problem, monotonic() - began_s)
        else:
            self.observe(self.role.name, "done", monotonic() - began_s)

    def _fail(self, job: models.Job, problem: Exception, took_s: float) -> None:
        attempt = job.attempts + 1
        about = {"job": job.entrypoint, "job_id": job.id, "attempt": attempt}
        if attempt >= self.role.attempt_max:
            self.observe(self.role.name, "dead", took_s)
            log.error("job_dead", **about, exc_info=problem)
            raise JobDead(describe(problem)) from None
        self.observe(self.role.name, "failed", took_s)
        delay_s = backoff_s(attempt)
        log.warning("job_failed", **about, retry_in_s=round(delay_s, 1), exc_info=problem)
        raise errors.RetryRequested(timedelta(seconds=delay_s), describe(problem)) from None

    async def stop(self) -> None:
        """Let what runs end, for at most STOP_GRACE_S; the rest goes back to the queue."""
        self._stopping = True
        await self._desk.close(STOP_GRACE_S)


async def _never(_job: models.Job) -> None:
    raise AssertionError("jobs go to the role's handler")
