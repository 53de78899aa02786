"""The statements that read deliveries and queue them again."""

from collections.abc import Sequence
from datetime import datetime

from rewards.infra.db import Record, Tx, rows_affected
from rewards.webhooks.model import (
    Attempt,
    Delivery,
    DeliveryFilter,
    DeliveryStatus,
    EndpointStatus,
)

COLUMNS = """
    d.id, d.endpoint_id, d.client_id, d.event_id, d.sequence, d.event_type, d.status, d.attempts,
    d.next_at, d.last_status_code, d.last_error, d.redelivery_of, d.created_at, d.finished_at
"""
# A status is spelled out, so that its partial index fits.
STATUS_IS = {status: f"AND d.status = '{status}'" for status in DeliveryStatus}
TYPE_IS = "AND d.event_type = $5"
LIST = f"""
SELECT {COLUMNS} FROM webhook_deliveries AS d
WHERE d.endpoint_id = $1 AND (d.created_at, d.id) < ($2, $3) AND d.created_at >= $4
    {{status}} {{type}}
ORDER BY d.created_at DESC, d.id DESC LIMIT {{limit}}
"""
READ = f"""
SELECT {COLUMNS} FROM webhook_deliveries AS d
JOIN webhook_endpoints AS w ON w.id = d.endpoint_id AND w.deleted_at IS NULL
WHERE d.id = ANY($1::bigint[]) AND d.client_id = $2
"""
READ_ATTEMPTS = """
SELECT delivery_id, number, started_at, took_ms, status_code, error, answer FROM webhook_attempts
WHERE delivery_id = ANY($1::bigint[]) ORDER BY delivery_id, number
"""
READ_PAYLOADS = """
SELECT id, created_at, data::text AS data FROM events WHERE id = ANY($1::bigint[])
"""
# Whoever repeats or recovers has the endpoint to himself.
LOCK = f"""
SELECT {COLUMNS}, w.status AS endpoint_status,
    EXISTS (SELECT FROM events AS e WHERE e.id = d.event_id) AS kept
FROM webhook_deliveries AS d
JOIN webhook_endpoints AS w ON w.id = d.endpoint_id AND w.deleted_at IS NULL
WHERE d.id = ANY($1::bigint[]) AND d.client_id = $2
ORDER BY w.id FOR NO KEY UPDATE OF w
"""
# What waits for the same event and endpoint is sent now instead of twice.
HASTEN = f"""
UPDATE webhook_deliveries AS d SET next_at = least(d.next_at, $3)
FROM unnest($1::bigint[], $2::bigint[]) AS a (event_id, endpoint_id)
WHERE d.event_id = a.event_id AND d.endpoint_id = a.endpoint_id AND d.status = 'PENDING'
    AND {{which}}
RETURNING {COLUMNS}
"""
HASTEN_FIRST = HASTEN.format(which="d.redelivery_of IS NULL")
HASTEN_REPEATED = HASTEN.format(which="d.redelivery_of IS NOT NULL")
REPEAT = f"""
INSERT INTO webhook_deliveries AS d (
    endpoint_id, client_id, event_id, sequence, event_type, next_at, redelivery_of, created_at
)
SELECT o.endpoint_id, o.client_id, o.event_id, o.sequence, o.event_type, $2, o.id, $2
FROM webhook_deliveries AS o WHERE o.id = ANY($1::bigint[]) ORDER BY o.id
RETURNING {COLUMNS}
"""

