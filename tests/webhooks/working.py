"""What a worker does for webhooks, done here and now: events get their places, and are sent."""

from datetime import timedelta

from rewards.entry.wiring import Parts
from rewards.infra.outbound import Poster
from rewards.webhooks.sealing import Sealer
from rewards.webhooks.sender import Sender
from tests.webhooks.posting import HASTE, LOCAL

# A test may have moved its clock ahead of the database's, by which is told what is due.
AHEAD_MAX = timedelta(days=1)


async def send_events(parts: Parts) -> None:
    """Return once what waits was tried."""
    await Sealer(parts.db, parts.clock).drain()
    async with parts.db.transaction() as tx:
        await tx.execute(HASTE, AHEAD_MAX)
    async with Poster(LOCAL, total_s=5.0) as poster:
        await Sender(parts.db, parts.vault, parts.clock, poster).drain()
