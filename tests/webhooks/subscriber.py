"""Clients with keys who ask the served API about their webhooks, and what lies in the tables."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp

from rewards.clients import service as clients
from rewards.clients.model import NewClient, NewCredential
from rewards.core.actor import Actor, ActorKind
from rewards.entry.api import build_app
from rewards.entry.wiring import Parts, open_parts
from rewards.infra.db import Tx
from rewards.infra.settings import Settings
from rewards.webhooks import service
from rewards.webhooks.acts import Whose
from rewards.webhooks.model import Event, EventType
from rewards.webhooks.model_endpoints import NewEndpoint
from tests.serving import served

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
URL = "https://shop.example/hooks?key=4711-private"
SCOPES = {
    "reader": frozenset({"webhooks:read"}),
    "narrow": frozenset({"orders:read", "orders:write"}),
}
FEED = """
INSERT INTO event_feed (client_id, sequence, event_id, sealed_at)
SELECT client_id, coalesce(last_sequence, 0) + 1, id, created_at
FROM events LEFT JOIN event_counters USING (client_id) WHERE id = $1
RETURNING client_id, sequence
"""
COUNT = """
INSERT INTO event_counters AS c VALUES ($1, $2)
ON CONFLICT (client_id) DO UPDATE SET last_sequence = excluded.last_sequence
"""
QUEUE = """
INSERT INTO webhook_deliveries (endpoint_id, client_id, event_id, sequence, event_type, status,
    attempts, next_at, last_status_code, last_error, created_at, finished_at)
SELECT $1, f.client_id, e.id, f.sequence, e.type, $3, $4::int,
    $5::timestamptz + make_interval(hours => $4::int),
    CASE $3 WHEN 'DELIVERED' THEN 200 WHEN 'FAILED' THEN 500 END,
    CASE $3 WHEN 'FAILED' THEN 'HTTP 500' END, $5, CASE WHEN $3 <> 'PENDING' THEN $5 END
FROM events AS e JOIN event_feed AS f ON f.event_id = e.id WHERE e.id = $2
RETURNING id
"""
ATTEMPT = """
INSERT INTO webhook_attempts (delivery_id, number, started_at, took_ms, status_code, error, answer)
VALUES ($1, $2, $3, 12, $4, $5, $6)
"""
TABLES = """
SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'
    AND tablename NOT IN ('schema_migrations', 'data_keys', 'credential_uses')
    AND tablename !~ '^client_requests' ORDER BY 1