# Both partial indexes by event are asked, each for its own.
_NOT_SENT_OTHERWISE = """
    NOT EXISTS (SELECT FROM webhook_deliveries AS t WHERE t.event_id = d.event_id
        AND t.endpoint_id = d.endpoint_id AND t.status <> 'FAILED' AND t.redelivery_of IS NULL)
    AND NOT EXISTS (SELECT FROM webhook_deliveries AS t WHERE t.event_id = d.event_id
        AND t.endpoint_id = d.endpoint_id AND t.status <> 'FAILED' AND t.redelivery_of IS NOT NULL)
"""
RECOVER_FAILED = f"""
INSERT INTO webhook_deliveries (
    endpoint_id, client_id, event_id, sequence, event_type, next_at, redelivery_of, created_at
)
SELECT endpoint_id, client_id, event_id, sequence, event_type, $3, id, $3
FROM (
    SELECT DISTINCT ON (d.sequence) d.* FROM webhook_deliveries AS d
    WHERE d.endpoint_id = $1 AND d.status = 'FAILED' AND d.created_at >= $2
        AND EXISTS (SELECT FROM events AS e WHERE e.id = d.event_id) AND {_NOT_SENT_OTHERWISE}
    ORDER BY d.sequence, d.id DESC LIMIT $4
) AS lost
ORDER BY sequence
"""
# A client's feed has no gap and is in order of time: halved again and again, its start is found.
RECOVER_MISSED = """
WITH RECURSIVE halves (low, high) AS (
    SELECT min(sequence), max(sequence) + 1 FROM event_feed WHERE client_id = $2
    UNION ALL
    SELECT CASE WHEN f.sealed_at < $3 THEN f.sequence + 1 ELSE h.low END,
        CASE WHEN f.sealed_at < $3 THEN h.high ELSE f.sequence END
    FROM halves AS h JOIN event_feed AS f ON f.client_id = $2 AND f.sequence = (h.low + h.high) / 2
    WHERE h.low < h.high
), start AS (
    SELECT low AS sequence FROM halves WHERE low = high
)
INSERT INTO webhook_deliveries (
    endpoint_id, client_id, event_id, sequence, event_type, next_at, created_at
)
SELECT $1, $2, f.event_id, f.sequence, e.type, $4, $4
FROM event_feed AS f JOIN events AS e ON e.id = f.event_id
WHERE f.client_id = $2 AND f.sequence >= (SELECT sequence FROM start)
    AND CASE WHEN e.endpoint_id IS NULL THEN $5::text[] IS NULL OR e.type = ANY($5::text[])
        ELSE e.endpoint_id = $1 END
    AND NOT EXISTS (SELECT FROM webhook_deliveries AS t WHERE t.event_id = f.event_id
        AND t.endpoint_id = $1 AND t.redelivery_of IS NULL)
ORDER BY f.sequence LIMIT $6
"""
RECOVER_WAITING = """
UPDATE webhook_deliveries SET next_at = $3
WHERE id = ANY(ARRAY(
    SELECT id FROM webhook_deliveries
    WHERE endpoint_id = $1 AND status = 'PENDING' AND next_at > $3 AND created_at >= $2
    ORDER BY next_at LIMIT $4
))
"""
GIVE_UP = """
UPDATE webhook_deliveries SET
    status = 'FAILED', last_error = $2, lease = NULL, leased_until = NULL, finished_at = $1
WHERE id = ANY(ARRAY(
    SELECT d.id FROM webhook_endpoints AS w
    JOIN webhook_deliveries AS d ON d.endpoint_id = w.id AND d.status = 'PENDING'
    WHERE w.deleted_at IS NOT NULL
    LIMIT $3 FOR NO KEY UPDATE OF d SKIP LOCKED
)) AND status = 'PENDING'
"""


def delivery_of(row: Record) -> Delivery:
    return Delivery(
        id=row["id"],
        endpoint_id=row["endpoint_id"],
        client_id=row["client_id"],
        event_id=row["event_id"],
        sequence=row["sequence"],
        event_type=row["event_type"],
        status=DeliveryStatus(row["status"]),
        attempts=row["attempts"],
        next_at=row["next_at"],
        last_status_code=row["last_status_code"],
        last_error=row["last_error"],
        redelivery_of=row["redelivery_of"],
        created_at=row["created_at"],
        finished_at=row["finished_at"],
    )


async def list_of_endpoint(
    tx: Tx,
    endpoint_id: int,
    narrow: DeliveryFilter,
    *,
    before: tuple[datetime, int],
    since: datetime,
    limit: int,
) -> list[Delivery]:
    """Newest first, queued from `since` on and before that time and id."""
    given = [] if narrow.event_type is None else [narrow.event_type]
    statement = LIST.format(
        status="" if narrow.status is None else STATUS_IS[narrow.status],
        type=TYPE_IS if given else "",
        limit=f"${5 + len(given)}",
    )
    rows = await tx.fetch(statement, endpoint_id, *before, since, *given, limit)
    return [delivery_of(row) for row in rows]


