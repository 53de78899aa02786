"""Which exchange rate a client gets between two currencies: direct, inverse, or through USD."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from rewards.core.money import plain, round_half_up, to_decimal
from rewards.pricing.model_rates import Ages, RateRow

PIVOT = "USD"
# What a rate row and an order hold. A derived rate is rounded to it once and then used as shown,
# so that anybody can check an order's price from the order alone.
RATE_DECIMALS = 12
RATE_MAX = Decimal(10) ** 12


class Conversion(NamedTuple):
    """What one unit of a currency costs in another one."""

    # Spread included.
    rate: Decimal
    # Who said so; two of them where it leads through USD.
    origin: str
    # The older of the two where it leads through USD.
    quoted_at: datetime
    # After this moment it may not be used; None: it never gets too old.
    stale_at: datetime | None

    def stale(self, at: datetime) -> bool:
        return self.stale_at is not None and at > self.stale_at


class Rates:
    """An immutable set of rates; answers are remembered."""

    def __init__(self, rows: Iterable[RateRow], ages: Ages) -> None:
        """`rows`: the one in force of each pair. `ages`: how old one of each channel may be."""
        self._direct = {row.pair: row for row in rows}
        self._ages = ages
        self._answers: dict[tuple[str, str], Conversion | None] = {}

    def between(self, source: str, target: str) -> Conversion | None:
        """Units of target for one unit of source; None when nobody has said, or it is no rate
        that RATE_DECIMALS can hold. Not for a pair of one currency with itself."""
        pair = (source, target)
        try:
            return self._answers[pair]
        except KeyError:
            answer = self._answers[pair] = self._derive(source, target)
            return answer

    def _derive(self, source: str, target: str) -> Conversion | None:
        legs = self._legs(source, target)
        exact = Fraction(1)
        for row, source_of_leg in legs:
            exact *= Fraction(row.rate) if row.source == source_of_leg else 1 / Fraction(row.rate)
            exact *= 1 + Fraction(row.spread_percent) / 100
        rate = to_rate(exact)
        if not legs or rate is None:
            return None
        ends = [end for row, _ in legs if (end := row.stale_at(self._ages)) is not None]
        return Conversion(
            rate,
            ", ".join(dict.fromkeys(row.origin for row, _ in legs)),
            min(row.quoted_at for row, _ in legs),
            min(ends, default=None),
        )

    def _legs(self, source: str, target: str) -> list[tuple[RateRow, str]]:
        """The rates to go through, each with the currency it is entered from; none: no way."""
        if (row := self._leg(source, target)) is not None:
            return [(row, source)]
        if PIVOT in (source, target):
            return []
        first, second = self._leg(source, PIVOT), self._leg(PIVOT, target)
        return [] if first is None or second is None else [(first, source), (second, PIVOT)]

    def _leg(self, source: str, target: str) -> RateRow | None:
        return self._direct.get((source, target)) or self._direct.get((target, source))


def with_spread(rate: Decimal, spread_percent: Decimal) -> Decimal | None:
    """What a client is charged for a rate in its own direction; None if it is no rate any more."""
    return to_rate(Fraction(rate) * (1 + Fraction(spread_percent) / 100))


def to_rate(exact: Fraction) -> Decimal | None:
    """The nearest rate that RATE_DECIMALS can hold; None where that is 0, or RATE_MAX and above."""
    scaled = round_half_up(exact.numerator * 10**RATE_DECIMALS, exact.denominator)
    if not 0 < scaled < RATE_MAX * 10**RATE_DECIMALS:
        return None
    return plain(to_decimal(scaled, RATE_DECIMALS))