"""


class MovedClock:
    def __init__(self) -> None:
        self.at = AT

    def now(self) -> datetime:
        return self.at

    def advance(self, **by: float) -> None:
        self.at += timedelta(**by)


@dataclass(frozen=True)
class Reply:
    status: int
    text: str
    headers: Mapping[str, str]

    @property
    def body(self) -> Any:
        return json.loads(self.text)

    @property
    def refusal(self) -> tuple[int, str, str]:
        body = self.body
        assert body.keys() <= {"error", "message", "code", "request_id", "details"}
        return self.status, body["message"], body["code"]


@dataclass
class Subscriber:
    """Asks as client 1 unless told otherwise; `reader` may only read, `narrow` nothing here."""

    parts: Parts
    clock: MovedClock
    url: str
    session: aiohttp.ClientSession
    ids: dict[object, int] = field(default_factory=dict)
    keys: dict[object, dict[str, str]] = field(default_factory=lambda: {"nobody": {}})
    credentials: dict[object, int] = field(default_factory=dict)

    async def call(
        self, method: str, path: str, body: Any = None, *, who: object = 1, **query: object
    ) -> Reply:
        params = {name.rstrip("_"): str(value) for name, value in query.items()}
        async with self.session.request(
            method,
            f"{self.url}/api/v1/webhooks{path}",
            params=params,
            headers=self.keys[who] | {"Content-Type": "application/json"},
            data=None if body is None else json.dumps(body),
        ) as answer:
            return Reply(answer.status, await answer.text(), answer.headers)

    async def get(self, path: str = "", **more: Any) -> Reply:
        return await self.call("GET", path, **more)

    async def post(self, path: str = "", body: Any = None, **more: Any) -> Reply:
        return await self.call("POST", path, body, **more)

    async def endpoint(self, who: object = 1, **told: Any) -> int:
        """Made past the HTTP interface; its id."""
        new = NewEndpoint(self.ids[who], told.pop("url", URL), **told)
        return (await self.parts.webhooks.create(self.whose(who), new)).endpoint.id

    def whose(self, who: object = 1) -> Whose:
        return Whose(self.ids[who], Actor(ActorKind.CLIENT, self.ids[who]))

    async def event(self, kind: EventType = EventType.ORDER_DELIVERED, who: object = 1) -> int:
        """An event of now in the feed, and no delivery of it; its id."""
        async with self.parts.db.transaction() as tx:
            [event_id] = await service.emit(
                tx, [Event(self.ids[who], kind, 5, {"order_id": 5})], self.clock.now()
            )
            await _feed(tx, event_id)
        return event_id

    async def queued(
        self,
        endpoint_id: int,
        status: str = "PENDING",
        *,
        attempts: int = 0,
        kind: EventType = EventType.ORDER_DELIVERED,
        who: object = 1,
    ) -> int:
        """A delivery of a fresh event, as the sealer queues it and the sender leaves it; its id."""
        event_id = await self.event(kind, who)
        async with self.parts.db.transaction() as tx:
            made = await tx.fetchval(
                QUEUE, endpoint_id, event_id, status, attempts, self.clock.now()
            )
            for number in range(1, attempts + 1):
                good = status == "DELIVERED" and number == attempts
                told = (200, None, "thanks") if good else (500, None, "oops")
                await tx.execute(ATTEMPT, made, number, self.clock.now(), *told)
        return int(made)

    async def rows(self, statement: str, *values: object) -> list[dict[str, Any]]:
        async with self.parts.db.connection() as connection:
            return [dict(row) for row in await connection.fetch(statement, *values)]

    async def everything(self) -> dict[str, list[str]]:
        """Every row of every table, to see that nothing changed."""
        found = {}
        for row in await self.rows(TABLES):
            name = row["tablename"]
            found[name] = sorted(map(str, await self.rows(f"SELECT * FROM {name}")))
        return found

    async def audit(self) -> list[dict[str, Any]]:
        return await self.rows("SELECT * FROM audit_entries ORDER BY id")


async def _feed(tx: Tx, event_id: int) -> None:
    row = await tx.fetchrow(FEED, event_id)
    await tx.execute(COUNT, row["client_id"], row["sequence"])


@asynccontextmanager
async def subscriber(dsn: str, settings: Settings) -> AsyncIterator[Subscriber]:
    """Clients 1 and 2 with a key each, and the whole API on loopback."""
    clock = MovedClock()
    async with open_parts(dsn, settings, clock) as parts:
        async with parts.db.transaction() as tx:
            one, two = await clients.create(tx, [NewClient("one"), NewClient("two")], AT)
            asks = [
                NewCredential(one.id),
                NewCredential(two.id),
                *(NewCredential(one.id, scopes=scopes) for scopes in SCOPES.values()),
            ]
            issued = await clients.issue_credentials(tx, parts.vault, settings, asks, AT)
        async with served(build_app(parts)) as url, aiohttp.ClientSession() as session:
            made = Subscriber(parts, clock, url, session)
            for who, credential in zip((1, 2, *SCOPES), issued, strict=True):
                made.ids[who] = credential.client_id
                made.credentials[who] = credential.id
                made.keys[who] = {
                    "X-API-Key": credential.api_key,
                    "X-API-Secret": credential.api_secret,
                }
            yield made
