"""Opens what sends webhooks in a worker: a sender with connections of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rewards.core.clock import Clock
from rewards.infra.changes import ChangeFeed
from rewards.infra.crypto import Vault
from rewards.infra.db import Database
from rewards.infra.outbound import Poster
from rewards.infra.settings import Settings
from rewards.infra.targets import Targets
from rewards.webhooks.model_endpoints import CHANGES_TOPIC
from rewards.webhooks.sender import Sender

# To lease on, to write down on, and one to spare; no job ever waits for them, nor they for a job.
POOL_SIZE = 3


@asynccontextmanager
async def delivering(
    dsn: str, settings: Settings, vault: Vault, feed: ChangeFeed, clock: Clock
) -> AsyncIterator[Sender]:
    """A sender that hears of changed endpoints; closed when the block ends, after its `run`."""
    db = await Database.connect(dsn, settings, size=POOL_SIZE, name="webhooks")
    try:
        async with Poster(Targets.from_settings(settings)) as poster:
            sender = Sender(db, vault, clock, poster)
            feed.subscribe(CHANGES_TOPIC, sender.forget)
            yield sender
    finally:
        await db.close()
