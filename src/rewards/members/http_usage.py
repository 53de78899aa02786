"""`/usage` of the clients' API: what was ordered, and how much of the limits is left."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import msgspec
from litestar import Request, Response, Router, get

from rewards.clients.auth import SECURITY, principal_of, requires
from rewards.clients.limits import OrderStanding
from rewards.core.currency import exponent_of
from rewards.core.errors import InvalidField
from rewards.core.money import to_decimal
from rewards.core.text import day
from rewards.infra.http import encode
from rewards.infra.openapi import answers, asks
from rewards.members.given import GivenClock, GivenDatabase, GivenLimiter
from rewards.orders import usage
from rewards.orders.usage import DayOfOrders

DAYS_MAX = 366
DAYS_DEFAULT = timedelta(days=29)


class UsageDay(msgspec.Struct):
    """Orders placed on a UTC day and paid in one currency, as they stand now.

    `amount` is what was debited for all of them. What is neither `delivered` nor `closed`
    (cancelled or failed) is under way.
    """

    day: date
    currency: str
    orders: int
    amount: Decimal
    delivered: int
    closed: int

    @classmethod
    def of(cls, found: DayOfOrders) -> "UsageDay":
        amount = to_decimal(found.amount_minor, exponent_of(found.currency))
        return cls(found.day, found.currency, found.orders, amount, found.delivered, found.closed)


class WindowOut(msgspec.Struct):
    """At most `limit` orders in any `per_s` seconds."""

    per_s: int
    limit: int
    used: int
    remaining: int


class ConcurrentOut(msgspec.Struct):
    limit: int
    used: int


class OrderLimitsOut(msgspec.Struct):
    orders: list[WindowOut]
    concurrent: ConcurrentOut
    max_quantity: int


class UsageOut(msgspec.Struct):
    first_day: date
    last_day: date
    days: list[UsageDay]
    limits: OrderLimitsOut


def _limits(standing: OrderStanding, max_quantity: int) -> OrderLimitsOut:
    windows = [
        WindowOut(window.per_s, window.amount, used, max(0, window.amount - used))
        for window, used in standing.windows
    ]
    concurrent = ConcurrentOut(standing.concurrent, standing.under_way)
    return OrderLimitsOut(windows, concurrent, max_quantity)


@get(
    "/usage",
    guards=[requires("orders:read")],
    operation_id="getUsage",
    summary="Get your usage",
    operation_class=asks(
        {
            "from": {
                "type": "string",
                "format": "date",
                "description": "First UTC day, included; 30 days back if not given",
            },
            "to": {
                "type": "string",
                "format": "date",
                "description": "Last UTC day, included; today if not given",
            },
        }
    ),
    responses=answers(UsageOut, 400, 401, 403, 503, told="What was ordered, and what is left"),
)
async def get_usage(
    request: Request[Any, Any, Any], db: GivenDatabase, clock: GivenClock, limiter: GivenLimiter
) -> Response[bytes]:
    """Orders and amounts of each day and currency, and how much of each limit is used now.

    At most 366 days. Limits are moving windows; where several servers count for themselves, what is
    told is what the one that answers has let through.
    """
    query, who = request.query_params, principal_of(request)
    last = day("To", query["to"]) if query.get("to") else clock.now().date()
    try:
        first = day("From", query["from"]) if query.get("from") else last - DAYS_DEFAULT
    except OverflowError:
        raise InvalidField("To", "min") from None
    if last < first:
        raise InvalidField("To", "min")
    if (last - first).days >= DAYS_MAX:
        raise InvalidField("From", "days", details={"days_max": DAYS_MAX})
    async with db.connection() as connection:
        found = await usage.daily(connection, who.client_id, first, last)
    standing = await limiter.standing(who)
    days = [UsageDay.of(each) for each in found]
    return encode(UsageOut(first, last, days, _limits(standing, who.max_quantity)))


ROUTER = Router(path="/", tags=["Usage"], security=SECURITY, route_handlers=[get_usage])
