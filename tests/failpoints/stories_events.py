"""Stories of events: numbered once for the feed and every endpoint, and sent until they arrive."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rewards.audit.sealing import AuditSealer, key_of
from rewards.core.actor import SYSTEM
from rewards.infra.outbound import Poster
from rewards.infra.targets import Targets
from rewards.webhooks import endpoints
from rewards.webhooks import service as events
from rewards.webhooks.model import Event, EventType
from rewards.webhooks.model_endpoints import NewEndpoint
from rewards.webhooks.sealing import Sealer
from rewards.webhooks.sender import Sender
from tests.failpoints.stories_orders import OrderStory
from tests.failpoints.story import Step, Story
from tests.failpoints.town import Process
from tests.infra.edge import Names

EVENTS = 3
LOCAL = Targets(local=True)
# What other stories left is not sent here.
ALONE = """
UPDATE webhook_deliveries
SET next_at = CASE WHEN endpoint_id = $1 THEN now() ELSE now() + interval '900 days' END
WHERE status = 'PENDING'
"""
SENT = """
SELECT d.*, (SELECT count(*) FROM webhook_attempts AS a WHERE a.delivery_id = d.id) AS kept
FROM webhook_deliveries AS d WHERE d.endpoint_id = $1 ORDER BY d.id
"""
ENDPOINT = """
INSERT INTO webhook_endpoints (client_id, name, url, secret, status, created_at, updated_at)
VALUES ($1, '', 'https://example.com', '', 'ENABLED', now(), now())
"""
PLACED = """
SELECT e.id, a.position FROM audit_entries AS e LEFT JOIN audit_chain AS a ON a.entry_id = e.id
WHERE e.client_id = $1
"""
WHOLE = """
SELECT count(*) AS places, max(position) AS last,
    (SELECT max(last_position) FROM audit_seals) AS sealed
FROM audit_chain
"""
FED = """
SELECT f.sequence, e.type, (
    SELECT count(*) FROM webhook_deliveries AS d WHERE d.event_id = e.id AND d.sequence = f.sequence
) AS deliveries
FROM events AS e LEFT JOIN event_feed AS f ON f.event_id = e.id AND f.client_id = e.client_id
WHERE e.client_id = $1 ORDER BY f.sequence
"""


class Fed(OrderStory):
    """An order is placed; its events are numbered, and queued for the client's endpoint, once."""

    own = "commit infra.sealing."

    async def begin(self) -> None:
        await super().begin()
        await self.town.value(ENDPOINT, self.client_id)

    def steps(self) -> Sequence[Step]:
        return [self.place, self.seal]

    async def seal(self) -> None:
        await Sealer(self.town.mine.parts.db, self.town.clock).drain()

    async def settled(self) -> bool:
        await Sealer(self.town.other.parts.db, self.town.clock).drain()
        return all(row["sequence"] for row in await self.town.rows(FED, self.client_id))

    async def check(self) -> None:
        await super().check()
        told = await self.town.rows(FED, self.client_id)
        assert [row["sequence"] for row in told] == list(range(1, len(told) + 1))
        assert told[-1]["type"] == "order.delivered"
        assert {row["deliveries"] for row in told} == {1}


class Chained(OrderStory):
    """An order is placed; what the trail says of it has its place in the chain, once."""

    own = "commit infra.sealing."

    def steps(self) -> Sequence[Step]:
        return [self.place, self.seal]

    async def seal(self) -> None:
        await self.trail(self.town.mine).drain()

    def trail(self, process: Process) -> AuditSealer:
        parts = process.parts
        return AuditSealer(parts.db, self.town.clock, key_of(parts.vault))

    async def settled(self) -> bool:
        await self.trail(self.town.other).drain()
        return True

    async def check(self) -> None:
        await super().check()
        told = await self.town.rows(PLACED, self.client_id)
        assert told
        assert all(row["position"] for row in told)
        [chain] = await self.town.rows(WHOLE)
        assert chain["places"] == chain["last"] == chain["sealed"]


class Sent(Story):
    """Events go to an endpoint, at least once each, under one id; each attempt is written down."""

    async def begin(self) -> None:
        self.client_id = await self.shop.client()
        self.path = f"client-{self.client_id}"
        self.receiver = self.town.receiver
        parts = self.town.other.parts
        new = NewEndpoint(self.client_id, self.receiver.url(self.path))
        async with parts.db.transaction() as tx:
            made = await endpoints.create(
                *(tx, parts.vault, LOCAL, new, SYSTEM, self.town.clock.now())
            )
            credited = Event(self.client_id, EventType.WALLET_CREDITED, None, {"amount": 1})
            await events.emit(tx, [credited] * EVENTS, self.town.clock.now())
        self.endpoint_id = made.endpoint.id
        await Sealer(parts.db, self.town.clock).drain()
        await self.town.value(ALONE, self.endpoint_id)

    def steps(self) -> Sequence[Step]:
        return [self.send]

    async def send(self) -> None:
        await self.drain(self.town.mine)

    async def drain(self, process: Process) -> None:
        async with Poster(LOCAL, resolver=Names({}), total_s=2.0) as poster:
            parts = process.parts
            await Sender(parts.db, parts.vault, self.town.clock, poster).drain()

    async def settled(self) -> bool:
        await self.drain(self.town.other)
        return {each["status"] for each in await self.deliveries()} == {"DELIVERED"}

    async def deliveries(self) -> list[dict[str, Any]]:
        return await self.town.rows(SENT, self.endpoint_id)

    async def check(self) -> None:
        """Each came once, and once more where nobody could write down that it had."""
        heard = self.receiver.ids(self.path)
        told = await self.deliveries()
        assert set(heard) == {f"evt_{each['event_id']}" for each in told}
        assert len(told) == EVENTS
        assert max(Counter(heard).values()) <= (1 if self.strike is None else 2)
        assert all(each["kept"] == each["attempts"] <= 2 for each in told)
        if self.strike is None:
            assert {each["attempts"] for each in told} == {1}


EVENT_STORIES = (Fed, Chained, Sent)
