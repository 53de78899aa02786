"""Has vendors deliver: one person's word is enough up to the limit, above it another must agree.

What was agreed to is done by a worker (`carry_out`), in one transaction with saying that it is.
"""

from collections.abc import Collection, Sequence

from rewards.core.actor import Actor, ActorKind
from rewards.core.clock import Clock
from rewards.core.errors import Refusal
from rewards.infra.db import Database, Tx
from rewards.orders.fulfilment import ApproveAsk, Foreseen, Fulfilment
from rewards.orders.model import Order
from rewards.orders.vendor_limit import AboveLimit, Spent, lacking_minor
from rewards.staff import alone, approvals
from rewards.staff.model_approvals import (
    Approval,
    ApprovalAsk,
    ApprovalKind,
    ApprovalPending,
    ApprovalState,
    LoneAct,
    Scope,
)

SUBJECT = "order"


async def ask(
    db: Database, clock: Clock, fulfilment: Fulfilment, asks: Sequence[ApproveAsk], staff_id: int
) -> list[Order | Approval | Refusal]:
    """Approve each, or request what one person may not approve; the order or the request, in order.

    What the person had vendors deliver for the same client alone within 24 hours counts as well.
    Refused, each by itself and with no effect: as `Fulfilment.approve` does, and APPROVAL_PENDING.
    """
    choices = await fulfilment.choices([ask.order_id for ask in asks])

    async def work(tx: Tx) -> list[Order | Approval | Refusal]:
        at = clock.now()

        async def lately(tx: Tx, client_ids: Collection[int]) -> Spent:
            return await alone.spent(tx, staff_id, Scope.CLIENT, client_ids, at)

        answers = await fulfilment.approve_in(tx, asks, choices, lately)
        acts = [_lone(one, staff_id) for one in answers if isinstance(one, Order)]
        await alone.note(tx, acts, at)
        above = {
            ask.order_id: _request(ask, answer, staff_id)
            for ask, answer in zip(asks, answers, strict=True)
            if isinstance(answer, AboveLimit)
        }
        if not above:
            return list(answers)
        asked = await approvals.request(tx, list(above.values()), asks[0].actor, at)
        requested = dict(zip(above, asked, strict=True))
        return [
            requested.get(a.order_id) or answer for a, answer in zip(asks, answers, strict=True)
        ]

    return await db.run(work)


def _lone(order: Order, staff_id: int) -> LoneAct:
    worth_minor = lacking_minor(order)
    return LoneAct(staff_id, Scope.CLIENT, order.client_id, worth_minor, order.product_currency)


async def foresee(
    db: Database, clock: Clock, fulfilment: Fulfilment, asks: Sequence[ApproveAsk], staff_id: int
) -> list[Foreseen | Refusal]:
    """What `ask` would do for each now, in order; nothing is done. Refused as it refuses."""

    async def lately(tx: Tx, client_ids: Collection[int]) -> Spent:
        return await alone.seen(tx, staff_id, Scope.CLIENT, client_ids, clock.now())

    answers = await fulfilment.foresee(asks, lately)
    async with db.connection() as connection:
        asked = await approvals.open_of(connection, SUBJECT, [ask.order_id for ask in asks])
    return [
        ApprovalPending()
        if isinstance(answer, Foreseen) and answer.second_person and asked[ask.order_id]
        else answer
        for ask, answer in zip(asks, answers, strict=True)
    ]


async def takes_two(
    db: Database, clock: Clock, fulfilment: Fulfilment, order: Order, staff_id: int
) -> bool:
    """Whether this person could not have a vendor deliver, now, without a second one."""
    at = clock.now()
    async with db.connection() as connection:
        spent = await alone.seen(connection, staff_id, Scope.CLIENT, [order.client_id], at)
    return fulfilment.limit.check(order, at, spent[order.client_id]) is not None


def _request(ask: ApproveAsk, above: AboveLimit, staff_id: int) -> ApprovalAsk:
    return ApprovalAsk(
        ApprovalKind.VENDOR_FULFILMENT,
        SUBJECT,
        ask.order_id,
        staff_id,
        ask.reason or "",
        {"vendor": ask.vendor},
        above.worth_minor,
        above.currency,
    )


async def carry_out(db: Database, clock: Clock, fulfilment: Fulfilment, approval_id: int) -> None:
    """Approve what a second person agreed to. Run twice, or by two at once, it does so once.

    An order that waits for no vendor any more is left alone, and the request says why.
    """
    async with db.transaction() as tx:
        found = await approvals.lock(tx, approval_id)
    if found is None or found.state is not ApprovalState.APPROVED:
        return
    choices = await fulfilment.choices([found.subject_id])

    async def work(tx: Tx) -> None:
        approval = await approvals.lock(tx, approval_id)
        if approval is None or approval.state is not ApprovalState.APPROVED:
            return
        [answer] = await fulfilment.approve_in(tx, [_agreed(approval)], choices)
        refused = answer if isinstance(answer, Refusal) else None
        await approvals.carried_out(tx, approval, clock.now(), refused=refused)

    await db.run(work)


def _agreed(approval: Approval) -> ApproveAsk:
    vendor = approval.details.get("vendor")
    assert vendor is None or isinstance(vendor, str), "as it was requested"
    actor = Actor(ActorKind.STAFF, approval.decided_by)
    return ApproveAsk(approval.subject_id, actor, approval.reason, vendor, agreed=True)
