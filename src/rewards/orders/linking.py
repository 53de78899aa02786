"""Gives the items their links that a worker's look or a vendor filled (spec.md §3)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from rewards.audit import service as audit
from rewards.core.actor import SYSTEM
from rewards.core.errors import Refusal
from rewards.infra.db import Tx
from rewards.inventory import service as inventory
from rewards.orders import facts, model, sql, sql_links, sql_read
from rewards.orders.links import LinkAsk, LinkMaker
from rewards.orders.model import Item, ItemStatus, Order, OrderNotFound
from rewards.orders.model_links import LinkStatus
from rewards.orders.sql import Move
from rewards.webhooks import service as webhooks


async def make_links(
    tx: Tx, order_ids: Sequence[int], maker: LinkMaker, at: datetime
) -> list[Order | Refusal]:
    """Make the links that the orders lack; each order as it stands now.

    PENDING·GV_LINK_PENDING becomes DELIVERED·GV_LINK_UNCLAIMED; an order that waits for other items
    stays where it is, and its client hears of the items now. One that lacks none is left alone, so
    that the job may run twice. Refused: an unknown order.
    """
    locked = await sql.lock_orders(tx, order_ids)
    at = model.moment_of_act(at, locked.values())
    held = await sql_read.read_items(tx, list(locked), ItemStatus.DELIVERED)
    lacking = {
        order_id: unlinked
        for order_id, items in held.items()
        if (unlinked := [item for item in items if item.link_status is LinkStatus.PENDING])
    }
    await maker.make(tx, await _asks(tx, lacking), at)
    await sql.move_items(
        tx,
        [
            (item, replace(item, link_status=LinkStatus.UNCLAIMED))
            for items in lacking.values()
            for item in items
        ],
    )
    moves = [_move(locked[order_id], at) for order_id in lacking]
    await sql.move_orders(tx, moves)
    await webhooks.emit(tx, [e for m in moves for e in facts.outcome_events(m.after)], at)
    told = [facts.audit_fact("order.links_made", m.after, m.path, m.actor) for m in moves]
    await audit.record(tx, told, at)
    now = {move.after.id: move.after for move in moves}
    return [now.get(n) or locked.get(n) or OrderNotFound() for n in order_ids]


async def _asks(tx: Tx, lacking: Mapping[int, Sequence[Item]]) -> list[LinkAsk]:
    items = [item for each in lacking.values() for item in each]
    units = await inventory.read_units(tx, [item.unit_id or 0 for item in items])
    return [
        LinkAsk(item.order_id, item.position, unit.expires_at)
        for item, unit in zip(items, units, strict=True)
        if unit is not None
    ]


def _move(order: Order, at: datetime) -> Move:
    if order.state != model.LINK_PENDING:
        return Move(order, replace(order, changed_at=at), (order.state,), SYSTEM, None)
    path = model.walk(order.state, model.UNCLAIMED)
    status, sub_status = model.UNCLAIMED
    after = replace(order, status=status, sub_status=sub_status, changed_at=at, delivered_at=at)
    return Move(order, after, path, SYSTEM, None)


async def lacking_links(tx: Tx, after_id: int, limit: int) -> list[int]:
    """Orders with items whose links are still to be made, in id order from `after_id` on."""
    return await sql_links.lacking_links(tx, after_id, limit)
