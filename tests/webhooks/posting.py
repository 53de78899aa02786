"""What tests of the sender share: endpoints, deliveries that wait, and what came of them."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from rewards.clients import service as clients
from rewards.clients.model import NewClient
from rewards.core.actor import SYSTEM
from rewards.core.clock import Clock, SystemClock
from rewards.infra.crypto import Vault
from rewards.infra.db import Database
from rewards.infra.outbound import Poster
from rewards.infra.settings import Settings
from rewards.infra.targets import Targets
from rewards.webhooks import endpoints, signing
from rewards.webhooks.model_endpoints import NewEndpoint
from rewards.webhooks.sender import Sender
from rewards.webhooks.sql_checks import CHECKS
from tests.webhooks.receiver import Receiver, receiving

LOCAL = Targets(local=True)
WAIT_S = 30.0
POLL_S = 0.01
# Events that were sealed, for each client $2 and of as many as $1 says, to each of its endpoints.
QUEUE = """
WITH told AS (
    INSERT INTO events (client_id, type, data, created_at)
    SELECT $2, 'wallet.credited', jsonb_build_object('number', n), now()
    FROM generate_series(1, $1::int) AS n
    RETURNING id, client_id, type
), counter AS (
    INSERT INTO event_counters AS c (client_id, last_sequence) VALUES ($2, $1)
    ON CONFLICT (client_id) DO UPDATE SET last_sequence = c.last_sequence + $1
    RETURNING last_sequence
), fed AS (
    INSERT INTO event_feed (client_id, sequence, event_id, sealed_at)
    SELECT client_id, last_sequence - $1 + row_number() OVER (ORDER BY id), id, now()
    FROM told, counter
    RETURNING event_id, client_id, sequence
)
INSERT INTO webhook_deliveries
    (endpoint_id, client_id, event_id, sequence, event_type, next_at, created_at)
SELECT w.id, f.client_id, f.event_id, f.sequence, 'wallet.credited', now(), now()
FROM fed AS f JOIN webhook_endpoints AS w USING (client_id)
WHERE w.status = 'ENABLED' AND w.deleted_at IS NULL
ORDER BY f.event_id, w.id
"""
OPEN = "SELECT count(*) FROM webhook_deliveries WHERE status = 'PENDING' AND next_at <= now()"
# Without waiting for a sender, nor in its way.
HASTE = """
UPDATE webhook_deliveries SET next_at = next_at - $1::interval
WHERE id = ANY (ARRAY(
    SELECT id FROM webhook_deliveries WHERE status = 'PENDING' AND lease IS NULL
    ORDER BY id FOR UPDATE SKIP LOCKED
))
"""


@dataclass
class Post:
    """A sender over a database, and receivers that its endpoints lead to."""

    db: Database
    vault: Vault
    receiver: Receiver
    poster: Poster
    clock: Clock = field(default_factory=SystemClock)
    secrets: dict[int, str] = field(default_factory=dict, repr=False)
    dsn: str = ""

    def sender(self, **facts: Any) -> Sender:
        return Sender(self.db, self.vault, self.clock, facts.pop("poster", self.poster), **facts)

    async def client(self) -> int:
        async with self.db.transaction() as tx:
            [client] = await clients.create(tx, [NewClient(name="Told")], self.clock.now())
        return client.id

    async def endpoint(self, client_id: int, path: str, **facts: Any) -> int:
        """One that leads to this path of the receiver."""
        new = NewEndpoint(client_id, self.receiver.url(path), facts.pop("name", path), **facts)
        async with self.db.transaction() as tx:
            shown = await endpoints.create(tx, self.vault, LOCAL, new, SYSTEM, self.clock.now())
        if shown.secret:
            self.secrets[shown.endpoint.id] = shown.secret
        return shown.endpoint.id

    async def lone(self, path: str = "hook", **facts: Any) -> tuple[int, int]:
        """A client and its one endpoint."""
        client_id = await self.client()
        return client_id, await self.endpoint(client_id, path, **facts)

    async def queue(self, client_id: int, count: int = 1) -> None:
        """So many events for the client, and a delivery of each to each of its endpoints."""
        async with self.db.transaction() as tx:
            await tx.execute(QUEUE, count, client_id)

    async def rows(self, statement: str, *args: object) -> list[dict[str, Any]]:
        async with self.db.connection() as connection:
            return [dict(row) for row in await connection.fetch(statement, *args)]

    async def value(self, statement: str, *args: object) -> Any:
        async with self.db.connection() as connection:
            return await connection.fetchval(statement, *args)

    async def execute(self, statement: str, *args: object) -> None:
        async with self.db.transaction() as tx:
            await tx.execute(statement, *args)

    async def pass_time(self, by: timedelta) -> None:
        """For deliveries: as if they had been queued, and tried, so much earlier."""
        await self.execute(HASTE, by)

    async def deliveries(self, endpoint_id: int) -> list[dict[str, Any]]:
        return await self.rows(
            "SELECT * FROM webhook_deliveries WHERE endpoint_id = $1 ORDER BY id", endpoint_id
        )

    async def attempts(self, endpoint_id: int) -> list[dict[str, Any]]:
        return await self.rows(
            "SELECT a.* FROM webhook_attempts AS a JOIN webhook_deliveries AS d"
            " ON d.id = a.delivery_id WHERE d.endpoint_id = $1 ORDER BY d.id, a.number",
            endpoint_id,
        )

    async def health(self, endpoint_id: int) -> dict[str, Any]:
        [row] = await self.rows("SELECT * FROM webhook_endpoints WHERE id = $1", endpoint_id)
        return row

    async def breaches(self) -> dict[str, list[Any]]:
        found = {name: await self.rows(check) for name, check in CHECKS.items()}
        return {name: rows for name, rows in found.items() if rows}

    def verify_all(self, endpoint_id: int, path: str) -> None:
        """Everything that came at this path is signed, recently, by the endpoint's secret."""
        key = signing.key_of(self.secrets[endpoint_id])
        for one in self.receiver.heard[path]:
            heard_at = self.clock.now().timestamp() - (time.monotonic() - one.at_s)
            assert signing.verified(key, one.headers, one.body, heard_at)


@asynccontextmanager
async def open_post(db: Database, home: Path, *, total_s: float = 2.0) -> AsyncIterator[Post]:
    """`total_s`: what an attempt may take, shorter than in earnest."""
    vault = await Vault.open_database(db, Settings(home=home))
    async with receiving() as receiver, Poster(LOCAL, total_s=total_s) as poster:
        yield Post(db, vault, receiver, poster)


async def until(true: Callable[[], bool], said: str = "it never happens") -> None:
    async with asyncio.timeout(WAIT_S):
        while not true():
            await asyncio.sleep(POLL_S)


@asynccontextmanager
async def sending(*senders: Sender) -> AsyncIterator[None]:
    """They run, and end as a worker has them end."""
    stop = asyncio.Event()
    running = [asyncio.create_task(sender.run(stop)) for sender in senders]
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(*running)


def sequences(deliveries: Sequence[dict[str, Any]]) -> list[int]:
    return [each["sequence"] for each in deliveries]
