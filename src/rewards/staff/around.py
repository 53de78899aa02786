"""What is under way around orders, read from every slice that may be at work on one."""

from collections.abc import Sequence
from datetime import datetime

from rewards.claims import service as claims
from rewards.claims.model import Link
from rewards.infra.db import Tx
from rewards.infra.settings import Settings
from rewards.orders import model
from rewards.orders.model import OPEN_STATUSES, Order
from rewards.orders.model_next import Around, Next, next_act
from rewards.staff import approvals
from rewards.staff.fulfilments import SUBJECT
from rewards.staff.model_approvals import Approval, ApprovalState
from rewards.vendors import purchases
from rewards.vendors.model import FOR_ORDERS, Purchase


async def next_acts(
    tx: Tx, orders: Sequence[Order], settings: Settings, now: datetime
) -> list[Next]:
    """Who must act next upon each order, in order; at most three statements."""
    waiting = [order.id for order in orders if order.status in OPEN_STATUSES]
    linked = [order.id for order in orders if order.state == model.UNCLAIMED]
    bought = await purchases.open_of(tx, FOR_ORDERS, waiting) if waiting else {}
    asked = await approvals.open_of(tx, SUBJECT, waiting) if waiting else {}
    links = await claims.of_orders(tx, linked)
    return [
        next_act(
            order,
            around(
                bought.get(order.id, ()), asked.get(order.id, ()), links.get(order.id, ()), settings
            ),
            now,
        )
        for order in orders
    ]


def around(
    bought: Sequence[Purchase],
    asked: Sequence[Approval],
    links: Sequence[Link],
    settings: Settings,
) -> Around:
    """The same as the lifecycle needs it; what is over already counts for nothing."""
    requested = [one.expires_at for one in asked if one.state is ApprovalState.REQUESTED]
    unclaimed = [
        link.claim_before for link in links if link.claimed_at is None and link.ended_at is None
    ]
    return Around(
        purchases=[purchase for purchase in bought if purchase.open],
        approval_until=min(requested, default=None),
        agreed=any(one.state is ApprovalState.APPROVED for one in asked),
        claim_before=min(unclaimed, default=None),
        retries_itself=not settings.disable_auto_order_retry,
    )
