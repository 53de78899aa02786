"""The statements of the sender: finding what is due, leasing it, writing down what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from rewards.infra.db import Tx
from rewards.webhooks.model_sending import Outcome, Verdict

# The endpoints after $1 for which anything is pending, one look into the index for each, and
# whether anything is due that nobody holds. Those of $2 are passed over: there is no room for them.
WALK = """
WITH RECURSIVE walk (endpoint_id) AS (
    (SELECT d.endpoint_id FROM webhook_deliveries AS d
    WHERE d.status = 'PENDING' AND d.endpoint_id > $1 ORDER BY d.endpoint_id LIMIT 1)
    UNION ALL
    SELECT (SELECT d.endpoint_id FROM webhook_deliveries AS d
        WHERE d.status = 'PENDING' AND d.endpoint_id > walk.endpoint_id
        ORDER BY d.endpoint_id LIMIT 1)
    FROM walk WHERE walk.endpoint_id IS NOT NULL
)
SELECT w.endpoint_id, w.endpoint_id <> ALL ($2::bigint[]) AND EXISTS (
    SELECT FROM webhook_deliveries AS d
    WHERE d.endpoint_id = w.endpoint_id AND d.status = 'PENDING' AND d.next_at <= now()
        AND coalesce(d.leased_until <= now(), true)
) AS due
FROM (SELECT endpoint_id FROM walk WHERE endpoint_id IS NOT NULL LIMIT $3) AS w
"""

# Whoever holds the row of an endpoint may lease for it; two workers never do at the same time.
LOCK_ENDPOINTS = """
SELECT id, url FROM webhook_endpoints
WHERE id = ANY ($1::bigint[]) AND status = 'ENABLED' AND deleted_at IS NULL
ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
"""

# For each endpoint the next $2 that nobody leased, in order; none while another worker holds any of
# them, so that first attempts keep their order. Leases are taken from the front, so those of others
# are seen among as many rows as this worker holds itself ($3) and wants.
LEASE = """
WITH lanes AS (
    SELECT * FROM unnest($1::bigint[], $2::int[], $3::int[]) AS l (endpoint_id, room, held)
), front AS (
    SELECT d.id, d.live, l.room,
        bool_or(d.live AND d.lease <> $4::uuid) OVER lane AS taken,
        count(*) FILTER (WHERE NOT d.live) OVER (lane ORDER BY d.next_at, d.id) AS place
    FROM lanes AS l CROSS JOIN LATERAL (
        SELECT d.id, d.next_at, d.lease, coalesce(d.leased_until > now(), false) AS live
        FROM webhook_deliveries AS d
        WHERE d.endpoint_id = l.endpoint_id AND d.status = 'PENDING' AND d.next_at <= now()
        ORDER BY d.next_at, d.id LIMIT l.room + l.held
    ) AS d
    WINDOW lane AS (PARTITION BY l.endpoint_id)
), leased AS (
    UPDATE webhook_deliveries AS d
    SET lease = $4, leased_until = now() + make_interval(secs => $5)
    WHERE d.id = ANY (ARRAY(
        SELECT id FROM front WHERE NOT live AND NOT taken AND place <= room
    ))
    RETURNING d.id, d.endpoint_id, d.event_id, d.sequence, d.event_type, d.attempts
)
SELECT d.id, d.endpoint_id, d.event_id, d.sequence, d.event_type, d.attempts,
    e.created_at, e.data::text AS data
FROM leased AS d JOIN events AS e ON e.id = d.event_id
ORDER BY d.attempts > 0, d.sequence, d.id
"""

# The lease says that nobody else has taken it since. An attempt and what came of it are one row
# each, written together.
RECORD = """
WITH told AS (
    SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::text[], $4::float8[], $5::timestamptz[],
            $6::int[], $7::smallint[], $8::text[], $9::text[])
        AS t (id, lease, status, retry_in_s, started_at, took_ms, status_code, error, answer)
), done AS (
    UPDATE webhook_deliveries AS d SET
        status = t.status,
        attempts = d.attempts + 1,
        next_at = CASE t.status
            WHEN 'PENDING' THEN now() + make_interval(secs => t.retry_in_s) ELSE d.next_at END,
        lease = NULL,
        leased_until = NULL,
        last_status_code = t.status_code,
        last_error = t.error,
        finished_at = CASE WHEN t.status <> 'PENDING' THEN $10::timestamptz END
    FROM told AS t
    WHERE d.id = ANY ($1) AND d.id = t.id AND d.lease = t.lease
    RETURNING d.id, d.attempts, t.started_at, t.took_ms, t.status_code, t.error, t.answer
), kept AS (
    INSERT INTO webhook_attempts
        (delivery_id, number, started_at, took_ms, status_code, error, answer)
    SELECT * FROM done
)
SELECT count(*) FROM done
"""

GIVE_BACK = """
UPDATE webhook_deliveries SET lease = NULL, leased_until = NULL
WHERE id = ANY ($1::bigint[]) AND lease = ANY ($2::uuid[])
"""


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery that was just leased, with what its body is made of."""

    id: int
    endpoint_id: int
    event_id: int
    sequence: int
    event_type: str
    attempts: int
    created_at: datetime
    data: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Told:
    """One attempt and what follows from it."""

    delivery_id: int
    endpoint_id: int
    lease: UUID
    started_at: datetime
    took_ms: int
    outcome: Outcome
    verdict: Verdict


async def walk(
    connection: Tx, after_id: int, without: Sequence[int], most: int
) -> tuple[list[int], int | None]:
    """Which endpoints something is due for, of the next `most` that wait; whom to go on after."""
    rows = await connection.fetch(WALK, after_id, without, most)
    due = [row["endpoint_id"] for row in rows if row["due"]]
    return due, rows[-1]["endpoint_id"] if len(rows) == most else None


async def lock_endpoints(tx: Tx, endpoint_ids: Sequence[int]) -> dict[int, str]:
    """Lock those that may be sent to and that nobody else holds, in id order; their URLs."""
    rows = await tx.fetch(LOCK_ENDPOINTS, endpoint_ids)
    return {row["id"]: row["url"] for row in rows}


async def lease(
    tx: Tx, rooms: Mapping[int, int], held: Sequence[int], token: UUID, lease_s: float
) -> list[Due]:
    """Lease for locked endpoints as many as there is room for, in order of sending.

    `held`: how many this worker holds of each already. The lease is `token` and ends `lease_s` from
    now by the database's clock.
    """
    rows = await tx.fetch(LEASE, list(rooms), list(rooms.values()), held, token, lease_s)
    return [Due(**dict(row)) for row in rows]


async def record(tx: Tx, told: Sequence[Told], at: datetime) -> int:
    """Write attempts and what became of their deliveries; how many still had their lease."""
    return int(
        await tx.fetchval(
            RECORD,
            [one.delivery_id for one in told],
            [one.lease for one in told],
            [one.verdict.status for one in told],
            [one.verdict.retry_in_s for one in told],
            [one.started_at for one in told],
            [one.took_ms for one in told],
            [one.outcome.status_code for one in told],
            [one.outcome.error for one in told],
            [one.outcome.answer for one in told],
            at,
        )
    )


async def give_back(tx: Tx, delivery_ids: Sequence[int], leases: Sequence[UUID]) -> None:
    """End leases of what was not begun; anybody may take it now."""
    await tx.execute(GIVE_BACK, delivery_ids, leases)
