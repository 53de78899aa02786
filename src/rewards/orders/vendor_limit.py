"""How much one person may have a vendor deliver for an order without a second one."""

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
    """Face values count: they are known before any vendor is chosen."""

    amount_minor: int
    currency: str
    prices: Prices

    def check(self, order: Order, at: datetime) -> AboveLimit | None:
        """None while one person is enough for what the order lacks.

        Without a rate nobody can tell how much it is, and it takes two.
        """
        worth_minor = order.denomination_minor * order.missing
        above = AboveLimit(worth_minor, order.product_currency)
        if order.product_currency == self.currency:
            return above if worth_minor > self.amount_minor else None
        rate = self.prices.conversion(order.product_currency, self.currency, at)
        if rate is None:
            return above
        exponents = (exponent_of(order.product_currency), exponent_of(self.currency))
        counted_minor = converted(worth_minor, rate.rate, *exponents)
        return above if counted_minor > self.amount_minor else None
