"""How much a client has ordered, day by day."""

from dataclasses import dataclass
from datetime import date

from rewards.infra.db import Tx
from rewards.orders import sql_usage


@dataclass(frozen=True, slots=True)
class DayOfOrders:
    """Orders placed on a UTC day and paid in one currency, as they stand now.

    `amount_minor` is what was debited for all of them; what is neither delivered nor closed
    (cancelled or failed) is under way.
    """

    day: date
    currency: str
    orders: int
    amount_minor: int
    delivered: int
    closed: int


async def daily(tx: Tx, client_id: int, first_day: date, last_day: date) -> list[DayOfOrders]:
    """Days in order, both ends included; none for a day without orders."""
    rows = await sql_usage.daily(tx, client_id, first_day, last_day)
    return [DayOfOrders(**dict(row)) for row in rows]
