"""Cancels orders for staff: what was delivered goes back above the limit only if two agree.

Giving up what still waits needs one person: the client never had it. Taking back what somebody had
moves money as a top-up does, and counts with them for its client (`bookings`); a worker does what
was agreed to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from rewards.core.actor import Actor, ActorKind
from rewards.core.clock import Clock
from rewards.core.errors import Conflict, Refusal
from rewards.infra.db import Database, Tx
from rewards.orders import foreseeing
from rewards.orders import service as orders
from rewards.orders.closing import Plan
from rewards.orders.foreseeing import Foresight
from rewards.orders.model import Order
from rewards.orders.service import CancelAsk
from rewards.pricing.one_person import OnePersonLimit
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
STILL_OWED = "the wallet takes no money now: the refund is owed"


class AboveRefundLimit(Conflict):
    """More than one person may give back; `amount_minor` is in `currency`."""

    code = "REFUND_LIMIT_EXCEEDED"
    default_message = "A second person must agree to give back so much"

    def __init__(self, amount_minor: int, currency: str) -> None:
        super().__init__()
        self.amount_minor = amount_minor
        self.currency = currency


@dataclass(slots=True)
class _OnePerson:
    """Judges what one person may give back, and remembers what they do."""

    limit: OnePersonLimit
    staff_id: int
    at: datetime
    acts: list[LoneAct] = field(default_factory=list)

    async def judge(self, tx: Tx, plans: Sequence[Plan]) -> Mapping[int, Refusal]:
        """AboveRefundLimit for each that takes two; the wallets are locked."""
        late = [plan for plan in plans if plan.taken_back_minor]
        if not late:
            return {}
        client_ids = {plan.before.client_id for plan in late}
        spent = await alone.spent_on_wallets(tx, self.staff_id, client_ids, self.at)
        above: dict[int, Refusal] = {}
        for plan in late:
            order, amount = plan.before, (plan.taken_back_minor, plan.before.currency)
            if self.limit.covers(*amount, self.at, spent[order.client_id]):
                spent[order.client_id].append(amount)
                act = LoneAct(self.staff_id, Scope.WALLET, order.wallet_id, *amount)
                self.acts.append(act)
            else:
                above[order.id] = AboveRefundLimit(*amount)
        return above


async def cancel(
    tx: Tx, limit: OnePersonLimit, asks: Sequence[CancelAsk], staff_id: int, at: datetime
) -> list[Order | Approval | Refusal]:
    """Cancel each, or ask for a second person; the order or the request, in order.

    Refused, each by itself and with no effect: as `orders.cancel` does, and APPROVAL_PENDING.
    """
    person = _OnePerson(limit, staff_id, at)
    answers = await orders.cancel(tx, asks, at, person.judge)
    await alone.note(tx, person.acts, at)
    above = {
        ask.order_id: _wanted(ask, answer, staff_id)
        for ask, answer in zip(asks, answers, strict=True)
        if isinstance(answer, AboveRefundLimit)
    }
    if not above:
        return list(answers)
    asked = await approvals.request(tx, list(above.values()), asks[0].actor, at)
    requested = dict(zip(above, asked, strict=True))
    return [requested.get(ask.order_id) or told for ask, told in zip(asks, answers, strict=True)]


async def foresee(
    tx: Tx, limit: OnePersonLimit, asks: Sequence[CancelAsk], staff_id: int, at: datetime
) -> list[tuple[Foresight | Refusal, bool]]:
    """What `cancel` would do for each now, in order, and whether it takes a second person first.

    Refused as it refuses; nothing is locked or written.
    """
    answers = await foreseeing.cancels(tx, asks, at)
    told = [one for one in answers if isinstance(one, Foresight)]
    client_ids = {one.before.client_id for one in told if one.taken_back_minor}
    spent = await alone.seen_on_wallets(tx, staff_id, client_ids, at)
    asked = await approvals.open_of(tx, SUBJECT, [one.before.id for one in told])
    foreseen: list[tuple[Foresight | Refusal, bool]] = []
    for answer in answers:
        if isinstance(answer, Refusal) or not answer.taken_back_minor:
            foreseen.append((answer, False))
            continue
        order, amount = answer.before, (answer.taken_back_minor, answer.before.currency)
        if limit.covers(*amount, at, spent[order.client_id]):
            spent[order.client_id].append(amount)
            foreseen.append((answer, False))
        elif any(one.kind is ApprovalKind.LATE_CANCEL for one in asked[order.id]):
            foreseen.append((ApprovalPending(), False))
        else:
            foreseen.append((answer, True))
    return foreseen


async def carry_out(db: Database, clock: Clock, approval_id: int) -> None:
    """Take back what a second person agreed to. Run twice, or by two at once, it does so once.

    What is not in a state to be given back any more is left alone, and the request says why. Where
    the wallet takes no money the refund is owed, as after any cancel, and the request says so.
    """

    async def work(tx: Tx) -> None:
        approval = await approvals.lock(tx, approval_id)
        if approval is None or approval.state is not ApprovalState.APPROVED:
            return
        at = clock.now()
        [answer] = await orders.cancel(tx, [_agreed(approval)], at)
        if isinstance(answer, Refusal):
            await approvals.carried_out(tx, approval, at, refused=answer)
        else:
            note = STILL_OWED if answer.refund_owed_minor else None
            await approvals.carried_out(tx, approval, at, note=note)

    await db.run(work)


def _wanted(ask: CancelAsk, above: AboveRefundLimit, staff_id: int) -> ApprovalAsk:
    return ApprovalAsk(
        ApprovalKind.LATE_CANCEL,
        SUBJECT,
        ask.order_id,
        staff_id,
        ask.reason,
        {"item_ids": None if ask.item_ids is None else list(ask.item_ids)},
        above.amount_minor,
        above.currency,
    )


def _agreed(approval: Approval) -> CancelAsk:
    item_ids = approval.details["item_ids"]
    assert item_ids is None or isinstance(item_ids, list), "as it was requested"
    return CancelAsk(
        approval.subject_id,
        Actor(ActorKind.STAFF, approval.decided_by),
        approval.reason,
        None if item_ids is None else tuple(map(str, item_ids)),
    )
