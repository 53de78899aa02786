"""What an act upon an order says to the client (events) and to the books (audit); pure."""

from collections.abc import Sequence
from dataclasses import replace

from rewards.audit.model import AuditFact
from rewards.core.actor import Actor
from rewards.orders.closing import Plan
from rewards.orders.model import Order, State, Status
from rewards.vendors.purchases import PurchaseAsk
from rewards.webhooks.model import Event, EventType

OUTCOME_EVENTS = {
    Status.DELIVERED: EventType.ORDER_DELIVERED,
    Status.PARTIALLY_DELIVERED: EventType.ORDER_PARTIALLY_DELIVERED,
    Status.CANCELLED: EventType.ORDER_CANCELLED,
    Status.FAILED: EventType.ORDER_FAILED,
}


# An order that ends without its vouchers is told of to its client, too.
MAILED_TO_CLIENTS = frozenset({EventType.ORDER_CANCELLED, EventType.ORDER_FAILED})
MAILED_TO_CUSTOMERS = MAILED_TO_CLIENTS | {
    EventType.ORDER_DELIVERED,
    EventType.ORDER_PARTIALLY_DELIVERED,
}

# Staff or the worker looked and nothing was there: the trail knows, the order's history does not.
LOOKED = "order.retry_found_nothing"


def event(kind: EventType, order: Order) -> Event:
    """The payload of spec.md §7: ids and counts, never a code."""
    mailed = MAILED_TO_CUSTOMERS if order.email else MAILED_TO_CLIENTS
    return Event(
        client_id=order.client_id,
        type=kind,
        order_id=order.id,
        data={
            "order_id": order.id,
            "ref": order.ref,
            "status": order.status,
            "sub_status": order.sub_status,
            "vouchers_ready": order.fulfilled - order.revoked,
            "total_vouchers": order.quantity,
        },
        mail=kind in mailed,
    )


def outcome_events(order: Order) -> list[Event]:
    """What a client is told when an order came to a new place; nothing while it just waits."""
    kind = OUTCOME_EVENTS.get(order.status)
    return [event(kind, order)] if kind else []


def filled_events(order: Order) -> list[Event]:
    """As `outcome_events`; a client hears of items with links once there are links to go to."""
    return [] if order.link_type else outcome_events(order)


def closing_events(plan: Plan) -> list[Event]:
    """What a client is told when something of an order went back."""
    before, after = plan.before, plan.after
    if after.state != before.state or after.status is Status.CANCELLED:
        return outcome_events(after)
    # Its vouchers are fewer, or others, than the client was told.
    if after.status is Status.DELIVERED:
        return outcome_events(after) if plan.replaced else []
    return [event(EventType.ORDER_PARTIALLY_DELIVERED, after)] if plan.revoked_units else []


def audit_fact(
    action: str, order: Order, path: tuple[State, ...], actor: Actor, reason: str | None = None
) -> AuditFact:
    """One row of the trail: who moved the order, from where to where, and the money it moved."""
    return AuditFact(
        actor=actor,
        client_id=order.client_id,
        action=action,
        subject_kind="order",
        subject_id=order.id,
        facts={
            "from": str(path[0]),
            "to": str(path[-1]),
            "amount_minor": order.amount_minor,
            "refunded_minor": order.refunded_minor,
            "currency": order.currency,
            "fulfilled": order.fulfilled,
            "quantity": order.quantity,
        },
        reason=reason,
    )


def approval_fact(
    order: Order, actor: Actor, asked: Sequence[PurchaseAsk], reason: str | None
) -> AuditFact:
    """One row of the trail: whom we asked to deliver what for an order, and who wanted it."""
    fact = audit_fact("order.vendor_approved", order, (order.state,), actor, reason)
    return replace(
        fact,
        facts={
            **fact.facts,
            "vendor_id": asked[0].vendor_id,
            "sku": asked[0].line.sku,
            "asked_quantity": sum(each.line.quantity + each.remaining for each in asked),
        },
    )


def opening_fact(actor: Actor, order: Order, units: int) -> AuditFact:
    """One row of the trail: somebody was shown the codes of so many units (spec.md §4)."""
    return AuditFact(
        actor=actor,
        client_id=order.client_id,
        action="order.vouchers_opened",
        subject_kind="order",
        subject_id=order.id,
        facts={"units": units},
        reason=None,
    )
