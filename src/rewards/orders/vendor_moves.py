"""How an order moves on what its vendor said: the paths it walks, and writing them down."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from rewards.audit import service as audit
from rewards.core.actor import SYSTEM
from rewards.infra import jobs
from rewards.infra.db import Tx
from rewards.inventory import service as inventory
from rewards.orders import facts, model, sql
from rewards.orders.links import links_wanted
from rewards.orders.model import Item, ItemStatus, Order, State
from rewards.orders.model_links import LinkStatus
from rewards.orders.sql import Move
from rewards.vendors.model import Purchase, PurchaseState
from rewards.webhooks import service as webhooks

NOTHING_USABLE = "the vendor brought nothing usable"
FAILED_STATES = frozenset({PurchaseState.REFUSED, PurchaseState.NOT_PLACED})
# Where an order is while a vendor may deliver for it, or may be asked to.
LISTENING = frozenset(
    {
        model.WAITING,
        model.VENDOR_FAILED,
        model.REPROCESS,
        model.REPROCESS_EXPIRED,
        model.VENDOR_CREATED,
        model.PARTIAL,
    }
)


async def move(
    tx: Tx, before: Order, after: Order, path: tuple[State, ...], reason: str | None, at: datetime
) -> None:
    """Write the act with its event and audit row; a path of one state is no act."""
    if len(path) < 2:
        return
    state = path[-1]
    moved = replace(after, status=state.status, sub_status=state.sub_status, changed_at=at)
    await sql.move_orders(tx, [Move(before, moved, path, SYSTEM, reason)])
    await webhooks.emit(tx, facts.filled_events(moved), at)
    fact = facts.audit_fact("order.vendor_answered", moved, path, SYSTEM, reason)
    await audit.record(tx, [fact], at)


async def deliver(
    tx: Tx, order: Order, items: Sequence[Item], unit_ids: Sequence[int | None], at: datetime
) -> Order:
    """These waiting items are served: with a unit each, or (recharges) with none.

    The units were added in this transaction, so that nobody can have recalled them yet.
    """
    units = [unit_id for unit_id in unit_ids if unit_id is not None]
    assert all(await inventory.deliver(tx, units)), "what was just added is still allocated"
    await sql.move_items(
        tx,
        [
            (
                item,
                replace(
                    item.become(ItemStatus.DELIVERED),
                    unit_id=unit_id,
                    delivered_at=at,
                    link_status=LinkStatus.PENDING if order.link_type else None,
                ),
            )
            for item, unit_id in zip(items, unit_ids, strict=True)
        ],
    )
    whole = len(items) == order.missing
    after = replace(
        order,
        fulfilled=order.fulfilled + len(items),
        delivered_at=at if whole and not order.link_type else order.delivered_at,
    )
    complete = model.LINK_PENDING if order.link_type else model.COMPLETED
    path = model.walk(*to_fetched(order.state), complete if whole else model.PARTIAL)
    await move(tx, order, after, path, None, at)
    if order.link_type:
        await jobs.enqueue(tx, [links_wanted(order.id)])
    return after


async def nothing_usable(tx: Tx, order: Order, at: datetime) -> None:
    """What came cannot be sold: a person decides what becomes of the order."""
    path = model.walk(*to_created(order.state), model.VENDOR_FAILED)
    await move(tx, order, order, path, NOTHING_USABLE, at)


def waiting_path(order: Order, purchase: Purchase) -> tuple[State, ...]:
    """Where an order goes whose purchase is not fulfilled (yet); one state when it stays; pure."""
    here = order.state
    if here not in LISTENING:
        return (here,)
    if purchase.state in FAILED_STATES:
        return model.walk(here, model.VENDOR_FAILED)
    if purchase.case_at is not None:
        if here == model.REPROCESS_EXPIRED:
            return (here,)
        lead = (here,) if here == model.REPROCESS else (here, model.REPROCESS)
        return model.walk(*lead, model.REPROCESS_EXPIRED)
    target = model.VENDOR_CREATED if purchase.state is PurchaseState.ACCEPTED else model.REPROCESS
    return (here,) if here == target else model.walk(here, target)


def to_created(here: State) -> tuple[State, ...]:
    if here in (model.VENDOR_CREATED, model.REPROCESS):
        return (here,)
    return (here, model.VENDOR_CREATED)


def to_fetched(here: State) -> tuple[State, ...]:
    return (*to_created(here), model.VENDOR_FETCHED)
