"""Which exchange rate holds between two currencies: direct, else the inverse, else through USD."""

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction

from rewards.core.money import plain, round_half_up, to_decimal

PIVOT = "USD"
# What a rate row and an order hold. A derived rate is rounded to it once and then used as shown,
# so that anybody can check an order's price from the order alone.
RATE_DECIMALS = 12
RATE_MAX = Decimal(10) ** 12


class Rates:
    """An immutable set of rates; answers are remembered."""

    def __init__(self, direct: Mapping[tuple[str, str], Decimal]) -> None:
        """`direct[source, target]`: units of target for one unit of source, positive."""
        self._direct = {pair: plain(rate) for pair, rate in direct.items()}
        self._answers: dict[tuple[str, str], Decimal | None] = dict(self._direct)

    def between(self, source: str, target: str) -> Decimal | None:
        """Units of target for one unit of source; None when nobody has said, or it is no rate
        that RATE_DECIMALS can hold. Not for a pair of one currency with itself."""
        pair = (source, target)
        try:
            return self._answers[pair]
        except KeyError:
            answer = self._answers[pair] = self._derive(source, target)
            return answer

    def _derive(self, source: str, target: str) -> Decimal | None:
        exact = self._leg(source, target)
        if exact is None and PIVOT not in (source, target):
            first, second = self._leg(source, PIVOT), self._leg(PIVOT, target)
            exact = first * second if first is not None and second is not None else None
        if exact is None:
            return None
        scaled = round_half_up(exact.numerator * 10**RATE_DECIMALS, exact.denominator)
        if not 0 < scaled < RATE_MAX * 10**RATE_DECIMALS:
            return None
        return plain(to_decimal(scaled, RATE_DECIMALS))

    def _leg(self, source: str, target: str) -> Fraction | None:
        if (there := self._direct.get((source, target))) is not None:
            return Fraction(there)
        if (back := self._direct.get((target, source))) is not None:
            return 1 / Fraction(back)
        return None
