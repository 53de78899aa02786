"""An end user claims an item by its link, or lets the time for it pass (spec.md §3, §7)."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from rewards.audit import service as audit
from rewards.core.actor import Actor
from rewards.core.errors import Refusal
from rewards.infra.db import Tx
from rewards.orders import facts, model, refunds, sql, sql_links, sql_read
from rewards.orders.closing import TakeBackAsk, plan_take_back, settle
from rewards.orders.model import Item, ItemStatus, Order, State
from rewards.orders.model_links import LinkGone, LinkStatus
from rewards.orders.sql import Move
from rewards.webhooks import service as webhooks
from rewards.webhooks.model import Event

CLAIMABLE = frozenset({LinkStatus.UNCLAIMED, LinkStatus.CLAIMED})


@dataclass(frozen=True, slots=True)
class ClaimAsk:
    """Somebody who holds the link of this item wants what is behind it."""

    order_id: int
    position: int
    actor: Actor


@dataclass(frozen=True, slots=True)
class Claimed:
    """The item as its holder has it now. `first`: this claim is the one that counts."""

    order: Order
    item: Item
    first: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class LapseAsk:
    """These items' links were not used in time; those that were by now are left alone."""

    order_id: int
    positions: frozenset[int]
    actor: Actor
    reason: str


@dataclass(frozen=True, slots=True)
class Claimable:
    """What a link leads to, whether it may be had or not."""

    order: Order
    item: Item
    password_hash: str | None = field(repr=False)

    @property
    def open(self) -> bool:
        """Whether the item is still its holder's to have."""
        return self.item.status is ItemStatus.DELIVERED and self.item.link_status in CLAIMABLE

    @property
    def claimed(self) -> bool:
        return self.item.link_status is LinkStatus.CLAIMED


async def look(tx: Tx, order_id: int, position: int) -> Claimable | None:
    """The item behind a link and its order; nothing is locked, nothing changes."""
    order = (await sql_read.read_orders(tx, [order_id])).get(order_id)
    items = (await sql_read.read_items(tx, [order_id]))[order_id]
    item = next((item for item in items if item.position == position), None)
    if order is None or item is None:
        return None
    return Claimable(order, item, await sql_links.password_hash(tx, order_id))


async def claim(tx: Tx, asks: Sequence[ClaimAsk], at: datetime) -> list[Claimed | Refusal]:
    """Count each item as claimed, once; a holder who comes again changes nothing.

    DELIVERED·GV_LINK_UNCLAIMED becomes ·GV_LINK_CLAIMED with the last item its holders still have.
    Refused with LinkGone: an item that was taken back, or has no link. Whether the link itself may
    be used is the caller's to see, once this has locked the order.
    """
    assert len({ask.order_id for ask in asks}) == len(asks), "one act an order"
    locked = await sql.lock_orders(tx, [ask.order_id for ask in asks])
    at = model.moment_of_act(at, locked.values())
    items = await sql_read.read_items(tx, list(locked), ItemStatus.DELIVERED)
    answers: list[Claimed | Refusal] = []
    moves: list[Move] = []
    changes: list[tuple[Item, Item]] = []
    for ask in asks:
        held = items.get(ask.order_id, [])
        item = next((item for item in held if item.position == ask.position), None)
        if item is None or item.link_status not in CLAIMABLE:
            answers.append(LinkGone())
            continue
        order, first = locked[ask.order_id], item.link_status is LinkStatus.UNCLAIMED
        claimed = replace(item, link_status=LinkStatus.CLAIMED)
        if first:
            changes.append((item, claimed))
            moves.append(_move(order, held, ask, at))
            order = moves[-1].after
        answers.append(Claimed(order, claimed, first, at))
    await sql.move_items(tx, changes)
    await sql.move_orders(tx, moves)
    await webhooks.emit(tx, [event for move in moves for event in _events(move)], at)
    told = [facts.audit_fact("order.claimed", m.after, m.path, m.actor) for m in moves]
    await audit.record(tx, told, at)
    return answers


def _move(order: Order, held: Sequence[Item], ask: ClaimAsk, at: datetime) -> Move:
    others = [item for item in held if item.position != ask.position]
    last = all(item.link_status is LinkStatus.CLAIMED for item in others)
    path: tuple[State, ...] = (order.state,)
    if last and order.state == model.UNCLAIMED:
        path = model.walk(order.state, model.CLAIMED)
    status, sub_status = path[-1]
    after = replace(order, status=status, sub_status=sub_status, changed_at=at)
    return Move(order, after, path, ask.actor, None)


def _events(move: Move) -> list[Event]:
    told = facts.outcome_events(move.after) if len(move.path) > 1 else []
    # Whoever claimed it has it: there is nothing to send.
    return [replace(event, mail=False) for event in told]


async def lapse(tx: Tx, asks: Sequence[LapseAsk], at: datetime) -> list[Order | Refusal]:
    """Take back what was not claimed in time, as any late cancel does; the orders as they stand.

    Units are REVOKED and their price refunded, once: of a claim and this, whoever locks the order
    first wins. An order that still waits for other items goes on waiting. Where nothing unclaimed
    is left nothing changes. Refused: an unknown order.
    """
    assert len({ask.order_id for ask in asks}) == len(asks), "one act an order"
    locked = await sql.lock_orders(tx, [ask.order_id for ask in asks])
    at = model.moment_of_act(at, locked.values())
    items = await sql_read.read_items(tx, list(locked), ItemStatus.DELIVERED)
    purses = await refunds.lock_purses(tx, locked.values())
    plans = []
    for ask in asks:
        unclaimed = [
            item
            for item in items.get(ask.order_id, ())
            if item.position in ask.positions and item.link_status is LinkStatus.UNCLAIMED
        ]
        if unclaimed:
            back = TakeBackAsk(ask.order_id, 0, ask.actor, ask.reason)
            plan = plan_take_back(locked[ask.order_id], unclaimed, (), back, at)
            plans.append(settle(plan, purses))
    await refunds.carry_out(tx, plans, purses, "order.link_lapsed", at)
    now = {plan.after.id: plan.after for plan in plans}
    return [
        now.get(ask.order_id) or locked.get(ask.order_id) or model.OrderNotFound() for ask in asks
    ]
