"""The charges cascade of spec.md D11, and how a price is shared out again; pure integers."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from rewards.core.errors import Refusal
from rewards.core.money import AMOUNT_MINOR_MAX, round_half_up

# Announced with product ids, or EVERYTHING when rates changed.
CHANGES_TOPIC = "prices"
EVERYTHING = 0

HUNDRED = 100


class NoFxRate(Refusal):
    """Nobody has set a rate between the two currencies, in either direction or through USD."""

    code = "NO_FX_RATE"

    def __init__(self, source: str, target: str) -> None:
        super().__init__(
            f"No exchange rate from {source} to {target}",
            details={"source_currency": source, "destination_currency": target},
        )


class FxRateStale(Refusal):
    """The rate between the two currencies is older than it may be used; nobody has set a newer one.

    `charge` is the price at that rate, for whoever must know whether it alone was in the way.
    """

    code = "FX_RATE_STALE"

    def __init__(self, charge: "Charge") -> None:
        source, target = charge.source_currency, charge.destination_currency
        super().__init__(
            f"The exchange rate from {source} to {target} is out of date",
            details={
                "source_currency": source,
                "destination_currency": target,
                "forex_rate_at": charge.forex_rate_at,
            },
        )
        self.charge = charge


class AmountTooLarge(Refusal):
    """The order total does not fit in a ledger amount."""

    code = "AMOUNT_TOO_LARGE"
    default_message = "Order amount is too large"


@dataclass(frozen=True, slots=True)
class ClientDiscount:
    """What a client gets off a product; `percent` None takes the agreement away."""

    client_id: int
    product_id: int
    percent: Decimal | None


@dataclass(frozen=True, slots=True)
class PricedClient:
    """What pricing needs to know of a client."""

    client_id: int
    # Charged on the discounted total when FX applied; 0 to below 100.
    conversion_fee_percent: Decimal


class PriceTerms(NamedTuple):
    """Everything a price depends on besides denomination and quantity."""

    source_currency: str
    source_exponent: int
    target_currency: str
    target_exponent: int
    discount_percent: Decimal
    # For each voucher, in the minor unit of the source (the product's) currency.
    handling_fee_minor: int
    tax_percent: Decimal
    conversion_fee_percent: Decimal
    # Units of target for one unit of source, spread included; None when both are one currency.
    forex_rate: Decimal | None
    # Whose rate it is, and of when.
    forex_rate_source: str | None = None
    forex_rate_at: datetime | None = None


class Charge(NamedTuple):
    """One order's price. Minor units of destination_currency (the wallet's), except face_minor."""

    # denomination x quantity, in the product's currency.
    face_minor: int
    # The same in the wallet's currency.
    non_discounted_minor: int
    discount_minor: int
    discounted_minor: int
    handling_fee_minor: int
    conversion_fee_minor: int
    # Discounted total and fees; tax is on this.
    net_minor: int
    tax_minor: int
    # What the wallet is debited.
    payable_minor: int
    discount_percent: Decimal
    forex_rate: Decimal | None
    source_currency: str
    destination_currency: str
    forex_rate_source: str | None = None
    forex_rate_at: datetime | None = None

    @property
    def fees_minor(self) -> int:
        return self.handling_fee_minor + self.conversion_fee_minor


def charge(denomination_minor: int, quantity: int, terms: PriceTerms) -> Charge:
    """The price of `quantity` vouchers of `denomination_minor` (product currency) under `terms`.

    The order of steps is D11: FX, discount, handling fee, conversion fee (a percentage of the
    discounted total, only when FX applied), tax on all of it. Each step is rounded half-up once, on
    the order total, to the wallet currency's minor unit. Nothing here can be negative: percentages
    are at most 100, fees at least 0.
    """
    face = denomination_minor * quantity
    handling = terms.handling_fee_minor * quantity
    total, conversion_percent = face, None
    if terms.forex_rate is not None:
        up, down = _per_minor(terms.forex_rate, terms.source_exponent, terms.target_exponent)
        total = round_half_up(face * up, down)
        handling = round_half_up(handling * up, down)
        conversion_percent = terms.conversion_fee_percent
    discount = min(total, _percent_of(total, terms.discount_percent))
    discounted = total - discount
    conversion = _percent_of(discounted, conversion_percent) if conversion_percent else 0
    net = discounted + handling + conversion
    tax = _percent_of(net, terms.tax_percent) if terms.tax_percent else 0
    return Charge(
        face,
        total,
        discount,
        discounted,
        handling,
        conversion,
        net,
        tax,
        net + tax,
        terms.discount_percent,
        terms.forex_rate,
        terms.source_currency,
        terms.target_currency,
        terms.forex_rate_source,
        terms.forex_rate_at,
    )


def fits(charge: Charge) -> bool:
    """Whether every amount can be booked."""
    return (
        charge.face_minor <= AMOUNT_MINOR_MAX
        and charge.non_discounted_minor <= AMOUNT_MINOR_MAX
        and charge.payable_minor <= AMOUNT_MINOR_MAX
    )


def converted(amount_minor: int, rate: Decimal, source_exponent: int, target_exponent: int) -> int:
    """An amount in another currency's minor units, rounded half-up."""
    numerator, denominator = _per_minor(rate, source_exponent, target_exponent)
    return round_half_up(amount_minor * numerator, denominator)


def _percent_of(amount_minor: int, percent: Decimal) -> int:
    up, down = percent.as_integer_ratio()
    return round_half_up(amount_minor * up, down * HUNDRED)


def _per_minor(rate: Decimal, source_exponent: int, target_exponent: int) -> tuple[int, int]:
    """Minor units of target for one minor unit of source, as a fraction."""
    up, down = rate.as_integer_ratio()
    if target_exponent >= source_exponent:
        return up * 10 ** (target_exponent - source_exponent), down
    return up, down * 10 ** (source_exponent - target_exponent)


def returned_share(
    amount_minor: int, quantity: int, returned_before: int, returned_now: int
) -> int:
    """The part of a debit that goes back when `returned_now` more of its vouchers are returned.

    However an order is split into returns, the parts add up to exactly what has been returned so
    far, never exceed the debit, and equal it when everything is back (spec.md §3).
    """
    assert 0 <= returned_before <= returned_before + returned_now <= quantity
    after = returned_before + returned_now
    return amount_minor * after // quantity - amount_minor * returned_before // quantity
