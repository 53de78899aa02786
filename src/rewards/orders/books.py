"""Orders as they are compared with other books, and what becomes of those that agree."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from rewards.audit import service as audit
from rewards.core.actor import SYSTEM
from rewards.infra.db import Tx
from rewards.inventory import service as inventory
from rewards.orders import facts, model, sql, sql_books, sql_read
from rewards.orders.model import Item, Order
from rewards.orders.sql import Move


@dataclass(frozen=True, slots=True)
class GoneOut:
    """To which client a unit went, and when."""

    unit_id: int
    client_id: int
    out_at: datetime


async def delivered_bounds(tx: Tx, since: datetime, until: datetime) -> tuple[int, int] | None:
    """The first and last id of the orders that were delivered in that time; None for none."""
    return await sql_books.delivered_bounds(tx, since, until)


async def delivered(
    tx: Tx, after_id: int, upto_id: int, since: datetime, until: datetime, limit: int
) -> list[tuple[int, int]]:
    """(id, quantity) of orders that were delivered whole in that time, in order of id."""
    return await sql_books.delivered(tx, after_id, upto_id, since, until, limit)


async def read(tx: Tx, order_ids: Sequence[int]) -> dict[int, Order]:
    """The orders that exist, by id; nothing is locked."""
    return await sql_read.read_orders(tx, order_ids)


async def lock(tx: Tx, order_ids: Iterable[int]) -> dict[int, tuple[Order, list[Item]]]:
    """The orders that exist with their items, locked until the transaction ends."""
    locked = await sql.lock_orders(tx, order_ids)
    items = await sql_read.read_items(tx, list(locked))
    return {order_id: (order, items[order_id]) for order_id, order in locked.items()}


async def reconcile(tx: Tx, agreed: Sequence[tuple[Order, list[Item]]], at: datetime) -> None:
    """COMPLETED → RECONCILED for locked orders whose books agree, their units COMPLETED.

    The client is told nothing: for it nothing has changed (spec.md §3). A late cancel still takes
    such an order back, and its units with it.
    """
    if not agreed:
        return
    at = model.moment_of_act(at, [order for order, _ in agreed])
    path = model.walk(model.COMPLETED, model.RECONCILED)
    moves = [Move(order, _reconciled(order, at), path, SYSTEM, None) for order, _ in agreed]
    units = [item.unit_id for _, items in agreed for item in items if _has_unit(item)]
    await inventory.complete(tx, sorted(unit_id for unit_id in units if unit_id is not None))
    await sql.move_orders(tx, moves)
    told = [facts.audit_fact("order.reconciled", m.after, m.path, m.actor) for m in moves]
    await audit.record(tx, told, at)


def _has_unit(item: Item) -> bool:
    return item.status is model.ItemStatus.DELIVERED and item.unit_id is not None


def _reconciled(order: Order, at: datetime) -> Order:
    status, sub_status = model.RECONCILED
    return replace(order, status=status, sub_status=sub_status, changed_at=at)


async def gone_out(tx: Tx, unit_ids: Sequence[int]) -> dict[int, GoneOut]:
    """Of these units those that a client got, also when it was taken back or replaced later."""
    return {
        row["unit_id"]: GoneOut(row["unit_id"], row["client_id"], row["out_at"])
        for row in await sql_books.gone_out(tx, unit_ids)
    }
