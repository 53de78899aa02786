"""Recalls a batch: out of sale at once, back from its holders once a second person has agreed.

The first act needs one person. The second is a request (`approvals`), and what it agreed to is done
by a worker in chunks: what is left to do is read from the units, so a run that was killed, or a
second one beside it, does nothing twice (spec.md §8).
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from rewards.audit import service as audit
from rewards.audit.model import AuditFact
from rewards.core.actor import Actor, ActorKind
from rewards.core.clock import Clock
from rewards.core.errors import Refusal
from rewards.infra import jobs
from rewards.infra.db import Database, Tx
from rewards.inventory import service as inventory
from rewards.inventory.model import Batch, BatchClosed, BatchStatus, UnitState
from rewards.orders import recalls
from rewards.orders.chunks import CHUNK_MAX, act_apart
from rewards.orders.closing import TakeBackAsk
from rewards.orders.model import Holder, Order
from rewards.staff import approvals
from rewards.staff.model_approvals import (
    OPEN_STATES,
    Approval,
    ApprovalAsk,
    ApprovalKind,
    ApprovalPending,
    ApprovalState,
)

SUBJECT = "batch"
SOLD = (UnitState.DELIVERED, UnitState.COMPLETED)
HELD = (UnitState.ALLOCATED, *SOLD)
PAGE_UNITS = 1_000
PAGES_MAX = 100_000
# What a preview adds up; beyond it says so.
COUNTED_UNITS_MAX = 20_000
# A sale that was under way, or a vendor's delivery, may come in behind the first look.
ROUNDS_MAX = 3


class RecallUnfinished(Exception):
    """Some order could not be taken back: the job is tried again, the request stays APPROVED."""


@dataclass(frozen=True, slots=True)
class RecallAsk:
    """Take this batch out of sale, and ask for it back; `replace` from the pool what it can."""

    batch_id: int
    actor: Actor
    staff_id: int
    reason: str
    replace: bool = False


@dataclass(slots=True)
class Recall:
    """How a batch stands: units by state, what taking back the sold ones would cost, the request.

    While it is being carried out DELIVERED goes down and REVOKED up: that is the progress.
    """

    batch: Batch
    units: dict[UnitState, int]
    approval: Approval | None
    # Only of units that orders hold now; `counted` is false where there are too many to add up.
    orders: int = 0
    clients: int = 0
    refunds_minor: dict[str, int] = field(default_factory=dict)
    counted: bool = True


async def request(db: Database, clock: Clock, ask: RecallAsk) -> Approval:
    """Block what is unsold, now and for good measure again by a job; ask for the rest.

    From the first commit on no pump loads a unit of the batch; when it returns none is for sale.
    Raises BatchNotFound, BatchClosed (recalled), ApprovalPending.
    """

    async def work(tx: Tx) -> Approval:
        at = clock.now()
        blocked = await inventory.set_batch_status(tx, ask.batch_id, BatchStatus.BLOCKED, at)
        wanted = ApprovalAsk(
            ApprovalKind.BATCH_RECALL,
            SUBJECT,
            ask.batch_id,
            ask.staff_id,
            ask.reason,
            {"replace": ask.replace},
        )
        [approval] = await approvals.request(tx, [wanted], ask.actor, at)
        if isinstance(approval, Refusal):
            raise approval
        facts = _status(BatchStatus.OPEN if blocked else BatchStatus.BLOCKED, BatchStatus.BLOCKED)
        await audit.record(tx, [_fact(ask.actor, "blocked", ask.batch_id, facts, ask.reason)], at)
        # Should this process die before all is blocked.
        await jobs.enqueue(tx, [approvals.job(approval)])
        return approval

    approval = await db.run(work)
    await _block(db, ask.batch_id, clock)
    return approval


async def _block(db: Database, batch_id: int, clock: Clock) -> None:
    # Approved in the meantime it is RECALLED, and the job blocks it.
    with suppress(BatchClosed):
        await inventory.block_batch(db, batch_id, clock.now())


def _status(before: BatchStatus, after: BatchStatus) -> dict[str, object]:
    return {"status": {"from": before, "to": after}}


def _fact(
    actor: Actor, done: str, batch_id: int, facts: dict[str, object], reason: str
) -> AuditFact:
    return AuditFact(actor, None, f"batch.{done}", SUBJECT, batch_id, facts, reason)


async def block(db: Database, clock: Clock, batch_id: int, actor: Actor, reason: str) -> int:
    """Take what is unsold of a batch out of sale, and ask for nothing back; how many units.

    A worker does it again, should this process die before all is blocked. Whoever holds a unit
    keeps it. Raises BatchNotFound, BatchClosed (recalled).
    """

    async def work(tx: Tx) -> None:
        at = clock.now()
        blocked = await inventory.set_batch_status(tx, batch_id, BatchStatus.BLOCKED, at)
        facts = _status(BatchStatus.OPEN if blocked else BatchStatus.BLOCKED, BatchStatus.BLOCKED)
        await audit.record(tx, [_fact(actor, "blocked", batch_id, facts, reason)], at)
        # Should this process die before all is blocked.
        await jobs.enqueue(tx, [inventory.block_job(batch_id)])

    await db.run(work)
    return await inventory.block_unsold(db, batch_id, clock.now())


async def unblock(db: Database, clock: Clock, batch_id: int, actor: Actor, reason: str) -> int:
    """Sell a blocked batch again from the next pump on; how many units came back.

    Raises BatchNotFound, BatchClosed (recalled), ApprovalPending while its recall is asked for.
    """

    async def work(tx: Tx) -> None:
        at = clock.now()
        # Holds the batch's row, as `request` does: of the two one comes first.
        opened = await inventory.set_batch_status(tx, batch_id, BatchStatus.OPEN, at)
        last = await approvals.last_of(tx, ApprovalKind.BATCH_RECALL, SUBJECT, batch_id)
        if last is not None and last.state in OPEN_STATES:
            raise ApprovalPending
        facts = _status(BatchStatus.BLOCKED if opened else BatchStatus.OPEN, BatchStatus.OPEN)
        await audit.record(tx, [_fact(actor, "unblocked", batch_id, facts, reason)], at)

    await db.run(work)
    return await inventory.unblock_batch(db, batch_id, clock.now())


async def look(db: Database, batch_id: int) -> Recall:
    """What a recall of the batch would do, or has done so far. Raises BatchNotFound."""
    batch = await inventory.read_batch(db, batch_id)
    async with db.connection() as tx:
        units = await inventory.count_units(tx, batch_id)
        approval = await approvals.last_of(tx, ApprovalKind.BATCH_RECALL, SUBJECT, batch_id)
    found = Recall(batch, units, approval)
    if sum(units.get(state, 0) for state in SOLD) > COUNTED_UNITS_MAX:
        found.counted = False
        return found
    held: list[Holder] = []
    after_id = 0
    for _ in range(PAGES_MAX):
        page = await _page(db, batch_id, SOLD, after_id)
        if not page:
            break
        held += await _holders(db, page)
        after_id = page[-1][0]
    found.orders = len({one.order_id for one in held})
    found.clients = len({one.client_id for one in held})
    found.refunds_minor = recalls.at_stake(held)
    return found


async def units(
    db: Database, batch_id: int, states: Sequence[UnitState], after_id: int, limit: int
) -> list[tuple[int, UnitState, Holder | None]]:
    """Units of the batch in these states by id, each with whoever has or had it."""
    await inventory.read_batch(db, batch_id)
    page = await _page(db, batch_id, states, after_id, limit)
    held = {one.unit_id: one for one in await _holders(db, page)}
    return [(unit_id, state, held.get(unit_id)) for unit_id, state in page]


async def carry_out(db: Database, clock: Clock, approval_id: int) -> None:
    """Do what the request stands for now: block what is unsold; once approved take back the rest.

    Raises RecallUnfinished when something could not be taken back. Then, or killed, run it again.
    """
    async with db.transaction() as tx:
        approval = await approvals.lock(tx, approval_id)
    if approval is None:
        return
    if approval.state is ApprovalState.REQUESTED:
        await _block(db, approval.subject_id, clock)
    if approval.state is not ApprovalState.APPROVED:
        return
    await inventory.block_batch(db, approval.subject_id, clock.now(), recall=True)
    for _ in range(ROUNDS_MAX):
        await _take_back_all(db, clock, approval)
        if await _finish(db, clock, approval.id):
            return
    raise RecallUnfinished


async def _take_back_all(db: Database, clock: Clock, approval: Approval) -> None:
    """Every unit that somebody holds, order by order."""
    assert approval.decided_by is not None, "somebody approved it"
    batch_id, after_id = approval.subject_id, 0
    actor = Actor(ActorKind.STAFF, approval.decided_by)
    replace = approval.details.get("replace") is True

    async def act(order_ids: Sequence[int], tx: Tx) -> list[Order | Refusal]:
        asks = [TakeBackAsk(n, batch_id, actor, approval.reason, replace) for n in order_ids]
        return await recalls.take_back(tx, asks, clock.now())

    for _ in range(PAGES_MAX):
        page = await _page(db, batch_id, HELD, after_id)
        if not page:
            return
        order_ids = sorted({one.order_id for one in await _holders(db, page)})
        for start in range(0, len(order_ids), CHUNK_MAX):
            await act_apart(db, order_ids[start : start + CHUNK_MAX], act)
        # Bought for an order that has not got them yet: nobody has seen them.
        reserved = [unit_id for unit_id, state in page if state is UnitState.ALLOCATED]
        if reserved:
            async with db.transaction() as tx:
                await inventory.write_off_reserved(tx, reserved, clock.now())
        after_id = page[-1][0]


async def _finish(db: Database, clock: Clock, approval_id: int) -> bool:
    """Say that it is done, once nobody holds a unit any more; whether it is."""

    async def work(tx: Tx) -> bool:
        approval = await approvals.lock(tx, approval_id)
        assert approval is not None, "requests are never deleted"
        if await inventory.batch_units(tx, approval.subject_id, HELD, limit=1):
            return False
        if approval.state is ApprovalState.APPROVED:
            at = clock.now()
            await approvals.carried_out(tx, approval, at)
        return True

    return await db.run(work)


async def _page(
    db: Database,
    batch_id: int,
    states: Sequence[UnitState],
    after_id: int,
    limit: int = PAGE_UNITS,
) -> list[tuple[int, UnitState]]:
    async with db.connection() as tx:
        return await inventory.batch_units(tx, batch_id, states, after_id, limit)


async def _holders(db: Database, page: Sequence[tuple[int, UnitState]]) -> list[Holder]:
    async with db.connection() as tx:
        return await recalls.holders(tx, [unit_id for unit_id, _ in page])
