"""What a worker does for webhooks, done here and now: events get their places, and are sent."""

from rewards.infra.outbound import Poster
from rewards.webhooks.sealing import Sealer
from rewards.webhooks.sender import Sender
from tests.members.company import Company
from tests.webhooks.posting import LOCAL


async def send_events(company: Company) -> None:
    """Return once what is due was tried."""
    parts = company.shop.parts
    await Sealer(parts.db, parts.clock).drain()
    async with Poster(LOCAL, total_s=5.0) as poster:
        await Sender(parts.db, parts.vault, parts.clock, poster).drain()
