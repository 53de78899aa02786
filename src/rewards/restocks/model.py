"""Stock orders, their small state machine, and who may be asked for one; pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from fractions import Fraction
from functools import partial
from types import MappingProxyType

from rewards.catalog.model import ShelfKey
from rewards.core.errors import Conflict, NotFound, Refusal
from rewards.vendors.model import Capabilities, Offer, Source, VendorNotAvailable

# One order never asks for more; what a day needs beyond it is another order.
QUANTITY_MAX = 10_000


class StockState(StrEnum):
    WAITING = "WAITING"  # for a second person
    ORDERED = "ORDERED"  # a vendor is asked, or delivers part after part
    RECEIVED = "RECEIVED"  # all of it is in stock
    SHORT = "SHORT"  # fewer came, or could be sold, than were asked for
    FAILED = "FAILED"  # nothing came
    CALLED_OFF = "CALLED_OFF"  # the second person said no, or nobody looked


NEXT: Mapping[StockState, frozenset[StockState]] = MappingProxyType(
    {
        StockState.WAITING: frozenset(
            {StockState.ORDERED, StockState.FAILED, StockState.CALLED_OFF}
        ),
        StockState.ORDERED: frozenset({StockState.RECEIVED, StockState.SHORT, StockState.FAILED}),
        StockState.RECEIVED: frozenset(),
        StockState.SHORT: frozenset(),
        StockState.FAILED: frozenset(),
        StockState.CALLED_OFF: frozenset(),
    }
)
assert NEXT.keys() == set(StockState), "every state names its successors"
OPEN = frozenset(state for state, following in NEXT.items() if following)


@dataclass(frozen=True, slots=True, kw_only=True)
class StockOrder:
    """A row of `stock_orders`. `cost_minor` as agreed, in the shelf's currency."""

    id: int
    shelf: ShelfKey
    vendor_id: int
    quantity: int
    cost_minor: int
    state: StockState
    second_person: bool
    received: int
    usable: int
    reference: str | None
    asked_by: int
    reason: str
    message: str | None
    created_at: datetime
    changed_at: datetime
    ended_at: datetime | None

    @property
    def open(self) -> bool:
        return self.state in OPEN

    @property
    def missing(self) -> int:
        """Units that are still to come."""
        return max(self.quantity - self.usable, 0) if self.open else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StockAsk:
    """Order so many units of a shelf; `vendor` by name, or the cheapest that can."""

    shelf: ShelfKey
    quantity: int
    asked_by: int
    reason: str
    vendor: str | None = None
    reference: str | None = None

    @property
    def worth_minor(self) -> int:
        """The face value of all of it."""
        return self.shelf.denomination_minor * self.quantity

    def same_as(self, order: StockOrder) -> bool:
        """Whether this asks for as much of the same as the order did; whoever delivers it."""
        return (self.shelf, self.quantity) == (order.shelf, order.quantity)


@dataclass(frozen=True, slots=True)
class Supply:
    """One way to buy a product: the terms, what the vendor can do, and what it last said.

    `offer` is the line of its catalogue as last read, None where it was not found.
    """

    source: Source
    capabilities: Capabilities
    offer: Offer | None


class StockOrderNotFound(NotFound):
    code = "STOCK_ORDER_NOT_FOUND"
    default_message = "Stock order not found"


class StockOrderOpen(Conflict):
    """The same is on order with this vendor; a second one is more likely a slip than a wish."""

    code = "STOCK_ORDER_OPEN"

    def __init__(self, stock_order_id: int) -> None:
        super().__init__(
            "The same is on order with this vendor", details={"stock_order_id": stock_order_id}
        )


class StockReferenceReused(Conflict):
    code = "STOCK_REFERENCE_REUSED"

    def __init__(self, stock_order_id: int) -> None:
        super().__init__(
            "The reference was used for another stock order",
            details={"stock_order_id": stock_order_id},
        )


def why_not(supply: Supply, shelf: ShelfKey) -> str | None:
    """Why this vendor cannot be asked for units of this shelf; None when it can."""
    if not supply.source.active:
        return "the vendor, or this product of it, is paused"
    if supply.capabilities.recharges_only:
        return "the vendor only recharges"
    offer = supply.offer
    if offer is None:
        # Not every vendor has a catalogue, and one may be newer than what was read.
        return None
    return offer.why_not(shelf.denomination_minor, shelf.currency)


def choose(supplies: Iterable[Supply], shelf: ShelfKey, vendor: str | None) -> Supply | Refusal:
    """The named vendor, or the cheapest that can be asked (of equals the one staff put first)."""
    named = [one for one in supplies if vendor in (None, one.source.vendor)]
    able = [one for one in named if why_not(one, shelf) is None]
    return min(able, key=partial(_rank, shelf)) if able else VendorNotAvailable()


def _rank(shelf: ShelfKey, supply: Supply) -> tuple[Fraction, int, int]:
    source = supply.source
    return (source.unit_cost(shelf.denomination_minor), source.priority, source.vendor_id)


def arrived(order: StockOrder, received: int, usable: int, at: datetime) -> StockOrder:
    """The order with what one purchase brought; it may go on."""
    assert order.state is StockState.ORDERED
    return replace(
        order, received=order.received + received, usable=order.usable + usable, changed_at=at
    )


def ended(order: StockOrder, message: str | None, at: datetime) -> StockOrder:
    """The order when nothing more will come of it, by what did."""
    state = StockState.RECEIVED
    if order.usable < order.quantity:
        state = StockState.SHORT if order.usable else StockState.FAILED
    assert state in NEXT[order.state]
    told = None if state is StockState.RECEIVED else message
    return replace(order, state=state, message=told, changed_at=at, ended_at=at)


def moved(order: StockOrder, state: StockState, at: datetime) -> StockOrder:
    """The order in a later state, nothing else changed."""
    assert state in NEXT[order.state], f"{order.state} cannot become {state}"
    ended_at = None if state in OPEN else at
    return replace(order, state=state, changed_at=at, ended_at=ended_at)
