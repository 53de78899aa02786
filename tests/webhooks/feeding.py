"""What tests of the feed share: events that are emitted, sealed, and looked at."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg

from rewards.infra.db import Database, Tx
from rewards.webhooks import service
from rewards.webhooks.model import Event, EventType
from rewards.webhooks.sql_checks import CHECKS

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
FEED = "SELECT client_id, sequence, event_id FROM event_feed ORDER BY client_id, sequence"
ADD_ENDPOINT = """
INSERT INTO webhook_endpoints
    (client_id, name, url, event_types, secret, status, disabled_reason, disabled_at, deleted_at,
    created_at, updated_at)
VALUES ($1, '', 'https://example.com', $2, '', $3, CASE WHEN $3 = 'DISABLED' THEN 'CLIENT' END,
    CASE WHEN $3 = 'DISABLED' THEN now() END, CASE WHEN $4 THEN now() END, now(), now())
RETURNING id
"""


class Clock:
    """Stands still."""

    def __init__(self, at: datetime = AT) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at


def event(client_id: int = 1, kind: EventType = EventType.WALLET_CREDITED, **facts: Any) -> Event:
    return Event(client_id, kind, None, {"note": random.randrange(10**6)}, **facts)


async def emit(tx: Tx | asyncpg.Connection, *client_ids: int) -> None:
    """One event for each, in the caller's transaction."""
    await service.emit(tx, [event(client_id) for client_id in client_ids], AT)  # type: ignore[arg-type]


async def emitted(db: Database, *client_ids: int) -> None:
    async with db.transaction() as tx:
        await emit(tx, *client_ids)


async def feed(db: Database) -> list[tuple[int, int, int]]:
    """Client, sequence, event."""
    async with db.connection() as connection:
        return [tuple(row) for row in await connection.fetch(FEED)]


async def endpoint(
    db: Database,
    client_id: int = 1,
    types: Sequence[str] | None = None,
    status: str = "ENABLED",
    *,
    deleted: bool = False,
) -> int:
    """An endpoint's row; where it leads nobody goes. Its client need not be there."""
    async with db.transaction() as tx:
        await tx.execute("SET LOCAL session_replication_role = replica")
        return int(await tx.fetchval(ADD_ENDPOINT, client_id, types, status, deleted))


async def breaches(db: Database) -> dict[str, list[Any]]:
    async with db.connection() as connection:
        found = {name: await connection.fetch(check) for name, check in CHECKS.items()}
    return {name: rows for name, rows in found.items() if rows}
