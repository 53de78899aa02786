"""How long stock lasts and what to buy, as staff see it."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec
from litestar import Request, Response, Router, get

from rewards.core.currency import exponent_of
from rewards.core.errors import InvalidField
from rewards.core.money import to_decimal
from rewards.core.page import Page
from rewards.infra.http import ID_MAX, page_answer, page_ask, whole
from rewards.infra.openapi import PAGE, answers, asks, whole_number
from rewards.restocks.forecast import Advice
from rewards.staff.auth import requires
from rewards.staff.given import GivenRestocks
from rewards.staff.model import Permission

DAYS_DEFAULT, DAYS_MAX = 14, 90
COVER_DEFAULT, COVER_MAX = 14, 180
LIST_DEFAULT, LIST_MAX = 100, 1_000
PRODUCTS_MAX, PRODUCTS_LENGTH_MAX = 100, 1_700


class ForecastOut(msgspec.Struct):
    """One (product, denomination, currency), and what to buy of it.

    `demand` is a day's on average, of all that was asked for. `depth` is what can be sold now or
    after the next pump, `waiting_orders` the units that open orders will take of it, `on_order`
    what is still to come. `cover_days` is null where nobody asks. `vendor` is the cheapest that
    sells it, null where nothing is to be bought or nobody does; `cost` is as agreed with it, and
    `vendor_stock` what it last said it has. No shelf is counted further than it takes to know what
    to buy of it, nor below 1,000 units: with `at_least` there are so many or more, and they last
    for so many days or longer.
    """

    product_id: int
    denomination: Decimal
    currency: str
    demand: Decimal
    depth: int
    waiting_orders: int
    on_order: int
    cover_days: Decimal | None
    buy: int
    vendor: str | None
    vendor_id: int | None
    cost: Decimal | None
    vendor_stock: int | None
    at_least: bool

    @classmethod
    def of(cls, line: Advice) -> "ForecastOut":
        need, supply = line.need, line.supply
        places = exponent_of(need.shelf.currency)
        return cls(
            product_id=need.shelf.product_id,
            denomination=to_decimal(need.shelf.denomination_minor, places),
            currency=need.shelf.currency,
            demand=line.per_day,
            depth=need.depth,
            waiting_orders=need.waited,
            on_order=need.on_order,
            cover_days=line.cover_days,
            buy=line.buy,
            vendor=supply.source.vendor if supply else None,
            vendor_id=supply.source.vendor_id if supply else None,
            cost=None if line.cost_minor is None else to_decimal(line.cost_minor, places),
            vendor_stock=supply.offer.stock if supply and supply.offer else None,
            at_least=need.at_least,
        )


@get(
    "/inventory/forecast",
    operation_id="forecastStock",
    guards=[requires(Permission.INVENTORY_READ)],
    operation_class=asks(
        {
            "days": whole_number(
                "Demand is that of so many days", maximum=DAYS_MAX, default=DAYS_DEFAULT
            ),
            "cover": whole_number(
                "Days that stock should last", maximum=COVER_MAX, default=COVER_DEFAULT
            ),
            "product_id": whole_number("Of this product", maximum=ID_MAX),
            "product_ids": {
                "type": "string",
                "maxLength": PRODUCTS_LENGTH_MAX,
                "description": f"Of these products: their ids with commas between, {PRODUCTS_MAX} "
                "at most. Instead of `product_id`.",
            },
            "page": PAGE,
            "limit": whole_number("Lines a page", maximum=LIST_MAX, default=LIST_DEFAULT),
        }
    ),
    responses=answers(list[ForecastOut], 400, 401, 403),
)
async def forecast(request: Request[Any, Any, Any], restocks: GivenRestocks) -> Response[bytes]:
    """How long the stock of each product and value lasts if clients go on as in the last days, and
    what to buy where so that it lasts as long as wanted; the shortest cover first."""
    query = request.query_params
    days = whole("Days", query.get("days"), default=DAYS_DEFAULT, maximum=DAYS_MAX)
    cover = whole("Cover", query.get("cover"), default=COVER_DEFAULT, maximum=COVER_MAX)
    of_these = _product_ids(query)
    ask = page_ask(query.get("page"), query.get("limit"), default=LIST_DEFAULT, maximum=LIST_MAX)
    lines = await restocks.forecast(days, cover, of_these)
    page = Page(lines[ask.offset : ask.offset + ask.size], ask, len(lines))
    return page_answer(request, page, [ForecastOut.of(line) for line in page.items])


def _product_ids(query: Mapping[str, str]) -> list[int] | None:
    """Those that are named, by either parameter; None for all."""
    one, several = query.get("product_id"), query.get("product_ids")
    if one and several:
        raise InvalidField("ProductIds", "oneof")
    if one:
        return [whole("ProductId", one, default=1, maximum=ID_MAX)]
    if not several:
        return None
    parts = several.split(",", PRODUCTS_MAX)
    if len(parts) > PRODUCTS_MAX:
        raise InvalidField("ProductIds", "max")
    if not all(parts):
        raise InvalidField("ProductIds", "number")
    return [whole("ProductIds", part, default=1, maximum=ID_MAX) for part in parts]


ROUTER = Router(path="/admin/api/v1", tags=["Inventory (staff)"], route_handlers=[forecast])
