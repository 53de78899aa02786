"""What needs a second person: requests, their small state machine, and who may decide; pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from rewards.core.errors import Conflict, Forbidden, NotFound, Refusal

# A request that nobody looked at for so long was about another situation.
LIFETIME = timedelta(days=3)


class ApprovalKind(StrEnum):
    BATCH_RECALL = "BATCH_RECALL"
    VENDOR_FULFILMENT = "VENDOR_FULFILMENT"
    STOCK_ORDER = "STOCK_ORDER"
    TOPUP = "TOPUP"
    ADJUSTMENT = "ADJUSTMENT"
    CREDIT_LIMIT = "CREDIT_LIMIT"
    LATE_CANCEL = "LATE_CANCEL"


class ApprovalState(StrEnum):
    REQUESTED = "REQUESTED"
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    WITHDRAWN = "WITHDRAWN"
    CARRIED_OUT = "CARRIED_OUT"


NEXT_STATE: Mapping[ApprovalState, frozenset[ApprovalState]] = MappingProxyType(
    {
        ApprovalState.REQUESTED: frozenset(
            {
                ApprovalState.APPROVED,
                ApprovalState.REJECTED,
                ApprovalState.EXPIRED,
                ApprovalState.WITHDRAWN,
            }
        ),
        ApprovalState.APPROVED: frozenset({ApprovalState.CARRIED_OUT}),
        ApprovalState.REJECTED: frozenset(),
        ApprovalState.EXPIRED: frozenset(),
        ApprovalState.WITHDRAWN: frozenset(),
        ApprovalState.CARRIED_OUT: frozenset(),
    }
)


# While it is in one of these nobody may ask for the same again.
OPEN_STATES = frozenset({ApprovalState.REQUESTED, ApprovalState.APPROVED})


@dataclass(frozen=True, slots=True)
class ApprovalAsk:
    """Something to be agreed to. `details` are what its kind needs to carry it out; no secret."""

    kind: ApprovalKind
    subject_kind: str
    subject_id: int
    requested_by: int
    reason: str
    details: Mapping[str, object] = field(default_factory=dict)
    # What it costs at most, where that is one sum; both or neither.
    amount_minor: int | None = None
    currency: str | None = None
    # What whoever asks calls it: two named apart may wait for one subject.
    reference: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A row of `approvals`."""

    id: int
    kind: ApprovalKind
    subject_kind: str
    subject_id: int
    amount_minor: int | None
    currency: str | None
    details: Mapping[str, object]
    state: ApprovalState
    requested_by: int
    reason: str
    requested_at: datetime
    expires_at: datetime
    decided_by: int | None
    note: str | None
    decided_at: datetime | None
    carried_out_at: datetime | None
    reference: str = ""
    withdrawn_at: datetime | None = None
    # Why what was agreed to could not be done any more, as a code; then nothing moved.
    refused: str | None = None
    # What moved the money that was agreed to.
    transfer_id: int | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """One person's yes or no to a request."""

    approval_id: int
    approve: bool
    staff_id: int
    note: str | None = None


class Scope(StrEnum):
    """What the acts of one person are added up for."""

    # Money that was moved on a wallet, and by how much it may owe more. All wallets of a client
    # count together.
    WALLET = "WALLET"
    # What vendors were asked to deliver for a client.
    CLIENT = "CLIENT"
    # What vendors were asked to deliver into our own stock, all of it under one number.
    STOCK = "STOCK"


# Stock is bought out of one purse, whichever product and vendor.
OWN_STOCK = 0


@dataclass(frozen=True, slots=True)
class LoneAct:
    """What one person did without a second; `amount_minor` without its sign."""

    staff_id: int
    scope: Scope
    scope_id: int
    amount_minor: int
    currency: str


class ApprovalNotFound(NotFound):
    code = "APPROVAL_NOT_FOUND"
    default_message = "Approval not found"


class ApprovalPending(Conflict):
    """The same was asked for already, and nobody has said no."""

    code = "APPROVAL_PENDING"
    default_message = "The same is waiting for approval, or being carried out"


class ApprovalDecided(Conflict):
    code = "APPROVAL_DECIDED"

    def __init__(self, state: ApprovalState) -> None:
        super().__init__(f"Approval is {state} already", details={"state": state})


class ApprovalExpired(Conflict):
    code = "APPROVAL_EXPIRED"
    default_message = "The request has expired; ask again"


class CreditLimitChanged(Conflict):
    """Who agreed saw another limit than there is by now."""

    code = "CREDIT_LIMIT_CHANGED"
    default_message = "Credit limit was changed meanwhile; ask again"


class SecondPersonNeeded(Forbidden):
    """Whoever asked may not decide, whatever their role."""

    code = "SECOND_PERSON_NEEDED"
    default_message = "A request must be decided by somebody else than who made it"


class SameHands(Forbidden):
    """One person might have asked and agreed: they made or changed the other account, or both."""

    code = "SAME_HANDS"
    default_message = (
        "Your account and the asker's were in one person's hands within 24 hours;"
        " let somebody else approve, or wait"
    )


class NotTheAsker(Forbidden):
    code = "NOT_THE_ASKER"
    default_message = "A request is withdrawn by the person who made it"


def decide(
    approval: Approval | None,
    verdict: Verdict,
    at: datetime,
    holders: Mapping[int, Collection[int]],
) -> Approval | Refusal:
    """The request as decided, or why it may not be decided so, or by this person, or any more.

    `holders`: who might have acted as the people of these ids lately; needed for a yes.
    """
    if approval is None:
        return ApprovalNotFound()
    if approval.requested_by == verdict.staff_id:
        return SecondPersonNeeded()
    if approval.state is not ApprovalState.REQUESTED:
        return ApprovalDecided(approval.state)
    if approval.expires_at <= at:
        return ApprovalExpired()
    if verdict.approve and set(holders[approval.requested_by]) & set(holders[verdict.staff_id]):
        return SameHands()
    state = ApprovalState.APPROVED if verdict.approve else ApprovalState.REJECTED
    assert state in NEXT_STATE[approval.state]
    return replace(
        approval, state=state, decided_by=verdict.staff_id, note=verdict.note, decided_at=at
    )


def withdraw(approval: Approval | None, staff_id: int, at: datetime) -> Approval | Refusal:
    """The request as taken back by this person, or why it may not be."""
    if approval is None:
        return ApprovalNotFound()
    if approval.requested_by != staff_id:
        return NotTheAsker()
    if approval.state is not ApprovalState.REQUESTED:
        return ApprovalDecided(approval.state)
    if approval.expires_at <= at:
        return ApprovalExpired()
    return replace(approval, state=ApprovalState.WITHDRAWN, withdrawn_at=at)
