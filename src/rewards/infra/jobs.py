"""Jobs as one asks for them: rows written in the transaction of what they follow from.

Who does them is a worker (`infra/worker.py`). A job is run at least once after its transaction
commits, perhaps twice, perhaps killed half-way: a handler looks at the state of things, not at the
job, to know what is left to do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import msgspec

from rewards.infra.db import Record, Tx, rows_affected
from rewards.infra.log import is_secret

PAYLOAD_BYTES_MAX = 8_192
DEAD_PAGE_MAX = 1_000

_declared: set[str] = set()


def declare(name: str) -> str:
    """Make `name` known as one that is enqueued; a worker refuses to start without its handler.

    Called once, where the module that enqueues it is read: `FILL = declare("orders.fill")`.
    """
    _declared.add(name)
    return name


def declared() -> frozenset[str]:
    """Every name that anything in this process may enqueue."""
    return frozenset(_declared)


@dataclass(frozen=True, slots=True)
class JobAsk:
    """One job. `payload` holds ids, never a secret. It runs at once, or not before `execute_after`.

    Asks of one name with the same `dedupe_key` mean the same work: while one is queued another adds
    none, but a run always begins after the last of them has committed. Higher priority goes first.
    """

    name: str
    payload: Mapping[str, object] = field(default_factory=dict)
    execute_after: datetime | None = None
    dedupe_key: str | None = None
    priority: int = 0


# DO UPDATE, not DO NOTHING: it locks the queued twin until this transaction ends, so that no worker
# runs the twin before what this one wrote can be seen. In the order of keys against deadlocks.
ENQUEUE = """
INSERT INTO pgqueuer AS job (priority, entrypoint, payload, execute_after, dedupe_key, status)
SELECT priority, name, payload, coalesce(execute_after, now()), dedupe_key, 'queued'
FROM unnest($1::int[], $2::text[], $3::bytea[], $4::timestamptz[], $5::text[])
    AS ask (priority, name, payload, execute_after, dedupe_key)
ORDER BY dedupe_key NULLS FIRST
ON CONFLICT (dedupe_key) WHERE status = 'queued' AND dedupe_key IS NOT NULL
DO UPDATE SET execute_after = least(job.execute_after, excluded.execute_after),
    priority = greatest(job.priority, excluded.priority)
