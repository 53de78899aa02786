"""How much one person may decide without a second one, in whatever currency it comes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rewards.core.currency import exponent_of
from rewards.pricing.model import converted
from rewards.pricing.service import Prices

# Whoever sets a rate could lift the limit with it: until others had so long to notice, it says
# nothing of how much something is.
SEEN_BY_OTHERS = timedelta(hours=24)
# What was done without a second person within it counts together.
WINDOW = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class OnePersonLimit:
    """`amount_minor` in `currency`; other currencies count at their rate."""

    amount_minor: int
    currency: str
    prices: Prices

    def covers(
        self,
        worth_minor: int,
        currency: str,
        at: datetime,
        spent: Sequence[tuple[int, str]] = (),
    ) -> bool:
        """Whether one person is enough for so much, on top of what they `spent` alone lately.

        Without a fresh rate nobody can tell how much it is, and it takes two; as it does by a rate
        that one of the staff set within a day, who might be the same person.
        """
        total = 0
        for minor, code in ((worth_minor, currency), *spent):
            worth = self._worth(minor, code, at)
            if worth is None:
                return False
            total += worth
        return total <= self.amount_minor

    def _worth(self, minor: int, currency: str, at: datetime) -> int | None:
        if currency == self.currency:
            return minor
        conversion = self.prices.conversion(currency, self.currency, at)
        if conversion is None or conversion.stale(at):
            return None
        if conversion.staff_set_at is not None and at < conversion.staff_set_at + SEEN_BY_OTHERS:
            return None
        exponents = (exponent_of(currency), exponent_of(self.currency))
        return converted(minor, conversion.rate, *exponents)
