"""Stories of events: numbered once, for whoever follows the feed and for every endpoint."""

from collections.abc import Sequence

from rewards.webhooks.sealing import Sealer
from tests.failpoints.stories_orders import OrderStory
from tests.failpoints.story import Step

ENDPOINT = """
INSERT INTO webhook_endpoints (client_id, name, url, secret, status, created_at, updated_at)
VALUES ($1, '', 'https://example.com', '', 'ENABLED', now(), now())
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

    own = "commit webhooks."

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


EVENT_STORIES = (Fed,)
