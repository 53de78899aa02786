"""Stock orders as staff give them: one person up to a limit, two above it (spec.md §5, §8).

What counts is this order and whatever else the same person ordered alone within 24 hours.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from rewards.audit import service as audit
from rewards.audit.model import AuditFact
from rewards.core.actor import SYSTEM, Actor, ActorKind
from rewards.core.errors import Refusal
from rewards.infra.db import Tx
from rewards.restocks import ordering
from rewards.restocks.buying import SUBJECT
from rewards.restocks.model import StockAsk, StockOrder, StockState, Supply, choose, why_not
from rewards.restocks.service import Restocks
from rewards.staff import alone, approvals
from rewards.staff.model_approvals import (
    OWN_STOCK,
    Approval,
    ApprovalAsk,
    ApprovalKind,
    ApprovalState,
    LoneAct,
    Scope,
)

Value = TypeVar("Value")
GONE = "the vendor cannot be asked for it any more"
EXPIRED = "nobody decided about it in time"
WITHDRAWN = "whoever asked for it took it back"


@dataclass(frozen=True, slots=True)
class Answer:
    """An order; `repeated`: it had been given before under the same reference."""

    order: StockOrder
    repeated: bool


async def request(restocks: Restocks, ask: StockAsk, actor: Actor) -> Answer:
    """Order stock, or ask for the second person's yes to it; the order as it stands then.

    A worker asks the vendor once this has committed. Raises VendorNotAvailable when nobody, or not
    the one named, sells it; StockOrderOpen; StockReferenceReused.
    """
    product_id = ask.shelf.product_id
    chosen = choose((await restocks.supplies([product_id]))[product_id], ask.shelf, ask.vendor)

    async def work(tx: Tx) -> Answer:
        before = _raised(await ordering.repeated(tx, ask))
        if before is not None:
            return Answer(before, repeated=True)
        supply = _raised(chosen)
        at = restocks.clock.now()
        worth = (ask.worth_minor, ask.shelf.currency)
        spent = await alone.spent(tx, ask.asked_by, Scope.STOCK, [OWN_STOCK], at)
        second = not restocks.limit.covers(*worth, at, spent[OWN_STOCK])
        order = _raised(await ordering.draw_up(tx, ask, supply, at, second_person=second))
        await audit.record(tx, [_fact(actor, "asked", order, ask.reason)], at)
        if second:
            [approval] = await approvals.request(tx, [_wanted(ask, order, supply)], actor, at)
            _raised(approval)
        else:
            await alone.note(tx, [LoneAct(ask.asked_by, Scope.STOCK, OWN_STOCK, *worth)], at)
            await _send(tx, restocks, order, supply, at)
        return Answer(order, repeated=False)

    return await restocks.db.run(work)


async def carry_out(restocks: Restocks, approval_id: int) -> None:
    """Send the order that was agreed to, call off one that was not; may be killed and run twice."""
    async with restocks.db.transaction() as tx:
        asked = await approvals.lock(tx, approval_id)
        order = None if asked is None else await ordering.read(tx, asked.subject_id)
    if asked is None or order is None or asked.state is ApprovalState.REQUESTED:
        return
    assert asked.kind is ApprovalKind.STOCK_ORDER, "a job is of one kind"
    supply = await _as_drawn_up(restocks, order)

    async def work(tx: Tx) -> None:
        approval = await approvals.lock(tx, approval_id)
        waiting = await ordering.lock(tx, order.id)
        assert approval is not None, "requests are never deleted"
        assert waiting is not None, "nor are stock orders"
        if waiting.state is not StockState.WAITING:
            return
        at = restocks.clock.now()
        if approval.state is ApprovalState.APPROVED:
            await _agreed(tx, restocks, approval, waiting, supply, at)
        else:
            await _called_off(tx, approval, waiting, at)

    await restocks.db.run(work)


async def _as_drawn_up(restocks: Restocks, order: StockOrder) -> Supply | None:
    """Where the order was to be bought; None where the vendor cannot be asked any more."""
    product_id = order.shelf.product_id
    for supply in (await restocks.supplies([product_id]))[product_id]:
        if supply.source.vendor_id == order.vendor_id and why_not(supply, order.shelf) is None:
            return supply
    return None


async def _agreed(
    tx: Tx,
    restocks: Restocks,
    approval: Approval,
    waiting: StockOrder,
    supply: Supply | None,
    at: datetime,
) -> None:
    actor = Actor(ActorKind.STAFF, approval.decided_by)
    if supply is None:
        order = await ordering.failed(tx, waiting, GONE, at)
    else:
        order = await ordering.agreed(tx, waiting, at)
        await _send(tx, restocks, order, supply, at)
    action = "agreed" if supply else "failed"
    await audit.record(tx, [_fact(actor, action, order, approval.note or order.message)], at)
    await approvals.carried_out(tx, approval, at)


async def _called_off(tx: Tx, approval: Approval, waiting: StockOrder, at: datetime) -> None:
    order = await ordering.called_off(tx, waiting, at)
    withdrawn = approval.state is ApprovalState.WITHDRAWN
    person = approval.requested_by if withdrawn else approval.decided_by
    actor = SYSTEM if person is None else Actor(ActorKind.STAFF, person)
    reason = WITHDRAWN if withdrawn else approval.note or EXPIRED
    await audit.record(tx, [_fact(actor, "called_off", order, reason)], at)


async def _send(
    tx: Tx, restocks: Restocks, order: StockOrder, supply: Supply, at: datetime
) -> None:
    vendor = await restocks.accounts.vendor(order.vendor_id)
    await ordering.send(tx, order, supply, vendor, restocks.window, at)


def _wanted(ask: StockAsk, order: StockOrder, supply: Supply) -> ApprovalAsk:
    shelf = order.shelf
    return ApprovalAsk(
        ApprovalKind.STOCK_ORDER,
        SUBJECT,
        order.id,
        order.asked_by,
        order.reason,
        {
            "vendor": supply.source.vendor,
            "product_id": shelf.product_id,
            "denomination_minor": shelf.denomination_minor,
            "quantity": order.quantity,
        },
        ask.worth_minor,
        shelf.currency,
    )


def _fact(actor: Actor, action: str, order: StockOrder, reason: str | None) -> AuditFact:
    shelf = order.shelf
    facts: dict[str, object] = {
        "state": order.state,
        "vendor_id": order.vendor_id,
        "product_id": shelf.product_id,
        "denomination_minor": shelf.denomination_minor,
        "currency": shelf.currency,
        "quantity": order.quantity,
        "cost_minor": order.cost_minor,
    }
    return AuditFact(actor, None, f"stock_order.{action}", SUBJECT, order.id, facts, reason)


def _raised(answer: Value | Refusal) -> Value:
    if isinstance(answer, Refusal):
        raise answer
    return answer
