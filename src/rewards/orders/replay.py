"""Says a first answer again: what a repeated Idempotency-Key hears (spec.md D5)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from rewards.audit import service as audit
from rewards.core.actor import Actor
from rewards.core.errors import Refusal
from rewards.infra import idempotency
from rewards.infra.db import Tx
from rewards.inventory import service as inventory
from rewards.inventory.model import StoredUnit, Taken
from rewards.orders import facts, model, sql_read
from rewards.orders.decide import KeyUse
from rewards.orders.links import LinkMaker, SealedLink
from rewards.orders.model import Item, ItemStatus, Order, RechargeStatus, State
from rewards.orders.model_links import LinkStatus

ROUTE = "POST /api/v1/orders"


@dataclass(frozen=True, slots=True)
class Placed:
    """An order as its request answers it. `units` and `links`: sealed, opened after the commit."""

    order: Order
    items: tuple[Item, ...]
    units: tuple[Taken, ...]
    links: tuple[SealedLink, ...] = ()
    replayed: bool = False


async def replays(
    tx: Tx,
    uses: Sequence[KeyUse | None],
    actors: Sequence[Actor],
    links: LinkMaker,
    at: datetime,
) -> list[Placed | Refusal | None]:
    """For each use: the first answer to its key, a refusal when the body differs, None when new.

    Codes that are shown again leave an audit row as at any other opening (spec.md §4).
    """
    answers: list[Placed | Refusal | None] = [None] * len(uses)
    keyed = [(n, use) for n, use in enumerate(uses) if use is not None]
    stored = await idempotency.read(
        tx, [idempotency.KeyAsk(use.client_id, ROUTE, use.key) for _, use in keyed], at
    )
    repeated: list[tuple[int, FirstAnswer]] = []
    for (n, use), row in zip(keyed, stored, strict=True):
        if row is None:
            continue
        if row.fingerprint != use.fingerprint:
            answers[n] = idempotency.IdempotencyKeyReused()
        else:
            repeated.append((n, FirstAnswer(**row.answer)))
    placed = await first_answers(tx, [first for _, first in repeated], links)
    for (n, _), answer in zip(repeated, placed, strict=True):
        answers[n] = answer
    openings = [
        facts.opening_fact(actors[n], answer.order, len(answer.units))
        for (n, _), answer in zip(repeated, placed, strict=True)
        if answer.units
    ]
    if openings:
        await audit.record(tx, openings, at)
    return answers


@dataclass(frozen=True, slots=True)
class FirstAnswer:
    """What an idempotency row keeps: enough to repeat the first reply, and no secret."""

    order_id: int
    status: str
    sub_status: str
    fulfilled: int


def first_answer(order: Order) -> dict[str, object]:
    """What to keep of an order's first reply; FirstAnswer reads it back."""
    return {
        "order_id": order.id,
        "status": order.status,
        "sub_status": order.sub_status,
        "fulfilled": order.fulfilled,
    }


async def first_answers(tx: Tx, firsts: Sequence[FirstAnswer], links: LinkMaker) -> list[Placed]:
    if not firsts:
        return []
    order_ids = [first.order_id for first in firsts]
    orders = await sql_read.read_orders(tx, order_ids)
    items = await sql_read.read_items(tx, order_ids)
    shown = [as_first_answered(orders[f.order_id], items[f.order_id], f) for f in firsts]
    # Codes are opened again; one that was revoked since is not.
    unit_ids = [
        item.unit_id
        for order_id in order_ids
        for item in items[order_id]
        if item.unit_id is not None and item.status is ItemStatus.DELIVERED
    ]
    stored = await inventory.read_units(tx, unit_ids)
    units = {unit.unit_id: unit for unit in stored if unit is not None}
    linked = [order.id for order, _ in shown if order.link_type is not None]
    live = await links.find(tx, linked) if linked else []
    return [
        Placed(
            order,
            first_items,
            _sealed(first_items, units),
            _live(order, items[order.id], live),
            replayed=True,
        )
        for order, first_items in shown
    ]


def _live(
    order: Order, items: Sequence[Item], links: Sequence[SealedLink]
) -> tuple[SealedLink, ...]:
    """The links of what was there at once, and was not taken back since."""
    kept = {
        item.position
        for item in items
        if item.status is ItemStatus.DELIVERED and item.delivered_at == order.placed_at
    }
    return tuple(link for link in links if link.order_id == order.id and link.position in kept)


def _sealed(items: Sequence[Item], units: dict[int, StoredUnit]) -> tuple[Taken, ...]:
    found = (units[item.unit_id] for item in items if item.unit_id in units)
    return tuple(Taken(unit.unit_id, unit.expires_at, unit.sealed) for unit in found)


def as_first_answered(
    order: Order, items: Sequence[Item], first: FirstAnswer
) -> tuple[Order, tuple[Item, ...]]:
    """The order as its first reply showed it: what came later (delivery, refund) is left out."""
    state = State(model.Status(first.status), model.SubStatus(first.sub_status))
    had_items = state != model.BULK
    at_once = replace(
        order,
        status=state.status,
        sub_status=state.sub_status,
        items_created=order.quantity if had_items else 0,
        fulfilled=first.fulfilled,
        cancelled=0,
        revoked=0,
        refunded_minor=0,
        refund_owed_minor=0,
        delivered_at=order.placed_at if state.status is model.Status.DELIVERED else None,
        cancelled_at=None,
    )
    then = tuple(_item_then(item, order.placed_at) for item in items) if had_items else ()
    return at_once, then


def _item_then(item: Item, placed_at: datetime) -> Item:
    if item.delivered_at == placed_at:
        unclaimed = item.link_status and LinkStatus.UNCLAIMED
        return replace(item, status=ItemStatus.DELIVERED, link_status=unclaimed)
    recharge = item.recharge_status and RechargeStatus.PENDING
    return Item(item.order_id, item.position, ItemStatus.PENDING, None, recharge)
