"""Recurring jobs: each turn is queued once, by the database's clock, however many workers tick.

PgQueuer's own scheduler is not used: it counts by the application's clock, a turn that a killed
worker had picked is found only at the next turn, and a turn and its job are not one transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rewards.infra.db import Tx


@dataclass(frozen=True, slots=True)
class Schedule:
    """A job of this name every `every_s` seconds, counted from 1970 in UTC plus `offset_s`."""

    name: str
    every_s: int
    offset_s: int = 0


PLAN = """
WITH plan AS (
    SELECT name, date_bin(stride, now(), origin) + stride AS next_at
    FROM unnest($1::text[], $2::int[], $3::int[]) AS p (name, every_s, offset_s),
    LATERAL (SELECT make_interval(secs => every_s) AS stride,
        to_timestamp(0) + make_interval(secs => offset_s) AS origin) AS grid
)"""

REGISTER = f"""{PLAN}
INSERT INTO job_schedules AS known (name, next_at) SELECT name, next_at FROM plan ORDER BY name
ON CONFLICT (name) DO UPDATE SET next_at = least(known.next_at, excluded.next_at)
"""  # noqa: S608


async def register(tx: Tx, schedules: Sequence[Schedule]) -> None:
    """Make them known; a turn that passed while nobody was there stays due."""
    await tx.execute(REGISTER, *_columns(schedules))


# Moving the turn on and queueing its job is one statement, and the row's lock lets one worker win.
TICK = f"""{PLAN},
due AS (
    UPDATE job_schedules AS known SET next_at = plan.next_at, last_at = now()
    FROM plan WHERE known.name = plan.name AND known.next_at <= now()
    RETURNING known.name
),
queued AS (
    INSERT INTO pgqueuer (priority, entrypoint, dedupe_key, status)
    SELECT 0, name, name || ':', 'queued' FROM due
    ON CONFLICT (dedupe_key) WHERE status = 'queued' AND dedupe_key IS NOT NULL DO NOTHING
)
SELECT name FROM due ORDER BY name
"""  # noqa: S608


async def tick(tx: Tx, schedules: Sequence[Schedule]) -> list[str]:
    """Queue the jobs that are due; returns their names. A turn still queued gets no second job."""
    return [row["name"] for row in await tx.fetch(TICK, *_columns(schedules))]


def _columns(schedules: Sequence[Schedule]) -> tuple[list[str], list[int], list[int]]:
    return (
        [schedule.name for schedule in schedules],
        [schedule.every_s for schedule in schedules],
        [schedule.offset_s for schedule in schedules],
    )
