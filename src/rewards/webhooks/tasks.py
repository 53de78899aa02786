"""What a worker does for events in the background: forgets them when they are old."""

from datetime import timedelta

from rewards.core.clock import Clock
from rewards.infra.db import Database
from rewards.webhooks import sql_retention

# How long an event can be read, and sent again (spec.md §2, §7).
EVENTS_KEPT = timedelta(days=90)
CLIENTS_A_ROUND = 20
EVENTS_A_CLIENT = 250
FORGET_ROUND_MAX = 1_000


class EventTasks:
    """Recurring work on events."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def forget(self) -> int:
        """Drop events sealed more than EVENTS_KEPT ago with their deliveries, in bounded rounds.

        Returns how many. Those that are kept keep their sequence, and the next one goes on from it.
        """
        before, count = self._clock.now() - EVENTS_KEPT, 0
        for _ in range(FORGET_ROUND_MAX):
            async with self._db.transaction() as tx:
                gone = await sql_retention.forget(tx, before, CLIENTS_A_ROUND, EVENTS_A_CLIENT)
            count += gone
            if not gone:
                break
        return count
