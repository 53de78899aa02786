"""Jobs that failed too often: what they were, why, and another chance."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.params import FromPath

from rewards.audit import service as audit
from rewards.audit.model import AuditFact
from rewards.core.errors import NotFound
from rewards.infra import jobs
from rewards.infra.db import Tx
from rewards.infra.http import encode, path_id, whole
from rewards.infra.openapi import answers, asks, whole_number
from rewards.staff.auth import caller, requires
from rewards.staff.given import GivenClock, GivenDatabase
from rewards.staff.model import Permission

LIST_DEFAULT, LIST_MAX = 50, 500


class DeadJobNotFound(NotFound):
    """Also for a job that is queued, runs, or is done."""

    code = "DEAD_JOB_NOT_FOUND"
    default_message = "Dead job not found"


class DeadJobOut(msgspec.Struct):
    id: int
    name: str
    # Ids of what it is about.
    payload: Mapping[str, Any]
    attempts: int
    # What the last attempt failed with.
    reason: str
    created_at: datetime
    failed_at: datetime

    @classmethod
    def of(cls, job: jobs.DeadJob) -> "DeadJobOut":
        return cls(
            job.job_id,
            job.name,
            job.payload,
            job.attempts,
            job.reason,
            job.created_at,
            job.failed_at,
        )


class RevivedOut(msgspec.Struct):
    id: int
    revived: bool


@get(
    "/jobs/dead",
    operation_id="listDeadJobs",
    operation_class=asks(
        {"limit": whole_number("Jobs at most", maximum=LIST_MAX, default=LIST_DEFAULT)}
    ),
    guards=[requires(Permission.JOBS_READ)],
    responses=answers(list[DeadJobOut], 400, 401, 403),
)
async def list_dead_jobs(request: Request[Any, Any, Any], db: GivenDatabase) -> Response[bytes]:
    """Jobs that nobody tries any more, newest first, with the reason of the last failure."""
    given = request.query_params.get("limit")
    limit = whole("Limit", given, default=LIST_DEFAULT, maximum=LIST_MAX)
    async with db.connection() as connection:
        dead = await jobs.dead(connection, limit)
    return encode([DeadJobOut.of(job) for job in dead])


@post(
    "/jobs/{job_id:str}/revive",
    status_code=200,
    operation_id="reviveJob",
    guards=[requires(Permission.JOBS_REVIVE)],
    responses=answers(RevivedOut, 401, 403, 404),
)
async def revive_job(
    request: Request[Any, Any, Any], db: GivenDatabase, clock: GivenClock, job_id: FromPath[str]
) -> Response[bytes]:
    """Let a dead job run again from its first attempt, within seconds."""
    number = path_id(job_id, DeadJobNotFound)

    async def work(tx: Tx) -> None:
        known = await jobs.dead(tx, job_ids=[number])
        [revived] = await jobs.revive(tx, [number])
        if not revived or not known:
            raise DeadJobNotFound
        facts = {
            "name": known[0].name,
            "payload": known[0].payload,
            "attempts": {"from": known[0].attempts, "to": 0},
        }
        fact = AuditFact(caller(request).actor, None, "job.revived", "job", number, facts)
        await audit.record(tx, [fact], clock.now())

    await db.run(work)
    return encode(RevivedOut(number, True))


ROUTER = Router(
    path="/admin/api/v1", tags=["Jobs (staff)"], route_handlers=[list_dead_jobs, revive_job]
)