"""


async def enqueue(tx: Tx, asks: Sequence[JobAsk]) -> None:
    """Queue the jobs when `tx` commits; one statement, and none for no asks.

    Best done last in a transaction: asks with the same dedupe key wait for one another.
    """
    if not asks:
        return
    distinct = _distinct(asks)
    await tx.execute(
        ENQUEUE,
        [ask.priority for ask in distinct],
        [ask.name for ask in distinct],
        [_payload(ask) for ask in distinct],
        [ask.execute_after for ask in distinct],
        [ask.dedupe_key and f"{ask.name}:{ask.dedupe_key}" for ask in distinct],
    )


def _distinct(asks: Sequence[JobAsk]) -> list[JobAsk]:
    """One ask for each dedupe key: the earliest, with the highest priority."""
    free: list[JobAsk] = []
    keyed: dict[tuple[str, str], JobAsk] = {}
    for ask in asks:
        assert ask.name in _declared, f"declare({ask.name!r}) where it is enqueued"
        if ask.dedupe_key is None:
            free.append(ask)
            continue
        assert ask.dedupe_key, f"{ask.name}: an empty dedupe key"
        twin = keyed.setdefault((ask.name, ask.dedupe_key), ask)
        times = (ask.execute_after, twin.execute_after)
        keyed[ask.name, ask.dedupe_key] = replace(
            twin,
            execute_after=min(at for at in times if at) if all(times) else None,
            priority=max(ask.priority, twin.priority),
        )
    return free + list(keyed.values())


def _payload(ask: JobAsk) -> bytes:
    secret = [key for key in ask.payload if is_secret(key)]
    assert not secret, f"{ask.name}: {secret} has no place in a job"
    raw = msgspec.json.encode(ask.payload)
    assert len(raw) <= PAYLOAD_BYTES_MAX, f"{ask.name}: a job carries ids, not data"
    return raw


@dataclass(frozen=True, slots=True)
class DeadJob:
    """A job that failed too often; it stays until a person has looked at it."""

    job_id: int
    name: str
    payload: Mapping[str, Any]
    attempts: int
    reason: str
    created_at: datetime
    failed_at: datetime


READ_DEAD = """
SELECT job.id, job.entrypoint, job.payload, job.attempts, job.created, job.updated, said.reason
FROM pgqueuer AS job
LEFT JOIN LATERAL (
    SELECT log.traceback ->> 'exception_message' AS reason FROM pgqueuer_log AS log
    WHERE log.job_id = job.id AND log.status = 'failed' ORDER BY log.created DESC LIMIT 1
) AS said ON true
WHERE job.status = 'failed' AND ($2::bigint[] IS NULL OR job.id = ANY($2))
ORDER BY job.id DESC LIMIT $1
"""


async def dead(tx: Tx, limit: int = 100, *, job_ids: Sequence[int] | None = None) -> list[DeadJob]:
    """The dead letters, or those of them, newest first, with the reason of the last failure."""
    rows = await tx.fetch(READ_DEAD, min(limit, DEAD_PAGE_MAX), job_ids)
    return [_dead(row) for row in rows]


def _dead(row: Record) -> DeadJob:
    return DeadJob(
        job_id=row["id"],
        name=row["entrypoint"],
        payload=msgspec.json.decode(row["payload"] or b"{}"),
        attempts=row["attempts"],
        reason=row["reason"] or "",
        created_at=row["created"],
        failed_at=row["updated"],
    )


# A twin that is queued does the same work: then the dead one may simply go.
REVIVE = """
WITH dead AS (
    SELECT id, dedupe_key FROM pgqueuer WHERE id = ANY($1::bigint[]) AND status = 'failed'
    ORDER BY id FOR UPDATE
),
first AS (
    SELECT DISTINCT ON (coalesce(dedupe_key, id::text)) id FROM dead
    WHERE dedupe_key IS NULL OR NOT EXISTS (
        SELECT FROM pgqueuer AS twin
        WHERE twin.dedupe_key = dead.dedupe_key AND twin.status = 'queued'
    )
    ORDER BY coalesce(dedupe_key, id::text), id
),
dropped AS (
    DELETE FROM pgqueuer
    WHERE id = ANY(ARRAY(SELECT id FROM dead EXCEPT SELECT id FROM first)) RETURNING id
),
revived AS (
    UPDATE pgqueuer SET status = 'queued', attempts = 0, execute_after = now(), updated = now()
    WHERE id = ANY(ARRAY(SELECT id FROM first)) RETURNING id
)
SELECT id FROM revived UNION ALL SELECT id FROM dropped
"""


async def revive(tx: Tx, job_ids: Sequence[int]) -> list[bool]:
    """Let dead jobs run again from their first attempt; for each id whether it was a dead letter.

    Workers find them at their next look, within seconds.
    """
    rows = await tx.fetch(REVIVE, list(job_ids))
    found = {row["id"] for row in rows}
    return [job_id in found for job_id in job_ids]


@dataclass(frozen=True, slots=True)
class QueueState:
    """The queue at a glance; `late_s` is how long the oldest job that is due has waited."""

    queued: int
    due: int
    running: int
    lost: int
    dead: int
    late_s: float


READ_STATE = """
SELECT count(*) FILTER (WHERE status = 'queued') AS queued,
    count(*) FILTER (WHERE status = 'queued' AND execute_after <= now()) AS due,
    count(*) FILTER (WHERE status = 'picked') AS running,
    count(*) FILTER (
        WHERE status = 'picked' AND heartbeat < now() - make_interval(secs => $1)
    ) AS lost,
    count(*) FILTER (WHERE status = 'failed') AS dead,
    coalesce(extract(epoch FROM now() - min(execute_after)
        FILTER (WHERE status = 'queued' AND execute_after <= now())), 0)::float8 AS late_s
FROM pgqueuer
"""


async def state(tx: Tx, *, lease_s: float = 35.0) -> QueueState:
    """Counts for metrics and `doctor`; `lost` are running jobs without a beat for `lease_s`."""
    row = await tx.fetchrow(READ_STATE, lease_s)
    assert row is not None
    return QueueState(**dict(row))


@dataclass(frozen=True, slots=True)
class Line:
    """The jobs of one name: how many are due, how long the oldest has been, how many are dead."""

    name: str
    due: int
    late_s: float
    dead: int


READ_LINES = """
SELECT entrypoint AS name,
    count(*) FILTER (WHERE status = 'queued' AND execute_after <= now()) AS due,
    coalesce(extract(epoch FROM now() - min(execute_after)
        FILTER (WHERE status = 'queued' AND execute_after <= now())), 0)::float8 AS late_s,
    count(*) FILTER (WHERE status = 'failed') AS dead
FROM pgqueuer GROUP BY entrypoint ORDER BY entrypoint
"""


async def lines(tx: Tx) -> list[Line]:
    """Every name that jobs wait under, run under, or died under."""
    return [Line(**dict(row)) for row in await tx.fetch(READ_LINES)]


READ_STRANGERS = """
SELECT DISTINCT entrypoint FROM pgqueuer
WHERE status IN ('queued', 'picked') AND entrypoint <> ALL($1::text[]) ORDER BY entrypoint
"""


async def names_besides(tx: Tx, names: Sequence[str]) -> list[str]:
    """Names that jobs wait under other than these: of another version, or lost to a typing slip."""
    return [row["entrypoint"] for row in await tx.fetch(READ_STRANGERS, list(names))]


FORGET = """
DELETE FROM pgqueuer_log WHERE id = ANY(ARRAY(
    SELECT log.id FROM pgqueuer_log AS log WHERE log.created < $1
    AND NOT EXISTS (SELECT FROM pgqueuer AS job WHERE job.id = log.job_id) LIMIT $2))
"""


async def forget(tx: Tx, before: datetime, limit: int = 10_000) -> int:
    """Drop at most `limit` log rows of jobs that are gone, from before then; returns how many."""
    return rows_affected(await tx.execute(FORGET, before, limit))
