"""How much one person may have a vendor deliver without a second one."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from rewards.core.errors import Conflict
from rewards.infra.db import Tx
from rewards.orders.model import Order
from rewards.pricing.one_person import OnePersonLimit

# (minor units, currency) of each client that the person had delivered alone lately.
Spent: TypeAlias = dict[int, list[tuple[int, str]]]
Lately: TypeAlias = Callable[[Tx, Collection[int]], Awaitable[Spent]]


class AboveLimit(Conflict):
    """More than one person may decide; `worth_minor` is in `currency`."""

    code = "VENDOR_LIMIT_EXCEEDED"
    default_message = "A second person must agree to have a vendor deliver so much"

    def __init__(self, worth_minor: int, currency: str) -> None:
        super().__init__()
        self.worth_minor = worth_minor
        self.currency = currency


@dataclass(frozen=True, slots=True)
class ApprovalLimit(OnePersonLimit):
    """For an order of a client, or for stock. Face values count: they are known before any vendor
    is chosen."""

    def check(
        self, order: Order, at: datetime, spent: Sequence[tuple[int, str]] = ()
    ) -> AboveLimit | None:
        """None while one person is enough for what the order lacks, and for what they `spent`."""
        worth_minor = lacking_minor(order)
        if self.covers(worth_minor, order.product_currency, at, spent):
            return None
        return AboveLimit(worth_minor, order.product_currency)


def lacking_minor(order: Order) -> int:
    """The face value of what the order still lacks, in its product's currency."""
    return order.denomination_minor * order.missing