async def read(tx: Tx, client_id: int, delivery_ids: Sequence[int]) -> dict[int, Delivery]:
    rows = await tx.fetch(READ, list(delivery_ids), client_id)
    return {row["id"]: delivery_of(row) for row in rows}


async def read_attempts(tx: Tx, delivery_ids: Sequence[int]) -> dict[int, list[Attempt]]:
    found: dict[int, list[Attempt]] = {delivery_id: [] for delivery_id in delivery_ids}
    for row in await tx.fetch(READ_ATTEMPTS, list(delivery_ids)):
        told = dict(row)
        found[told.pop("delivery_id")].append(Attempt(**told))
    return found


async def read_payloads(tx: Tx, event_ids: Sequence[int]) -> dict[int, tuple[datetime, str]]:
    """When each event came to be, and its data as JSON text; without those forgotten."""
    rows = await tx.fetch(READ_PAYLOADS, list(event_ids))
    return {row["id"]: (row["created_at"], row["data"]) for row in rows}


async def lock(
    tx: Tx, client_id: int, delivery_ids: Sequence[int]
) -> dict[int, tuple[Delivery, EndpointStatus, bool]]:
    """Each delivery, its endpoint's status, and whether its event is still kept."""
    rows = await tx.fetch(LOCK, list(delivery_ids), client_id)
    return {
        row["id"]: (delivery_of(row), EndpointStatus(row["endpoint_status"]), row["kept"])
        for row in rows
    }


async def hasten(tx: Tx, asked: Sequence[Delivery], at: datetime) -> list[Delivery]:
    """Have what waits for the event and endpoint of these sent now."""
    pairs = [each.event_id for each in asked], [each.endpoint_id for each in asked]
    rows = await tx.fetch(HASTEN_FIRST, *pairs, at)
    rows += await tx.fetch(HASTEN_REPEATED, *pairs, at)
    return [delivery_of(row) for row in rows]


async def repeat(tx: Tx, delivery_ids: Sequence[int], at: datetime) -> list[Delivery]:
    return [delivery_of(row) for row in await tx.fetch(REPEAT, list(delivery_ids), at)]


async def recover_failed(
    tx: Tx, endpoint_id: int, since: datetime, at: datetime, limit: int
) -> int:
    return rows_affected(await tx.execute(RECOVER_FAILED, endpoint_id, since, at, limit))


async def recover_missed(
    tx: Tx,
    endpoint_id: int,
    client_id: int,
    event_types: Sequence[str] | None,
    since: datetime,
    at: datetime,
    limit: int,
) -> int:
    return rows_affected(
        await tx.execute(RECOVER_MISSED, endpoint_id, client_id, since, at, event_types, limit)
    )


async def recover_waiting(
    tx: Tx, endpoint_id: int, since: datetime, at: datetime, limit: int
) -> int:
    return rows_affected(await tx.execute(RECOVER_WAITING, endpoint_id, since, at, limit))


async def give_up_deleted(tx: Tx, at: datetime, why: str, limit: int) -> int:
    """End what waits for endpoints that are deleted; how many rows that were."""
    return rows_affected(await tx.execute(GIVE_UP, at, why, limit))


MADE_BOUNDS = """
SELECT min(id) AS first_id, max(id) AS last_id FROM webhook_deliveries
WHERE created_at >= $1 AND created_at < $2
"""
MADE = f"""
SELECT {COLUMNS} FROM webhook_deliveries AS d
WHERE d.id > $1 AND d.id <= $2 AND d.created_at >= $3 AND d.created_at < $4
    AND ($5::bigint IS NULL OR d.client_id = $5)
ORDER BY d.id
"""


async def made_bounds(tx: Tx, since: datetime, until: datetime) -> tuple[int, int] | None:
    row = await tx.fetchrow(MADE_BOUNDS, since, until)
    return None if row is None or row["first_id"] is None else (row["first_id"], row["last_id"])


async def made(
    tx: Tx, after_id: int, upto_id: int, since: datetime, until: datetime, client_id: int | None
) -> list[Delivery]:
    rows = await tx.fetch(MADE, after_id, upto_id, since, until, client_id)
    return [delivery_of(row) for row in rows]
