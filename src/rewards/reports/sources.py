"""Where each kind of report has its rows from: other slices' services, a window of ids a time."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from typing import TypeAlias

from rewards.core.clock import Clock
from rewards.core.currency import exponent_of
from rewards.core.money import plain, to_decimal
from rewards.infra.db import Tx
from rewards.inventory import books as stock
from rewards.inventory import service as inventory
from rewards.inventory.model import Products, ShelfDepth
from rewards.orders import books as gone
from rewards.orders import overview as orders
from rewards.orders.model import Order, Status
from rewards.reports.model import Parameters, ReportKind
from rewards.vendors import purchases
from rewards.vendors.account import masked
from rewards.vendors.model import Purchase
from rewards.wallets import books as ledger
from rewards.wallets.model import Transaction, TransferKind
from rewards.webhooks import deliveries
from rewards.webhooks.model import Delivery

DAY = timedelta(days=1)
Row: TypeAlias = Sequence[object]
Bounds: TypeAlias = tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Source:
    """`bounds`: the first and last id; `rows`: those behind the first and up to the last id."""

    header: tuple[str, ...]
    bounds: Callable[[Tx, Parameters], Awaitable[Bounds]]
    rows: Callable[[Tx, Parameters, int, int], Awaitable[list[Row]]]


def sources(products: Products, clock: Clock) -> Mapping[ReportKind, Source]:
    """One for each kind; `products` say what the pool should hold."""
    depth = partial(_depth, products, clock)
    return {
        ReportKind.ORDERS: Source(ORDER_COLUMNS, _order_bounds, _orders),
        ReportKind.TRANSACTIONS: Source(LINE_COLUMNS, _line_bounds, partial(_lines, None)),
        ReportKind.REFUNDS: Source(
            LINE_COLUMNS, _line_bounds, partial(_lines, TransferKind.REFUND)
        ),
        ReportKind.STOCK_DEPTH: Source(DEPTH_COLUMNS, _one_window, depth),
        ReportKind.STOCK_MOVEMENTS: Source(MOVEMENT_COLUMNS, _unit_bounds, _movements),
        ReportKind.DELIVERIES: Source(DELIVERY_COLUMNS, _delivery_bounds, _deliveries),
        ReportKind.VENDOR_ORDERS: Source(PURCHASE_COLUMNS, _purchase_bounds, _purchases),
    }


def period(asked: Parameters) -> tuple[datetime, datetime]:
    """From the beginning of the first day to the end of the last."""
    assert asked.first_day is not None, "of this kind days are asked for"
    return _beginning(asked.first_day), _beginning(asked.to or asked.first_day) + DAY


def _beginning(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _amount(minor: int | None, currency: str | None) -> Decimal | None:
    if minor is None or currency is None:
        return None
    return to_decimal(minor, exponent_of(currency))


ORDER_COLUMNS = (
    *("order_id", "client_id", "wallet_id", "ref", "transaction_id", "product_id", "product_name"),
    *("denomination", "product_currency", "quantity", "amount", "currency", "discount", "fees"),
    *("tax", "forex_rate", "status", "sub_status", "fulfilled", "cancelled", "revoked"),
    *("refunded", "refund_owed", "mobile", "placed_at", "delivered_at", "cancelled_at"),
)


async def _order_bounds(tx: Tx, asked: Parameters) -> Bounds:
    return await orders.placed_bounds(tx, *period(asked))


async def _orders(tx: Tx, asked: Parameters, after_id: int, upto_id: int) -> list[Row]:
    status = None if asked.status is None else Status(asked.status)
    found = await orders.placed(
        *(tx, after_id, upto_id, *period(asked)), client_id=asked.client_id, status=status
    )
    return [_order(order) for order in found]


def _order(order: Order) -> Row:
    money = order.currency
    number = None if order.mobile is None else masked(order.mobile["mobile_number"])
    return (
        *(order.id, order.client_id, order.wallet_id, order.ref, order.transaction_id),
        *(order.product_id, order.product_name),
        _amount(order.denomination_minor, order.product_currency),
        *(order.product_currency, order.quantity),
        *(_amount(order.amount_minor, money), money, _amount(order.discount_minor, money)),
        *(_amount(order.fees_minor, money), _amount(order.tax_minor, money)),
        None if order.forex_rate is None else plain(order.forex_rate),
        *(order.status, order.sub_status, order.fulfilled, order.cancelled, order.revoked),
        *(_amount(order.refunded_minor, money), _amount(order.refund_owed_minor, money)),
        *(number, order.placed_at, order.delivered_at, order.cancelled_at),
    )


LINE_COLUMNS = (
    *("transaction_id", "type", "client_id", "wallet_id", "currency", "amount", "balance"),
    *("order_id", "reference", "note", "source_currency", "forex_rate", "conversion_charges"),
    "created_at",
)


async def _line_bounds(tx: Tx, asked: Parameters) -> Bounds:
    return await ledger.bounds(tx, *period(asked))


async def _lines(
    kind: TransferKind | None, tx: Tx, asked: Parameters, after_id: int, upto_id: int
) -> list[Row]:
    found = await ledger.lines(
        *(tx, after_id, upto_id, *period(asked)), client_id=asked.client_id, kind=kind
    )
    return [_line(line) for line in found]


def _line(line: Transaction) -> Row:
    money = line.currency
    return (
        *(line.id, line.kind, line.client_id, line.wallet_id, money),
        *(_amount(line.amount_minor, money), _amount(line.balance_minor, money)),
        *(line.order_id, line.reference, line.note, line.source_currency),
        None if line.forex_rate is None else plain(line.forex_rate),
        *(_amount(line.conversion_fee_minor, money), line.created_at),
    )


SHELVES_AT_ONCE, SHELF_PAGES_MAX = 50, 10_000
DEPTH_COLUMNS = (
    *("product_id", "denomination", "currency", "loaded", "waiting", "blocked", "target"),
    "next_expiry_at",
)


async def _one_window(_tx: Tx, _asked: Parameters) -> Bounds:
    """As many lines as there are shelves: one step reads them all."""
    return 1, 1


async def _depth(
    products: Products, clock: Clock, tx: Tx, _asked: Parameters, _after_id: int, _upto_id: int
) -> list[Row]:
    return [
        (
            line.shelf.product_id,
            _amount(line.shelf.denomination_minor, line.shelf.currency),
            *(line.shelf.currency, line.loaded, line.waiting, line.blocked, line.target),
            line.next_expiry_at,
        )
        async for line in _shelves(products, clock, tx)
    ]


async def _shelves(products: Products, clock: Clock, tx: Tx) -> AsyncIterator[ShelfDepth]:
    """Every shelf, counted to its last unit, some shelves a statement."""
    after = None
    for _ in range(SHELF_PAGES_MAX):
        found = await inventory.depth_report(
            tx, products, clock.now(), SHELVES_AT_ONCE, after=after, exact=True
        )
        for line in found:
            yield line
        if len(found) < SHELVES_AT_ONCE:
            return
        after = found[-1].shelf


MOVEMENT_COLUMNS = (
    *("unit_id", "product_id", "denomination", "currency", "batch_id", "source", "cost"),
    *("cost_currency", "state", "came_at", "went_at", "client_id"),
)


async def _unit_bounds(tx: Tx, _asked: Parameters) -> Bounds:
    return await stock.bounds(tx)


async def _movements(tx: Tx, asked: Parameters, after_id: int, upto_id: int) -> list[Row]:
    """Units that came or went in that time; never a code."""
    since, until = period(asked)
    units = await stock.counted(tx, after_id, upto_id)
    went = await gone.gone_out(tx, [unit.id for unit in units])
    came = await stock.sources(tx, sorted({unit.batch_id for unit in units}))
    rows: list[Row] = []
    for unit in units:
        out = went.get(unit.id)
        moments = (unit.created_at, None if out is None else out.out_at)
        if not any(at is not None and since <= at < until for at in moments):
            continue
        rows.append(
            (
                *(unit.id, unit.product_id, _amount(unit.denomination_minor, unit.currency)),
                *(unit.currency, unit.batch_id, came.get(unit.batch_id)),
                *(_amount(unit.cost_minor, unit.cost_currency), unit.cost_currency, unit.state),
                *(*moments, None if out is None else out.client_id),
            )
        )
    return rows


DELIVERY_COLUMNS = (
    *("delivery_id", "endpoint_id", "client_id", "event_id", "sequence", "event_type", "status"),
    *("attempts", "last_status_code", "last_error", "redelivery_of", "created_at", "finished_at"),
)


async def _delivery_bounds(tx: Tx, asked: Parameters) -> Bounds:
    return await deliveries.made_bounds(tx, *period(asked))


async def _deliveries(tx: Tx, asked: Parameters, after_id: int, upto_id: int) -> list[Row]:
    found = await deliveries.made(
        *(tx, after_id, upto_id, *period(asked)), client_id=asked.client_id
    )
    return [_delivery(one) for one in found]


def _delivery(one: Delivery) -> Row:
    return (
        *(one.id, one.endpoint_id, one.client_id, one.event_id, one.sequence, one.event_type),
        *(one.status, one.attempts, one.last_status_code, one.last_error, one.redelivery_of),
        *(one.created_at, one.finished_at),
    )


PURCHASE_COLUMNS = (
    *("vendor_order_id", "vendor_id", "key", "purpose", "order_id", "stock_order_id", "sku"),
    *("denomination", "currency", "quantity", "mobile", "state", "vendor_ref", "reason"),
    *("received", "quarantined", "cost", "cost_currency", "batch_id", "calls", "approved_by"),
    *("created_at", "sent_at", "settled_at"),
)


async def _purchase_bounds(tx: Tx, asked: Parameters) -> Bounds:
    return await purchases.made_bounds(tx, *period(asked))


async def _purchases(tx: Tx, asked: Parameters, after_id: int, upto_id: int) -> list[Row]:
    found = await purchases.made(
        *(tx, after_id, upto_id, *period(asked)), vendor_id=asked.vendor_id
    )
    return [_purchase(one) for one in found]


def _purchase(one: Purchase) -> Row:
    line, cost = one.line, one.cost
    for_stock = one.purpose == "STOCK"
    number = None if line.mobile is None else masked(line.mobile["mobile_number"])
    return (
        *(one.id, one.vendor_id, one.key, one.purpose),
        *(None if for_stock else one.subject_id, one.subject_id if for_stock else None),
        *(line.sku, _amount(line.face_minor, line.currency), line.currency, line.quantity, number),
        *(one.state, one.vendor_ref, one.reason, one.received, one.quarantined),
        None if cost is None else _amount(cost.amount_minor, cost.currency),
        None if cost is None else cost.currency,
        *(one.batch_id, one.calls, one.asked_by, one.created_at, one.sent_at, one.settled_at),
    )
