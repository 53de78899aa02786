"""The small state machine of requests, without a database; and what the database holds of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from rewards.core.errors import Refusal
from rewards.infra.db import Database
from rewards.staff import approvals
from rewards.staff.model_approvals import (
    LIFETIME,
    NEXT_STATE,
    Approval,
    ApprovalAsk,
    ApprovalKind,
    ApprovalPending,
    ApprovalState,
    Verdict,
    decide,
)
from tests.shop import STAFF

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
ASKER, OTHER = 1, 2
REQUEST = Approval(
    id=1,
    kind=ApprovalKind.BATCH_RECALL,
    subject_kind="batch",
    subject_id=5,
    amount_minor=None,
    currency=None,
    details={},
    state=ApprovalState.REQUESTED,
    requested_by=ASKER,
    reason="leaked",
    requested_at=AT,
    expires_at=AT + LIFETIME,
    decided_by=None,
    note=None,
    decided_at=None,
    carried_out_at=None,
)


def test_every_state_can_be_reached_and_four_are_final() -> None:
    assert NEXT_STATE.keys() == set(ApprovalState)
    reached = {ApprovalState.REQUESTED}.union(*NEXT_STATE.values())
    assert reached == set(ApprovalState)
    final = {state for state, following in NEXT_STATE.items() if not following}
    assert final == {
        ApprovalState.REJECTED,
        ApprovalState.EXPIRED,
        ApprovalState.WITHDRAWN,
        ApprovalState.CARRIED_OUT,
    }


@pytest.mark.parametrize("state", ApprovalState)
@pytest.mark.parametrize("approve", [True, False])
@pytest.mark.parametrize("staff_id", [ASKER, OTHER])
@pytest.mark.parametrize("late", [False, True])
def test_only_another_person_decides_only_once_and_only_in_time(
    state: ApprovalState, approve: bool, staff_id: int, late: bool
) -> None:
    at = REQUEST.expires_at if late else REQUEST.expires_at - timedelta(microseconds=1)
    verdict, holders = Verdict(1, approve, staff_id, "so"), {ASKER: {ASKER}, OTHER: {OTHER}}
    answer = decide(replace(REQUEST, state=state), verdict, at, holders)
    if staff_id == ASKER:
        assert isinstance(answer, Refusal)
        assert (answer.status, answer.code) == (403, "SECOND_PERSON_NEEDED")
    elif state is not ApprovalState.REQUESTED:
        assert isinstance(answer, Refusal)
        assert (answer.status, answer.code) == (409, "APPROVAL_DECIDED")
    elif late:
        assert isinstance(answer, Refusal)
        assert (answer.status, answer.code) == (409, "APPROVAL_EXPIRED")
    else:
        assert isinstance(answer, Approval)
        assert answer.state is (ApprovalState.APPROVED if approve else ApprovalState.REJECTED)
        assert (answer.decided_by, answer.decided_at, answer.note) == (OTHER, at, "so")


@pytest.mark.parametrize(
    ("asker_by", "other_by", "alike"),
    [
        ({ASKER}, {OTHER}, False),
        ({ASKER, 7}, {OTHER, 8}, False),
        ({ASKER}, {OTHER, ASKER}, True),
        ({ASKER, OTHER}, {OTHER}, True),
        ({ASKER, 7}, {OTHER, 7}, True),
    ],
)
def test_whom_one_person_had_in_hand_do_not_agree_with_each_other(
    asker_by: set[int], other_by: set[int], alike: bool
) -> None:
    at, holders = REQUEST.requested_at, {ASKER: asker_by, OTHER: other_by}
    answer = decide(REQUEST, Verdict(1, True, OTHER), at, holders)
    if alike:
        assert isinstance(answer, Refusal)
        assert (answer.status, answer.code) == (403, "SAME_HANDS")
    else:
        assert isinstance(answer, Approval)
    # Nobody gains by a no.
    assert isinstance(decide(REQUEST, Verdict(1, False, OTHER), at, holders), Approval)


async def hire(db: Database, *names: str) -> list[int]:
    async with db.connection() as connection:
        return [
            await connection.fetchval(
                "INSERT INTO staff_users (username, role, password_hash, created_at)"
                " VALUES ($1, 'admin', 'none', now()) RETURNING id",
                name,
            )
            for name in names
        ]


async def test_one_open_request_for_one_thing_with_its_sum(db: Database) -> None:
    [olga] = await hire(db, "olga")
    kind = ApprovalKind.BATCH_RECALL
    first = ApprovalAsk(kind, "order", 7, olga, "large", {"vendor": "x"}, 12_345, "USD")
    other = ApprovalAsk(kind, "order", 8, olga, "small")
    async with db.transaction() as tx:
        answers = await approvals.request(tx, [first, other, first], STAFF, AT)
    one, two, twin = answers
    assert isinstance(one, Approval)
    assert isinstance(two, Approval)
    assert isinstance(twin, ApprovalPending)
    assert (one.amount_minor, one.currency, one.details) == (12_345, "USD", {"vendor": "x"})
    async with db.transaction() as tx:
        again = await approvals.request(tx, [first], STAFF, AT + LIFETIME - timedelta(seconds=1))
        assert isinstance(again[0], ApprovalPending)
    async with db.transaction() as tx:
        [later] = await approvals.request(tx, [first], STAFF, AT + LIFETIME)
    assert isinstance(later, Approval)
    async with db.connection() as connection:
        found = await approvals.find(connection, before_id=2**53, limit=10)
    assert [(a.id, a.state) for a in found] == [
        (later.id, ApprovalState.REQUESTED),
        (two.id, ApprovalState.EXPIRED),
        (one.id, ApprovalState.EXPIRED),
    ]


async def test_the_database_holds_the_second_person_too(db: Database) -> None:
    [olga] = await hire(db, "olga")
    async with db.transaction() as tx:
        ask = ApprovalAsk(ApprovalKind.BATCH_RECALL, "batch", 7, olga, "leaked")
        await approvals.request(tx, [ask], STAFF, AT)
    for change in (
        "state = 'APPROVED', decided_by = requested_by, decided_at = now()",
        "state = 'APPROVED'",
        "state = 'CARRIED_OUT'",
        "amount_minor = 5",
    ):
        with pytest.raises(asyncpg.CheckViolationError):
            async with db.transaction() as tx:
                await tx.execute(f"UPDATE approvals SET {change}")
