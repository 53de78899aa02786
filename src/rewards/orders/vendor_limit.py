"""How much one person may have a vendor deliver at once without a second one."""

from dataclasses import dataclass
from datetime import datetime

from rewards.core.currency import exponent_of
from rewards.core.errors import Conflict
from rewards.orders.model import Order
from rewards.pricing.model import converted
from rewards.pricing.service import Prices


class AboveLimit(Conflict):
    """More than one person may decide; `worth_minor` is in `currency`."""

    code = "VENDOR_LIMIT_EXCEEDED"
    default_message = "A second person must agree to have a vendor deliver so much"

    def __init__(self, worth_minor: int, currency: str) -> None:
        super().__init__()
        self.worth_minor = worth_minor
        self.currency = currency


@dataclass(frozen=True, slots=True)
class ApprovalLimit:
    """For one order, of a client or for stock. Face values count: they are known before any vendor
    is chosen."""

    amount_minor: int
    currency: str
    prices: Prices

    def check(self, order: Order, at: datetime) -> AboveLimit | None:
        """None while one person is enough for what the order lacks."""
        worth_minor = order.denomination_minor * order.missing
        if self.covers(worth_minor, order.product_currency, at):
            return None
        return AboveLimit(worth_minor, order.product_currency)

    def covers(self, worth_minor: int, currency: str, at: datetime) -> bool:
        """Whether one person is enough for so much.

        Without a fresh rate nobody can tell how much it is, and it takes two.
        """
        if currency != self.currency:
            conversion = self.prices.conversion(currency, self.currency, at)
            if conversion is None or conversion.stale(at):
                return False
            exponents = (exponent_of(currency), exponent_of(self.currency))
            worth_minor = converted(worth_minor, conversion.rate, *exponents)
        return worth_minor <= self.amount_minor
