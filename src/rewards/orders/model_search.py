"""What staff look for among all orders, and by which index it is found; pure."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from rewards.catalog.model import AnyCase
from rewards.orders.model import OPEN_STATUSES, STATES, State, Status, SubStatus

# Where nearly all orders end: no index lists them by state, they are found by time.
USUAL_ENDS = frozenset({SubStatus.COMPLETED, SubStatus.RECONCILED})
ID_DIGITS_MAX = 16


class Sort(AnyCase):
    NEWEST = "NEWEST"
    OLDEST = "OLDEST"


class Way(StrEnum):
    """By what the orders are come at; whatever else is asked is looked at in each of them."""

    NAMED = "NAMED"  # an id, a reference: a handful of ids
    EMAIL = "EMAIL"
    CLIENT = "CLIENT"
    STATE = "STATE"
    PRODUCT = "PRODUCT"
    TIME = "TIME"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSearch:
    """What a search is narrowed to; None leaves a field open, several are all to hold.

    Amounts are in minor units of `currency`, the wallet's, and need it. Times: from inclusive, to
    exclusive. `waits_since`: still waits, and was placed before that. `word`: an id of an order or
    an item, a reference, or an e-mail address. References and addresses are matched whole, the
    address in any case.
    """

    order_id: int | None = None
    ref: str | None = None
    word: str | None = None
    client_id: int | None = None
    product_id: int | None = None
    status: Status | None = None
    sub_status: SubStatus | None = None
    currency: str | None = None
    amount_min_minor: int | None = None
    amount_max_minor: int | None = None
    email: str | None = None
    placed_from: datetime | None = None
    placed_to: datetime | None = None
    waits_since: datetime | None = None
    sort: Sort = Sort.NEWEST

    @property
    def address(self) -> str | None:
        """The e-mail address asked for, named as such or as the free word."""
        if self.email is None and self.word is not None and "@" in self.word:
            return self.word
        return self.email

    @property
    def name(self) -> str | None:
        """The reference asked for, or a free word that is no address."""
        if self.ref is None and self.word is not None and "@" not in self.word:
            return self.word
        return self.ref

    @property
    def word_id(self) -> int | None:
        """The order that the free word names by its id, or by the id of one of its items."""
        head = (self.word or "").partition("-")[0]
        fits = head.isascii() and head.isdigit() and len(head) <= ID_DIGITS_MAX
        return int(head) if fits else None

    @property
    def states(self) -> tuple[State, ...] | None:
        """Where an order may stand to be found; None where it does not matter."""
        if self.status is None and self.sub_status is None and self.waits_since is None:
            return None
        return tuple(
            state
            for state in STATES
            if self.status in (None, state.status)
            and self.sub_status in (None, state.sub_status)
            and (self.waits_since is None or state.status in OPEN_STATUSES)
        )

    @property
    def way(self) -> Way:
        """The narrowest index that fits."""
        if self.order_id is not None or self.name is not None:
            return Way.NAMED
        if self.address is not None:
            return Way.EMAIL
        if self.client_id is not None:
            return Way.CLIENT
        states = self.states
        if states is not None and not any(s.sub_status in USUAL_ENDS for s in states):
            return Way.STATE
        return Way.TIME if self.product_id is None else Way.PRODUCT
