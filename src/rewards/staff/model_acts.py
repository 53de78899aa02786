"""Which acts upon an order are open now, and which permission each needs; pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from rewards.orders import model
from rewards.orders.fulfilment import APPROVABLE
from rewards.orders.model import OPEN_STATUSES, Item, ItemStatus, Order, Status
from rewards.orders.model_next import Around
from rewards.staff.model import Permission, Staff
from rewards.vendors.model import PurchaseState


class OrderAct(StrEnum):
    RETRY = "RETRY"
    VENDOR_FULFILMENT = "VENDOR_FULFILMENT"
    CANCEL = "CANCEL"
    REFUND_RETRY = "REFUND_RETRY"
    LINKS_RESEND = "LINKS_RESEND"
    LINKS_REISSUE = "LINKS_REISSUE"
    VERDICT = "VERDICT"
    DECIDE_APPROVAL = "DECIDE_APPROVAL"
    NOTE = "NOTE"
    REVEAL = "REVEAL"


NEEDS: Mapping[OrderAct, Permission] = MappingProxyType(
    {
        OrderAct.RETRY: Permission.ORDERS_RETRY,
        OrderAct.VENDOR_FULFILMENT: Permission.VENDORS_APPROVE,
        OrderAct.CANCEL: Permission.ORDERS_CANCEL,
        OrderAct.REFUND_RETRY: Permission.ORDERS_REFUND,
        OrderAct.LINKS_RESEND: Permission.LINKS_RESEND,
        OrderAct.LINKS_REISSUE: Permission.LINKS_REISSUE,
        OrderAct.VERDICT: Permission.VENDORS_APPROVE,
        OrderAct.DECIDE_APPROVAL: Permission.APPROVALS_DECIDE,
        OrderAct.NOTE: Permission.ORDERS_NOTE,
        OrderAct.REVEAL: Permission.CODES_REVEAL,
    }
)
assert NEEDS.keys() == set(OrderAct), "every act needs a permission"
_UNCANCELLABLE = frozenset({model.REFUNDED, model.REFUND_OWED, model.OVER_BULK_LIMIT})


def open_acts(
    order: Order, items: Sequence[Item], around: Around, person: Staff, now: datetime
) -> list[OrderAct]:
    """What this person may do now, as the order stands. Each act still looks for itself."""
    late = order.deliver_by is not None and order.deliver_by <= now
    bought = list(around.purchases)
    free = order.state in model.FILLABLE and not bought and not late
    sent = order.recharge and any(each.state is not PurchaseState.READY for each in bought)
    delivered = any(item.status is ItemStatus.DELIVERED and item.unit_id for item in items)
    linked = order.link_type is not None and order.status is Status.DELIVERED
    asked = around.approval_until is not None or around.agreed
    possible = {
        OrderAct.RETRY: free,
        OrderAct.VENDOR_FULFILMENT: free and order.state in APPROVABLE and not asked,
        OrderAct.CANCEL: order.state not in _UNCANCELLABLE and not sent,
        OrderAct.REFUND_RETRY: order.refund_owed_minor > 0,
        OrderAct.LINKS_RESEND: linked,
        OrderAct.LINKS_REISSUE: linked,
        OrderAct.VERDICT: any(each.case_at is not None for each in bought),
        OrderAct.DECIDE_APPROVAL: around.approval_until is not None
        and order.status in OPEN_STATUSES,
        OrderAct.NOTE: True,
        OrderAct.REVEAL: delivered,
    }
    return [act for act in OrderAct if possible[act] and person.may(NEEDS[act])]
