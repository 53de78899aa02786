"""One stock order from its drawing up to the vendor: each step in the caller's transaction.

Nothing here calls a vendor: it commits to what a worker will ask, under a key of its own.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import uuid4

from rewards.core.errors import Refusal, Unavailable
from rewards.infra.db import Tx
from rewards.restocks import sql
from rewards.restocks.model import (
    StockAsk,
    StockOrder,
    StockOrderOpen,
    StockReferenceReused,
    StockState,
    Supply,
    ended,
    moved,
)
from rewards.vendors import purchases
from rewards.vendors.model import Line, Purchase, Purpose
from rewards.vendors.port import Vendor
from rewards.vendors.purchases import PurchaseAsk


async def repeated(tx: Tx, ask: StockAsk) -> StockOrder | Refusal | None:
    """The order that has the ask's reference already; refused when it is another one."""
    if ask.reference is None:
        return None
    found = await sql.find_reference(tx, ask.reference)
    if found is None or ask.same_as(found):
        return found
    return StockReferenceReused(found.id)


async def draw_up(
    tx: Tx, ask: StockAsk, supply: Supply, at: datetime, *, second_person: bool
) -> StockOrder | Refusal:
    """A new order: WAITING for the second person, or ORDERED, and then to be sent.

    Refused: the same is on order with this vendor; 503 when one with the same reference was a
    moment faster, and the next try will find it.
    """
    new = StockOrder(
        id=0,
        shelf=ask.shelf,
        vendor_id=supply.source.vendor_id,
        quantity=ask.quantity,
        cost_minor=supply.source.cost_minor(ask.shelf.denomination_minor, ask.quantity),
        state=StockState.WAITING if second_person else StockState.ORDERED,
        second_person=second_person,
        received=0,
        usable=0,
        reference=ask.reference,
        asked_by=ask.asked_by,
        reason=ask.reason,
        message=None,
        created_at=at,
        changed_at=at,
        ended_at=None,
    )
    order = await sql.insert(tx, new)
    if order is not None:
        return order
    twin = await sql.find_open(tx, new.vendor_id, new.shelf)
    if twin is not None and (ask.reference is None or ask.reference != twin.reference):
        return StockOrderOpen(twin.id)
    return Unavailable("The same was ordered at this moment, please retry")


async def send(
    tx: Tx, order: StockOrder, supply: Supply, vendor: Vendor, window: timedelta, at: datetime
) -> None:
    """Commit to buying an ORDERED order, as much as the vendor takes at once; the rest after it."""
    assert order.state is StockState.ORDERED
    quantity = min(order.quantity, supply.capabilities.quantity_max)
    shelf = order.shelf
    ask = PurchaseAsk(
        vendor_id=order.vendor_id,
        key=vendor.key(uuid4()),
        purpose=Purpose.STOCK,
        subject_id=order.id,
        line=Line(supply.source.sku, shelf.denomination_minor, shelf.currency, quantity),
        window=window,
        remaining=order.quantity - quantity,
        asked_by=order.asked_by,
    )
    [made] = await purchases.prepare(tx, [ask], at)
    assert isinstance(made, Purchase), "an order is sent once"


async def agreed(tx: Tx, order: StockOrder, at: datetime) -> StockOrder:
    """A WAITING order that this transaction has locked is ORDERED, and then to be sent."""
    after = moved(order, StockState.ORDERED, at)
    await sql.move(tx, order, after)
    return after


async def called_off(tx: Tx, order: StockOrder, at: datetime) -> StockOrder:
    """A WAITING order that this transaction has locked will never be sent."""
    after = moved(order, StockState.CALLED_OFF, at)
    await sql.move(tx, order, after)
    return after


async def failed(tx: Tx, order: StockOrder, why: str, at: datetime) -> StockOrder:
    """A WAITING order that this transaction has locked cannot be sent any more."""
    after = ended(order, why, at)
    await sql.move(tx, order, after)
    return after


async def lock(tx: Tx, stock_order_id: int) -> StockOrder | None:
    """The order, locked until the transaction ends."""
    return await sql.lock(tx, stock_order_id)


async def read(tx: Tx, stock_order_id: int) -> StockOrder | None:
    """The order as it stands."""
    return await sql.read(tx, stock_order_id)


async def find(
    tx: Tx,
    *,
    states: Sequence[StockState] | None = None,
    product_id: int | None = None,
    before_id: int,
    limit: int,
) -> list[StockOrder]:
    """Orders, newest first; None leaves a filter open."""
    return await sql.find(tx, states, product_id, before_id, limit)
