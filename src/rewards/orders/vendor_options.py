"""What each vendor would cost and how it did lately, for whoever decides about an order."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from rewards.core.currency import exponent_of
from rewards.infra.db import Database
from rewards.orders import sql_read
from rewards.orders.fulfilment import APPROVABLE, Choice, why_not, with_adapters
from rewards.orders.model import Order, OrderNotFound
from rewards.pricing.model import converted
from rewards.pricing.rates import Conversion
from rewards.pricing.service import Prices
from rewards.vendors import purchases
from rewards.vendors.buying import AdapterSource
from rewards.vendors.model import Source
from rewards.vendors.purchases import ReadBalance, Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One source of what an order lacks. Costs are estimates, in the product's currency.

    `fee_minor` is the part of the cost that the vendor adds, for each card, to their price;
    `paid_minor` is the same in the order's currency, None without a rate; `margin_minor` what is
    left of the share of the order's price that these units carry.
    """

    source: Source
    why_not: str | None
    quantity: int
    cost_minor: int
    fee_minor: int
    currency: str
    forex_rate: Decimal | None
    paid_minor: int | None
    margin_minor: int | None
    balance: ReadBalance | None
    record: Record
    expected_s: int
    quantity_max: int
    verified: bool


async def vendor_options(
    db: Database, accounts: AdapterSource, prices: Prices, order_id: int, now: datetime
) -> tuple[Order, list[Option]]:
    """The order and every mapped source, the first to ask first. Raises OrderNotFound."""
    async with db.connection() as connection:
        order = (await sql_read.read_orders(connection, [order_id])).get(order_id)
        if order is None:
            raise OrderNotFound
        found = await purchases.sources(connection, [order.product_id])
        sources = found[order.product_id]
        offers = await purchases.offers(connection, sources)
        vendor_ids = [source.vendor_id for source in sources]
        records = await purchases.records(connection, vendor_ids, now)
        balances = await purchases.balances(connection, vendor_ids, order.product_currency)
    conversion = prices.conversion(order.product_currency, order.currency, now)
    return order, [
        _option(
            *(order, choice, conversion),
            balances.get(choice.source.vendor_id),
            records[choice.source.vendor_id],
            now,
        )
        for choice in await with_adapters(accounts, sources, offers)
    ]


def _option(
    order: Order,
    choice: Choice,
    conversion: Conversion | None,
    balance: ReadBalance | None,
    record: Record,
    now: datetime,
) -> Option:
    source, capable = choice.source, choice.vendor.capabilities
    cost_minor = source.cost_minor(order.denomination_minor, order.missing)
    rate = _rate(order, conversion)
    paid_minor = None if rate is None else _paid_minor(order, cost_minor, rate)
    return Option(
        source=source,
        why_not=_why_not(order, choice, now),
        quantity=order.missing,
        cost_minor=cost_minor,
        fee_minor=source.fee_minor * order.missing,
        currency=order.product_currency,
        forex_rate=rate,
        paid_minor=paid_minor,
        margin_minor=None if paid_minor is None else _share_minor(order) - paid_minor,
        balance=balance,
        record=record,
        expected_s=record.usual_s or capable.expected_s,
        quantity_max=capable.quantity_max,
        verified=capable.verified,
    )


def _rate(order: Order, conversion: Conversion | None) -> Decimal | None:
    if order.product_currency == order.currency:
        return Decimal(1)
    return None if conversion is None else conversion.rate


def _paid_minor(order: Order, cost_minor: int, rate: Decimal) -> int:
    exponents = (exponent_of(order.product_currency), exponent_of(order.currency))
    return converted(cost_minor, rate, *exponents)


def _share_minor(order: Order) -> int:
    """Of the order's price, what its missing units carry."""
    return order.amount_minor * order.missing // order.quantity


def _why_not(order: Order, choice: Choice, now: datetime) -> str | None:
    if order.state not in APPROVABLE:
        return f"the order is {order.state}"
    if order.late(now):
        return "its deliver_by has passed"
    return why_not(choice, order)
