"""Staff send or issue the claim links of an order again: what that means to the order."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from rewards.audit import service as audit
from rewards.core.actor import Actor
from rewards.core.errors import InvalidField, Refusal
from rewards.infra.db import Tx
from rewards.orders import facts, model, sql, sql_read
from rewards.orders.claiming import CLAIMABLE
from rewards.orders.model import Item, ItemStatus, Order, OrderNotFound
from rewards.orders.model_links import NoLinks
from rewards.orders.sql import Move
from rewards.webhooks import service as webhooks
from rewards.webhooks.model import Event

DELIVERED = frozenset({model.Status.DELIVERED, model.Status.PARTIALLY_DELIVERED})


@dataclass(frozen=True, slots=True)
class RelinkAsk:
    """The links of all items of an order that have one, or of the named items."""

    order_id: int
    actor: Actor
    reason: str
    item_ids: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Touched:
    """The order after the act, and the items that it is about."""

    order: Order
    items: tuple[Item, ...]


async def touch(
    tx: Tx, asks: Sequence[RelinkAsk], action: str, at: datetime
) -> list[Touched | Refusal]:
    """Lock each order and write the act: history, trail, and the event that tells of its vouchers.

    Refused with no effect: an unknown order, one without links or, with `item_ids`, items that are
    not the order's (InvalidField) or have no link now (NoLinks).
    """
    assert len({ask.order_id for ask in asks}) == len(asks), "one act an order"
    locked = await sql.lock_orders(tx, [ask.order_id for ask in asks])
    at = model.moment_of_act(at, locked.values())
    held = await sql_read.read_items(tx, list(locked))
    answers: list[Touched | Refusal] = []
    moves = []
    for ask in asks:
        order = locked.get(ask.order_id)
        chosen = _choose(order, held[order.id], ask) if order else OrderNotFound()
        if isinstance(chosen, Refusal):
            answers.append(chosen)
            continue
        assert order is not None
        after = replace(order, changed_at=at)
        moves.append(Move(order, after, (order.state,), ask.actor, ask.reason))
        answers.append(Touched(after, tuple(chosen)))
    await sql.move_orders(tx, moves)
    await webhooks.emit(tx, [event for move in moves for event in _events(move.after)], at)
    told = [facts.audit_fact(action, m.after, m.path, m.actor, m.reason) for m in moves]
    await audit.record(tx, told, at)
    return answers


def _choose(order: Order, items: Sequence[Item], ask: RelinkAsk) -> list[Item] | Refusal:
    linked = {
        item.position: item
        for item in items
        if item.status is ItemStatus.DELIVERED and item.link_status in CLAIMABLE
    }
    if ask.item_ids is None:
        return list(linked.values()) or NoLinks()
    chosen = []
    for index, public_id in enumerate(dict.fromkeys(ask.item_ids)):
        position = model.item_position(order.id, public_id)
        if position is None or not 1 <= position <= order.quantity:
            return InvalidField("ItemIds", "unknown", details={"index": index})
        if position not in linked:
            return NoLinks()
        chosen.append(linked[position])
    return chosen or InvalidField("ItemIds", "required")


def _events(order: Order) -> list[Event]:
    return facts.outcome_events(order) if order.status in DELIVERED else []
