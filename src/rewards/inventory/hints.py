"""Where each shelf's live rows began a moment ago: memory hints, the row lock decides (D10)."""

import time
from collections.abc import Callable
from datetime import datetime

from rewards.catalog.model import ShelfKey
from rewards.inventory.model import Picked

LIFE_S = 1.0
SHELVES_MAX = 20_000


class PoolHints:
    """Start places for the pool scan of one process on one database.

    A sold unit leaves a dead index entry at the head of its shelf until vacuum comes, and each pick
    would walk over all of them. A hint is dropped LIFE_S after the last pick from the very front,
    so that units which came back, or were loaded with an earlier expiry, wait no longer than that;
    a short pick drops it at once and is made again from the front.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._places: dict[ShelfKey, tuple[float, Picked]] = {}

    def after(self, shelf: ShelfKey, now: datetime) -> Picked | None:
        """The last unit picked from this shelf, if that was a moment ago and it is not expired."""
        known = self._places.get(shelf)
        if known is None:
            return None
        until_s, place = known
        if until_s < self._now_s() or (place.expires_at is not None and place.expires_at <= now):
            del self._places[shelf]
            return None
        return place

    def moved(self, shelf: ShelfKey, place: Picked) -> None:
        """A pick ended here. Its age counts from the front, however often it moves on."""
        known = self._places.get(shelf)
        if known is None:
            if len(self._places) >= SHELVES_MAX:
                self._places.clear()
            until_s = self._now_s() + LIFE_S
        else:
            until_s = known[0]
        self._places[shelf] = (until_s, place)

    def forget(self, shelf: ShelfKey) -> None:
        self._places.pop(shelf, None)
