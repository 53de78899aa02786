"""The statements on endpoints: rows in, rows out."""

from collections.abc import Sequence
from datetime import datetime

from rewards.core.page import PageAsk
from rewards.infra.db import Record, Tx
from rewards.webhooks.model import DisabledReason, Endpoint, EndpointStatus
from rewards.webhooks.model_endpoints import SealedEndpoint

# Two that a client adds at once are counted one after the other.
LOCK_CLIENT = "SELECT pg_advisory_xact_lock(hashtextextended('rewards webhooks ' || $1::bigint, 0))"
COUNT = "SELECT count(*) FROM webhook_endpoints WHERE client_id = $1 AND deleted_at IS NULL"
# The id comes first: what is sealed is bound to it.
NEXT_ID = "SELECT nextval(pg_get_serial_sequence('webhook_endpoints', 'id'))"
COLUMNS = """
    w.id, w.client_id, w.name, w.url, w.event_types, w.credential_id, w.previous_until, w.status,
    w.disabled_reason, w.disabled_at, w.failing_since, w.created_at, w.updated_at
"""
INSERT = f"""
INSERT INTO webhook_endpoints AS w (
    id, client_id, name, url, event_types, credential_id, secret, status, created_at, updated_at
)
OVERRIDING SYSTEM VALUE
VALUES ($1, $2, $3, $4, $5, $6, $7, 'ENABLED', $8, $8)
RETURNING {COLUMNS}
"""
LOCK = f"""
SELECT {COLUMNS}, w.secret, w.previous_secret FROM webhook_endpoints AS w
WHERE w.id = $1 AND w.client_id = $2 AND w.deleted_at IS NULL FOR NO KEY UPDATE
"""
UPDATE = f"""
UPDATE webhook_endpoints AS w SET
    name = $2, url = $3, event_types = $4, status = $5, disabled_reason = $6, disabled_at = $7,
    failing_since = $8, updated_at = $9
WHERE w.id = $1
RETURNING {COLUMNS}
"""
ROTATE = f"""
UPDATE webhook_endpoints AS w SET
    credential_id = NULL, secret = $2, previous_secret = $3, previous_until = $4, updated_at = $5
WHERE w.id = $1
RETURNING {COLUMNS}
"""
# Nothing signs for it any more, so no secret is kept.
DELETE = f"""
UPDATE webhook_endpoints AS w SET
    deleted_at = $2, updated_at = $2, secret = CASE WHEN credential_id IS NULL THEN ''::bytea END,
    previous_secret = NULL, previous_until = NULL
WHERE w.id = $1
RETURNING {COLUMNS}
"""
READ = f"""
SELECT {COLUMNS} FROM webhook_endpoints AS w
WHERE w.id = ANY($1::bigint[]) AND w.client_id = $2 AND w.deleted_at IS NULL
"""
LIST = f"""
SELECT {COLUMNS} FROM webhook_endpoints AS w
WHERE w.client_id = $1 AND w.deleted_at IS NULL ORDER BY w.id LIMIT $2 OFFSET $3
"""
# Of all clients; a small table, of which staff look at what went wrong.
_TROUBLED = """
    w.deleted_at IS NULL AND ($1::text IS NULL OR w.status = $1)
    AND ($2::boolean IS NULL OR (w.failing_since IS NOT NULL) = $2)
"""
LIST_ALL = f"""
SELECT {COLUMNS} FROM webhook_endpoints AS w WHERE {_TROUBLED} ORDER BY w.id LIMIT $3 OFFSET $4
"""
COUNT_ALL = f"SELECT count(*) FROM webhook_endpoints AS w WHERE {_TROUBLED}"
READ_SEALED = f"""
SELECT {COLUMNS}, w.secret, w.previous_secret FROM webhook_endpoints AS w
WHERE w.id = ANY($1::bigint[]) AND w.deleted_at IS NULL
"""


