"""Which exchange rate a client gets between two currencies: direct, inverse, or through USD."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from rewards.core.money import plain, round_half_up, to_decimal
from rewards.pricing.model_rates import Ages, Channel, RateRow

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
    # When one of the staff last set a rate on the way; None where nobody did.
    staff_set_at: datetime | None

    def stale(self, at: datetime) -> bool:
        return self.stale_at is not None and at > self.stale_at


class Rates:
    """An immutable set of rates; answers are remembered."""

    def __init__(self, rows: Iterable[RateRow], ages: Ages) -> None:
        """`rows`: the one in force of each pair. `ages`: how old one of each channel may be."""
        self._direct = {row.pair: row for row in rows}
        self._ages = ages
        self._ways: dict[tuple[str, str], tuple[Conversion, ...]] = {}

    def between(self, source: str, target: str, at: datetime) -> Conversion | None:
        """Units of target for one unit of source; None when nobody has said, or it is no rate
        that RATE_DECIMALS can hold. Not for a pair of one currency with itself.

        Direct, else the inverse, else through PIVOT. A way that is stale at this moment counts
        only where every other one is, too: a rate that somebody set once does not stand in the way
        of those that are kept up.
        """
        pair = (source, target)
        try:
            ways = self._ways[pair]
        except KeyError:
            ways = self._ways[pair] = self._derive(source, target)
        for way in ways:
            if not way.stale(at):
                return way
        return ways[0] if ways else None

    def _derive(self, source: str, target: str) -> tuple[Conversion, ...]:
        ways = [[leg] for leg in self._legs(source, target)]
        if PIVOT not in (source, target):
            firsts, seconds = self._legs(source, PIVOT), self._legs(PIVOT, target)
            ways += [[first, second] for first in firsts for second in seconds]
        found = (self._walk(way) for way in ways)
        return tuple(way for way in found if way is not None)

    def _legs(self, source: str, target: str) -> list["_Leg"]:
        """What was said of the pair itself, in this direction and in the other one."""
        there, back = self._direct.get((source, target)), self._direct.get((target, source))
        legs = [] if there is None else [_Leg(there, Fraction(there.rate))]
        return legs if back is None else [*legs, _Leg(back, 1 / Fraction(back.rate))]

    def _walk(self, way: Sequence["_Leg"]) -> Conversion | None:
        exact = Fraction(1)
        for leg in way:
            exact *= leg.exact * (1 + Fraction(leg.row.spread_percent) / 100)
        rate = to_rate(exact)
        if rate is None:
            return None
        ends = [end for leg in way if (end := leg.row.stale_at(self._ages)) is not None]
        by_staff = [leg.row.set_at for leg in way if leg.row.channel is Channel.STAFF]
        return Conversion(
            rate,
            ", ".join(dict.fromkeys(leg.row.origin for leg in way)),
            min(leg.row.quoted_at for leg in way),
            min(ends, default=None),
            max((at for at in by_staff if at is not None), default=None),
        )


class _Leg(NamedTuple):
    """A rate as it is gone through: units for one unit, without its spread."""

    row: RateRow
    exact: Fraction


def with_spread(rate: Decimal, spread_percent: Decimal) -> Decimal | None:
    """What a client is charged for a rate in its own direction; None if it is no rate any more."""
    return to_rate(Fraction(rate) * (1 + Fraction(spread_percent) / 100))


def to_rate(exact: Fraction) -> Decimal | None:
    """The nearest rate that RATE_DECIMALS can hold; None where that is 0, or RATE_MAX and above."""
    scaled = round_half_up(exact.numerator * 10**RATE_DECIMALS, exact.denominator)
    if not 0 < scaled < RATE_MAX * 10**RATE_DECIMALS:
        return None
    return plain(to_decimal(scaled, RATE_DECIMALS))
