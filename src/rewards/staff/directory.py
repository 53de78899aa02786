"""Sessions of staff with their owners, in memory; what changed is read again within a second."""

from dataclasses import replace
from datetime import datetime

from rewards.infra.changes import ChangeFeed
from rewards.infra.db import Database
from rewards.staff import sessions
from rewards.staff.model import CHANGES_TOPIC
from rewards.staff.model_sessions import SignedIn

# Far more than work at once. Whoever finds it full begins it anew.
KEPT_MAX = 10_000


class StaffDirectory:
    """One a process."""

    def __init__(self, db: Database, feed: ChangeFeed) -> None:
        self._db = db
        self._feed = feed
        self._known: dict[int, SignedIn] = {}
        self._drops = 0
        feed.subscribe(CHANGES_TOPIC, self._drop)

    async def _drop(self, staff_ids: list[int]) -> None:
        self._drops += 1
        gone = set(staff_ids)
        self._known = {
            number: held for number, held in self._known.items() if held.staff.id not in gone
        }

    async def find(self, session_id: int) -> SignedIn | None:
        """The session as of less than a second ago. Raises Unavailable without a database."""
        if not self._feed.fresh:
            await self._feed.ensure_fresh()
        return self._known.get(session_id) or await self.read(session_id)

    async def read(self, session_id: int) -> SignedIn | None:
        """The session as it is now; for who would be refused by what is held in memory."""
        drops = self._drops
        async with self._db.connection() as connection:
            found = await sessions.read(connection, session_id)
        # A change that came in while we read may be newer than what we read.
        if found is not None and drops == self._drops:
            if len(self._known) >= KEPT_MAX:
                self._known.clear()
            self._known[session_id] = found
        return found

    def saw(self, held: SignedIn, at: datetime) -> None:
        """Somebody was there at `at`; call it at once after `find` or `read`."""
        number = held.session.id
        # Only what is still known: a change may have come in while it was read.
        if self._known.get(number) is held:
            self._known[number] = replace(held, session=replace(held.session, last_seen_at=at))

    def expire(self) -> None:
        """Poll before the next look-up: what this process just committed then counts at once."""
        self._feed.expire()
