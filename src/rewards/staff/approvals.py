"""Requests that need a second person: asked for, decided, carried out by a job (spec.md §8).

What a request asks for happens in nobody's transaction: how it ended enqueues the job of its kind.
On a yes that does the work, may be killed, and says `carried_out` at the end; on a no, or when
nobody looked, it closes what waited for the answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType

from rewards.audit import service as audit
from rewards.audit.model import AuditFact
from rewards.core.actor import SYSTEM, Actor
from rewards.core.errors import Refusal
from rewards.infra import jobs
from rewards.infra.db import Tx
from rewards.staff import hands, sql_approvals
from rewards.staff.model_approvals import (
    LIFETIME,
    NEXT_STATE,
    Approval,
    ApprovalAsk,
    ApprovalKind,
    ApprovalNotFound,
    ApprovalPending,
    ApprovalState,
    Verdict,
    decide,
    withdraw,
)

EXPIRE_MAX = 1_000
BOOK_MONEY = jobs.declare("staff.book_money")
# What is told how a request ended, and carries it out; its payload is {"approval_id": …}.
JOBS: Mapping[ApprovalKind, str] = MappingProxyType(
    {
        ApprovalKind.BATCH_RECALL: jobs.declare("staff.recall_batch"),
        ApprovalKind.VENDOR_FULFILMENT: jobs.declare("staff.fulfil_by_vendor"),
        ApprovalKind.STOCK_ORDER: jobs.declare("staff.stock_order"),
        ApprovalKind.TOPUP: BOOK_MONEY,
        ApprovalKind.ADJUSTMENT: BOOK_MONEY,
        ApprovalKind.CREDIT_LIMIT: jobs.declare("staff.raise_credit"),
        ApprovalKind.LATE_CANCEL: jobs.declare("staff.late_cancel"),
    }
)


async def request(
    tx: Tx, asks: Sequence[ApprovalAsk], actor: Actor, at: datetime
) -> list[Approval | Refusal]:
    """Ask for each of these; the requests, in order.

    Refused (409 APPROVAL_PENDING): the same kind of thing was asked for the same subject under the
    same reference before, and is not decided, or approved and not carried out.
    """
    await expire(tx, at)
    added = await sql_approvals.add(tx, asks, at, at + LIFETIME)
    await _record(tx, added, actor, at)
    known = {(one.kind, one.subject_kind, one.subject_id, one.reference): one for one in added}
    answers: list[Approval | Refusal] = []
    for ask in asks:
        # Taken out: the second of two asks for the same is refused.
        mine = known.pop((ask.kind, ask.subject_kind, ask.subject_id, ask.reference), None)
        answers.append(mine or ApprovalPending())
    return answers


async def settle(
    tx: Tx, verdicts: Sequence[Verdict], actor: Actor, at: datetime
) -> list[Approval | Refusal]:
    """Approve or reject; the requests as they are now, in order. Each enqueues the job of its kind.

    Refused: unknown (404), decided before or expired (409), by the person who asked (403), and a
    yes from an account that one person had in hand with that of who asked (403 SAME_HANDS).
    """
    assert len({verdict.approval_id for verdict in verdicts}) == len(verdicts), "one verdict each"
    locked = await sql_approvals.lock(tx, [verdict.approval_id for verdict in verdicts])
    people = {verdict.staff_id for verdict in verdicts if verdict.approve}
    if people:
        people |= {approval.requested_by for approval in locked.values()}
    held = await hands.holders(tx, people, at) if people else {}
    answers = [decide(locked.get(verdict.approval_id), verdict, at, held) for verdict in verdicts]
    await _move(tx, locked, answers, actor, at)
    return answers


async def take_back(
    tx: Tx, approval_ids: Sequence[int], staff_id: int, actor: Actor, at: datetime
) -> list[Approval | Refusal]:
    """Withdraw each request that this person made; the requests as they are now, in order.

    What waited for the answer is closed by the job of its kind, as after a no. Refused: unknown
    (404), somebody else's (403), decided before or expired (409).
    """
    assert len(set(approval_ids)) == len(approval_ids), "each once"
    locked = await sql_approvals.lock(tx, approval_ids)
    answers = [withdraw(locked.get(number), staff_id, at) for number in approval_ids]
    await _move(tx, locked, answers, actor, at)
    return answers


async def _move(
    tx: Tx,
    locked: Mapping[int, Approval],
    answers: Sequence[Approval | Refusal],
    actor: Actor,
    at: datetime,
) -> None:
    """Write those that were not refused, and tell the job of each."""
    moved = [answer for answer in answers if isinstance(answer, Approval)]
    if moved:
        await sql_approvals.move(tx, [(locked[one.id], one) for one in moved])
        await _record(tx, moved, actor, at)
        await jobs.enqueue(tx, [job(one) for one in moved])


async def lock(tx: Tx, approval_id: int) -> Approval | None:
    """The request, locked until the transaction ends."""
    return (await sql_approvals.lock(tx, [approval_id])).get(approval_id)


async def carried_out(
    tx: Tx,
    approval: Approval,
    at: datetime,
    *,
    refused: Refusal | None = None,
    note: str | None = None,
    transfer_id: int | None = None,
) -> None:
    """Say of a request that `lock` answered that what was approved is done.

    `refused`: why nothing could be done any more; it stands in the place of the remark of who
    decided, as does `note`. `transfer_id`: what moved the money.
    """
    if refused is not None:
        note = f"{refused.code}: {refused.message}"
    after = replace(
        approval,
        state=ApprovalState.CARRIED_OUT,
        carried_out_at=at,
        note=note or approval.note,
        refused=None if refused is None else refused.code,
        transfer_id=transfer_id,
    )
    assert after.state in NEXT_STATE[approval.state]
    await sql_approvals.move(tx, [(approval, after)])
    await _record(tx, [after], SYSTEM, at)


async def expire(tx: Tx, at: datetime) -> int:
    """Close requests that waited too long; how many."""
    expired = await sql_approvals.expire(tx, at, EXPIRE_MAX)
    await _record(tx, expired, SYSTEM, at)
    await jobs.enqueue(tx, [job(one) for one in expired])
    return len(expired)


async def find(
    tx: Tx,
    *,
    state: ApprovalState | None = None,
    kind: ApprovalKind | None = None,
    requested_by: int | None = None,
    before_id: int,
    limit: int,
) -> list[Approval]:
    """Requests, newest first; None leaves a filter open."""
    return await sql_approvals.find(tx, state, kind, requested_by, before_id, limit)


async def read(tx: Tx, approval_ids: Sequence[int]) -> list[Approval | Refusal]:
    """Requests by id, in order; unknown ones are refused (404)."""
    found = await sql_approvals.read(tx, approval_ids)
    return [found.get(number) or ApprovalNotFound() for number in approval_ids]


async def last_of(
    tx: Tx, kind: ApprovalKind, subject_kind: str, subject_id: int
) -> Approval | None:
    """The newest request of this kind about this subject."""
    return await sql_approvals.last_of(tx, kind, subject_kind, subject_id)


async def open_of(
    tx: Tx, subject_kind: str, subject_ids: Sequence[int]
) -> dict[int, list[Approval]]:
    """What is asked about each of these subjects and not carried out, oldest first."""
    found: dict[int, list[Approval]] = {subject_id: [] for subject_id in subject_ids}
    for one in await sql_approvals.open_of(tx, subject_kind, subject_ids):
        found[one.subject_id].append(one)
    return found


async def count_requested(tx: Tx, at: datetime) -> list[tuple[ApprovalKind, int, datetime]]:
    """How many requests of each kind wait for a second person, and when the first expires."""
    return await sql_approvals.count_requested(tx, at)


async def of_subject(tx: Tx, subject_kind: str, subject_id: int, limit: int) -> list[Approval]:
    """Whatever was asked about one subject, newest first."""
    return await sql_approvals.of_subject(tx, subject_kind, subject_id, limit)


def job(approval: Approval) -> jobs.JobAsk:
    """What is told of this request; asked for twice it runs once."""
    return jobs.JobAsk(
        JOBS[approval.kind], {"approval_id": approval.id}, dedupe_key=str(approval.id)
    )


async def _record(tx: Tx, moved: Sequence[Approval], actor: Actor, at: datetime) -> None:
    """One row of the trail for each request that came to its state now."""
    facts = [
        AuditFact(
            actor=actor,
            client_id=None,
            action=f"approval.{one.state.lower()}",
            subject_kind="approval",
            subject_id=one.id,
            facts={
                "kind": one.kind,
                "subject": f"{one.subject_kind} {one.subject_id}",
                "amount_minor": one.amount_minor,
                "currency": one.currency,
                **one.details,
            },
            reason=one.reason if one.state is ApprovalState.REQUESTED else one.note,
        )
        for one in moved
    ]
    await audit.record(tx, facts, at)
