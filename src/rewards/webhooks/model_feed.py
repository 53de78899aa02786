"""The feed as values: a page of events, and why there is none."""

from collections.abc import Sequence
from dataclasses import dataclass

from rewards.core.errors import Conflict, Refusal
from rewards.webhooks.envelope import Envelope


class EventsForgotten(Refusal):
    """What follows `after` is kept no longer; `details.after` is where to go on."""

    status = 410
    error = "Gone"
    code = "EVENTS_FORGOTTEN"
    default_message = "Events after this one are kept no longer"

    def __init__(self, first: int) -> None:
        super().__init__(details={"after": first - 1})


class EventsAhead(Conflict):
    """`after` is above the last event there is: it is no cursor of this client's here."""

    code = "EVENTS_AHEAD"
    default_message = "There is no such event yet"

    def __init__(self, last: int) -> None:
        super().__init__(details={"last": last})


@dataclass(frozen=True, slots=True)
class FeedAsk:
    """What a client asks: at most `limit` events above `after` of these types (None: of any).

    Without `after` from the oldest that is kept.
    """

    client_id: int
    after: int | None
    limit: int
    types: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class FeedPage:
    """Events in order; `after` is the cursor to go on from, `last` the last event there is."""

    events: Sequence[Envelope]
    after: int
    last: int

    @property
    def more(self) -> bool:
        return self.after < self.last


def starting_at(after: int | None, first: int, last: int) -> int:
    """The cursor to read from, of a feed that has `first` to `last` (last + 1 to last: nothing).

    Raises EventsForgotten and EventsAhead: silence would hide that events are missing.
    """
    if after is None:
        return first - 1
    if after < first - 1:
        raise EventsForgotten(first)
    if after > last:
        raise EventsAhead(last)
    return after
