"""Reads a client's events in their order, and waits for those to come (spec.md §2, §7)."""

import asyncio

from rewards.infra.db import Database
from rewards.webhooks import sql_feed
from rewards.webhooks.envelope import envelope
from rewards.webhooks.model_feed import FeedAsk, FeedPage, starting_at
from rewards.webhooks.waiting import Waiting

# Events looked at for one page, where few are of the types that are wanted.
LOOK_MAX = 5_000
WAIT_MAX_S = 30


class Feed:
    """One a process, with those who wait in it."""

    def __init__(
        self, db: Database, *, wait_max_s: float = WAIT_MAX_S, waiting: Waiting | None = None
    ) -> None:
        self._db = db
        self._wait_max_s = wait_max_s
        self._waiting = waiting or Waiting(db)

    def close(self) -> None:
        """Answer those who wait: this process is about to end."""
        self._waiting.close()

    async def read(self, ask: FeedAsk) -> FeedPage:
        """The events above a cursor, and the next cursor.

        What a page did not show will never show below its cursor. A page without events may have
        `more`: then none of those looked at had a type that was wanted. Raises EventsForgotten and
        EventsAhead.
        """
        most = ask.limit if ask.types is None else LOOK_MAX
        async with self._db.connection() as connection:
            rows, upto = await sql_feed.page(
                connection, ask.client_id, ask.after or 0, ask.types, ask.limit, most
            )
            # Afterwards: what is kept now was there a moment ago, so the page had no hole.
            first, last = await sql_feed.bounds(connection, ask.client_id)
        start = starting_at(ask.after, first, last)
        events = [
            envelope(row["id"], row["type"], row["created_at"], row["sequence"], row["data"])
            for row in rows
        ]
        # A full page may have left some of what was looked at.
        reached = events[-1].sequence if len(events) == ask.limit else max(upto, start)
        return FeedPage(events, reached, max(last, reached))

    async def wait(self, ask: FeedAsk, wait_s: float) -> FeedPage:
        """`read`, but where nothing is there the first that comes within `wait_s`, if any does.

        Raises TooManyRequests when too many wait already.
        """
        clock = asyncio.get_running_loop()
        until_s = clock.time() + min(wait_s, self._wait_max_s)
        with self._waiting.place(ask.client_id) as place:
            page = await self.read(ask)
            while not (page.events or page.more) and clock.time() < until_s:
                await place.sleep(page.after, until_s - clock.time())
                following = FeedAsk(ask.client_id, page.after, ask.limit, ask.types)
                page = await self.read(following)
                if self._waiting.closed:
                    break
        return page
