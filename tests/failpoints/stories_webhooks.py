"""Stories of webhooks: what is done to them, and what becomes of what still waits."""

from collections.abc import Sequence
from typing import Any

from rewards.core.actor import SYSTEM
from rewards.infra.targets import Targets
from rewards.webhooks import endpoints
from rewards.webhooks.model_endpoints import NewEndpoint
from rewards.webhooks.sealing import Sealer
from tests.failpoints.stories_people import Act, Facts, story_of
from tests.failpoints.story import Step, Story
from tests.failpoints.town import Town

URL = "https://shop.example/hooks"
EVENT = """
INSERT INTO events (client_id, type, data, created_at)
VALUES ($1, 'wallet.credited', '{}', now()) RETURNING id
"""
FAIL = """
UPDATE webhook_deliveries SET status = 'FAILED', last_error = 'HTTP 500', finished_at = now()
WHERE endpoint_id = $1 AND event_id = $2 RETURNING id
"""
REVIVE = """
UPDATE webhook_deliveries SET status = 'PENDING', finished_at = NULL,
    next_at = now() + interval '900 days'
WHERE id = $1
"""


async def webhook(town: Town, facts: Facts) -> Facts:
    parts = town.other.parts
    async with parts.db.transaction() as tx:
        made = await endpoints.create(
            *(tx, parts.vault, Targets(), NewEndpoint(facts["client"], URL)),
            *(SYSTEM, town.clock.now()),
        )
    return {"webhook": made.endpoint.id}


async def failed_delivery(town: Town, facts: Facts) -> Facts:
    facts = facts | await webhook(town, facts)
    event_id = await town.value(EVENT, facts["client"])
    await Sealer(town.other.parts.db, town.clock).drain()
    made = await town.value(FAIL, facts["webhook"], event_id)
    return {"webhook": facts["webhook"], "delivery": made}


HOOKS = "/clients/{client}/webhooks"
ACTS = (
    Act("POST", HOOKS, {"url": URL}),
    Act("PATCH", HOOKS + "/{webhook}", {"status": "DISABLED"}, webhook),
    Act("POST", HOOKS + "/{webhook}/rotate-secret", {}, webhook),
    Act("POST", HOOKS + "/{webhook}/recover", {"since": "2026-01-01T00:00:00Z"}, failed_delivery),
    Act("POST", HOOKS + "/deliveries/{delivery}/redeliver", None, failed_delivery),
)


class WaitedInVain(Story):
    """A webhook is deleted: what waited for it is given up, and says why."""

    own = "commit webhooks"

    async def begin(self) -> None:
        self.client_id = await self.shop.client()
        self.facts: dict[str, Any] = {"client": self.client_id}
        self.facts |= await failed_delivery(self.town, self.facts)
        await self.town.value(REVIVE, self.facts["delivery"])

    def steps(self) -> Sequence[Step]:
        return [self.delete, self.work]

    async def delete(self) -> None:
        path = (HOOKS + "/{webhook}").format_map(self.facts)
        await self.town.staff("operations", "DELETE", path, again=(404,))

    async def work(self) -> None:
        await self.town.mine.worker.drain()

    async def settled(self) -> bool:
        waiting = "SELECT count(*) FROM webhook_deliveries WHERE id = $1 AND status = 'PENDING'"
        return not await self.town.value(waiting, self.facts["delivery"])

    async def check(self) -> None:
        [row] = await self.town.rows(
            "SELECT status, last_error, finished_at FROM webhook_deliveries WHERE endpoint_id = $1",
            self.facts["webhook"],
        )
        assert (row["status"], row["last_error"]) == ("FAILED", "The webhook was deleted")
        assert row["finished_at"] is not None


WEBHOOK_STORIES = (WaitedInVain, *map(story_of, ACTS))
