"""What our books hold of a vendor's words: catalogue, balances, exchanges; pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from rewards.vendors.model import Balance, Offer
from rewards.vendors.throttle import OPENS_AFTER
from rewards.vendors.wire import Exchange


@dataclass(frozen=True, slots=True)
class KeptOffer:
    """A line of a vendor's catalogue, and when it was read."""

    offer: Offer
    read_at: datetime


@dataclass(frozen=True, slots=True)
class KeptBalance:
    balance: Balance
    read_at: datetime


@dataclass(frozen=True, slots=True)
class Mapped:
    """A product of ours, the sku a vendor sells it under, and the terms."""

    vendor_id: int
    product_id: int
    sku: str
    discount_percent: Decimal
    # The lowest is asked first where nobody chooses.
    priority: int
    active: bool
    # What the vendor adds for each card, in the product's currency.
    fee_minor: int = 0


class What(StrEnum):
    """What is read from a vendor now and then."""

    BALANCES = "BALANCES"
    CATALOGUE = "CATALOGUE"


@dataclass(frozen=True, slots=True)
class Reading:
    """How reading something last went: `problem` is None when it went well."""

    what: What
    tried_at: datetime
    # The last time it went well.
    read_at: datetime | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class ExchangeFilter:
    """What to read of the exchanges; None leaves a field open."""

    purchase_id: int | None = None
    # Of a client: all its purchases, recharges too.
    order_id: int | None = None
    status: int | None = None
    # Only those that brought no answer with sense.
    failed: bool = False


@dataclass(frozen=True, slots=True)
class KeptExchange:
    id: int
    at: datetime
    exchange: Exchange


@dataclass(frozen=True, slots=True)
class Call:
    """When somebody called the vendor, and whether an answer with sense came."""

    at: datetime
    answered: bool


@dataclass(frozen=True, slots=True)
class Calls:
    """How the last calls to a vendor went; `failed_in_a_row` counts back from the newest."""

    made: int
    failed: int
    failed_in_a_row: int
    answered_at: datetime | None
    failed_at: datetime | None

    @classmethod
    def of(cls, newest_first: Sequence[Call]) -> "Calls":
        well = [call.answered for call in newest_first]
        return cls(
            len(well),
            well.count(False),
            well.index(True) if True in well else len(well),
            next((call.at for call in newest_first if call.answered), None),
            next((call.at for call in newest_first if not call.answered), None),
        )

    @property
    def left_alone(self) -> bool:
        """After so many each process leaves the vendor alone, for a while at a time."""
        return self.failed_in_a_row >= OPENS_AFTER


@dataclass(frozen=True, slots=True)
class Standing:
    """A balance as last read, and what was spent of it since the time that was asked for."""

    vendor_id: int
    vendor: str
    currency: str
    balance_minor: int
    read_at: datetime
    spent_minor: int
