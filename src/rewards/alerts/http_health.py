"""How the deployment is, as staff see it: parts, processes, and what waits for how long."""

from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

import msgspec
from litestar import Response, Router, get
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from rewards.alerts import service
from rewards.audit import service as audit
from rewards.infra import beats, jobs
from rewards.infra.beats import Beat
from rewards.infra.http import encode
from rewards.infra.openapi import answers
from rewards.infra.readiness import Readiness
from rewards.notices import service as notices
from rewards.staff.auth import requires
from rewards.staff.given import GivenClock, GivenDatabase, GivenSettings
from rewards.staff.model import Permission
from rewards.webhooks import service as webhooks

GivenReadiness: TypeAlias = NamedDependency[SkipValidation[Readiness]]
# More are counted no further.
COUNT_MAX = 100_000


class ProcessState(StrEnum):
    AT_WORK = "AT_WORK"
    SILENT = "SILENT"
    STOPPED = "STOPPED"


class ProcessOut(msgspec.Struct):
    """A process of the last day. SILENT: it says nothing, and never said goodbye."""

    kind: str
    state: str
    host: str
    pid: int
    version: str
    started_at: datetime
    last_heard_at: datetime

    @classmethod
    def of(cls, beat: Beat, silent_s: float) -> "ProcessOut":
        state = ProcessState.AT_WORK if beat.silent_s < silent_s else ProcessState.SILENT
        if beat.stopped_at is not None:
            state = ProcessState.STOPPED
        return cls(
            *(beat.kind, state, beat.host, beat.pid, beat.version),
            *(beat.started_at, beat.beat_at),
        )


class QueueOut(msgspec.Struct):
    """What is due of one kind of work, and for how many seconds the first of it has been."""

    name: str
    due: int
    late_s: int
    # Given up; a person must look at them.
    dead: int = 0


class StaffHealthOut(msgspec.Struct):
    """`parts` as this process sees them. `queues`: jobs by name, and what else waits."""

    status: str
    parts: dict[str, str]
    processes: list[ProcessOut]
    queues: list[QueueOut]
    alerts_open: dict[str, int]
    # When alerts were last looked for; null: never yet.
    alerts_looked_at: datetime | None


@get(
    "/health",
    operation_id="getHealth",
    guards=[requires(Permission.HEALTH_READ)],
    responses=answers(StaffHealthOut, 401, 403),
)
async def health(
    db: GivenDatabase, clock: GivenClock, settings: GivenSettings, readiness: GivenReadiness
) -> Response[bytes]:
    """Whether orders can be taken, who is at work and was last heard of when, and what waits."""
    told = await readiness.tell()
    now = clock.now()

    def late_s(since: datetime | None) -> int:
        return max(int((now - since).total_seconds()), 0) if since else 0

    async with db.connection() as connection:
        known = await beats.read(connection)
        lines = await jobs.lines(connection)
        unsealed = await webhooks.unsealed_since(connection)
        unchained = await audit.unsealed_since(connection)
        due = await webhooks.waiting(connection, COUNT_MAX)
        mails, mail_since = await notices.waiting(connection)
        open_alerts = await service.count_open(connection)
        looked_at = await service.looked_at(connection)
    queues = [QueueOut(line.name, line.due, int(line.late_s), line.dead) for line in lines]
    queues += [
        QueueOut("events to number", int(unsealed is not None), late_s(unsealed)),
        QueueOut("acts to seal", int(unchained is not None), late_s(unchained)),
        QueueOut("webhooks", due.waiting, late_s(due.since)),
        QueueOut("mail", mails, late_s(mail_since)),
    ]
    body = StaffHealthOut(
        status="ready" if told.ready else "not_ready",
        parts={str(part): str(state) for part, state in told.parts.items()},
        processes=[ProcessOut.of(beat, settings.alert_worker_silent_s) for beat in known],
        queues=queues,
        alerts_open={str(kind): count for kind, count in open_alerts.items()},
        alerts_looked_at=looked_at,
    )
    return encode(body)


ROUTER = Router(path="/admin/api/v1", tags=["Alerts (staff)"], route_handlers=[health])