def endpoint_of(row: Record) -> Endpoint:
    types, reason = row["event_types"], row["disabled_reason"]
    return Endpoint(
        id=row["id"],
        client_id=row["client_id"],
        name=row["name"],
        url=row["url"],
        event_types=None if types is None else tuple(types),
        credential_id=row["credential_id"],
        previous_until=row["previous_until"],
        status=EndpointStatus(row["status"]),
        disabled_reason=None if reason is None else DisabledReason(reason),
        disabled_at=row["disabled_at"],
        failing_since=row["failing_since"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _sealed(row: Record) -> SealedEndpoint:
    return SealedEndpoint(endpoint_of(row), row["secret"], row["previous_secret"])


async def lock_client(tx: Tx, client_id: int) -> int:
    """How many endpoints it has; nobody adds another until the transaction ends."""
    await tx.execute(LOCK_CLIENT, client_id)
    return int(await tx.fetchval(COUNT, client_id))


async def next_id(tx: Tx) -> int:
    return int(await tx.fetchval(NEXT_ID))


async def insert(
    tx: Tx,
    endpoint_id: int,
    *,
    client_id: int,
    name: str,
    url: str,
    event_types: Sequence[str] | None,
    credential_id: int | None,
    secret: bytes | None,
    at: datetime,
) -> Endpoint:
    row = await tx.fetchrow(
        *(INSERT, endpoint_id, client_id, name, url),
        *(event_types, credential_id, secret, at),
    )
    assert row is not None
    return endpoint_of(row)


async def lock(tx: Tx, client_id: int, endpoint_id: int) -> SealedEndpoint | None:
    row = await tx.fetchrow(LOCK, endpoint_id, client_id)
    return _sealed(row) if row else None


async def update(tx: Tx, after: Endpoint) -> Endpoint:
    row = await tx.fetchrow(
        *(UPDATE, after.id, after.name, after.url, after.event_types, after.status),
        *(after.disabled_reason, after.disabled_at, after.failing_since, after.updated_at),
    )
    assert row is not None, "the row is locked"
    return endpoint_of(row)


async def rotate(
    tx: Tx,
    endpoint_id: int,
    *,
    secret: bytes,
    previous_secret: bytes | None,
    previous_until: datetime | None,
    at: datetime,
) -> Endpoint:
    row = await tx.fetchrow(ROTATE, endpoint_id, secret, previous_secret, previous_until, at)
    assert row is not None, "the row is locked"
    return endpoint_of(row)


async def delete(tx: Tx, endpoint_id: int, at: datetime) -> Endpoint:
    row = await tx.fetchrow(DELETE, endpoint_id, at)
    assert row is not None, "the row is locked"
    return endpoint_of(row)


async def read(tx: Tx, client_id: int, endpoint_ids: Sequence[int]) -> dict[int, Endpoint]:
    rows = await tx.fetch(READ, list(endpoint_ids), client_id)
    return {row["id"]: endpoint_of(row) for row in rows}


async def list_of_client(tx: Tx, client_id: int, ask: PageAsk) -> tuple[list[Endpoint], int]:
    rows = await tx.fetch(LIST, client_id, ask.size, ask.offset)
    return [endpoint_of(row) for row in rows], int(await tx.fetchval(COUNT, client_id))


async def list_all(
    tx: Tx, status: EndpointStatus | None, failing: bool | None, ask: PageAsk
) -> tuple[list[Endpoint], int]:
    rows = await tx.fetch(LIST_ALL, status, failing, ask.size, ask.offset)
    return [endpoint_of(row) for row in rows], int(await tx.fetchval(COUNT_ALL, status, failing))


async def read_sealed(tx: Tx, endpoint_ids: Sequence[int]) -> dict[int, SealedEndpoint]:
    rows = await tx.fetch(READ_SEALED, list(endpoint_ids))
    return {row["id"]: _sealed(row) for row in rows}
