"""What a worker does for the request log: forgets days that are over, each at one stroke."""

from rewards.core.clock import Clock
from rewards.infra.db import Database
from rewards.infra.settings import Settings
from rewards.traffic import service


async def forget_requests(db: Database, clock: Clock, settings: Settings) -> int:
    """Empty the partitions of days that are no longer kept; return how many."""
    today = clock.now().date()
    async with db.connection() as connection:
        slots = await service.old_slots(connection, today, settings.request_log_days)
    for slot in slots:
        async with db.transaction() as tx:
            await service.forget(tx, slot)
    return len(slots)
