"""Money that staff book on a wallet: one person's word is enough up to the limit, above it another
must agree, and a worker books it (`carry_out`).

What counts is this amount and whatever the same person moved alone on any wallet of the same client
within 24 hours, without signs (spec.md §8).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

from rewards.audit import service as audit
from rewards.audit.model import AuditFact
from rewards.core.actor import Actor, ActorKind
from rewards.core.clock import Clock
from rewards.core.errors import Refusal
from rewards.infra.db import Database, Tx
from rewards.pricing.one_person import OnePersonLimit
from rewards.staff import alone, approvals
from rewards.staff.model_approvals import (
    Approval,
    ApprovalAsk,
    ApprovalKind,
    ApprovalState,
    LoneAct,
    Scope,
)
from rewards.wallets import service as wallets
from rewards.wallets.model import (
    Adjustment,
    Direction,
    LedgerReferenceReused,
    Posted,
    TopUp,
    TransferKind,
    Wallet,
    WalletNotFound,
)

SUBJECT = "wallet"
Booking: TypeAlias = TopUp | Adjustment


@dataclass(frozen=True, slots=True)
class Booked:
    """A booking with its transfer; `posted.repeated`: it had been booked before."""

    wallet: Wallet
    booking: Booking
    posted: Posted


async def ask(
    tx: Tx,
    limit: OnePersonLimit,
    wallet: Wallet,
    booking: Booking,
    actor: Actor,
    staff_id: int,
    at: datetime,
) -> Booked | Approval | Refusal:
    """Book it now, or ask for a second person; `wallet` is locked by this transaction.

    Refused as `wallets.top_up` and `adjust` do, whether one person is enough or not, and
    APPROVAL_PENDING where the same waits under the same reference. A reference that was booked
    before is answered as it was then.
    """
    kind = _kind(booking)
    [foreseen] = await wallets.foresee(tx, TransferKind(kind), [booking])
    if isinstance(foreseen, Refusal):
        return foreseen
    if foreseen is not None:
        return Booked(wallet, booking, foreseen)
    amount_minor = abs(booking.amount_minor)
    spent = await alone.spent_on_wallets(tx, staff_id, [wallet.client_id], at)
    if not limit.covers(amount_minor, wallet.currency, at, spent[wallet.client_id]):
        wanted = _wanted(wallet, booking, staff_id)
        [approval] = await approvals.request(tx, [wanted], actor, at)
        return approval
    answer = await _book(tx, wallet, booking, actor, {}, at)
    if isinstance(answer, Booked):
        act = LoneAct(staff_id, Scope.WALLET, wallet.id, amount_minor, wallet.currency)
        await alone.note(tx, [act], at)
    return answer


async def carry_out(db: Database, clock: Clock, approval_id: int) -> None:
    """Book what a second person agreed to. Run twice, or by two at once, it does so once.

    What the wallet refuses by then, or was booked meanwhile, the request says, and nothing moves.
    """

    async def work(tx: Tx) -> None:
        approval = await approvals.lock(tx, approval_id)
        if approval is None or approval.state is not ApprovalState.APPROVED:
            return
        booking, at = _agreed(approval), clock.now()
        locked = await wallets.lock_wallets(tx, [booking.wallet_id])
        if not locked:
            await approvals.carried_out(tx, approval, at, refused=WalletNotFound())
            return
        actor = Actor(ActorKind.STAFF, approval.decided_by)
        facts = {"approval_id": approval.id, "requested_by": approval.requested_by}
        answer = await _book(tx, locked[0], booking, actor, facts, at)
        if isinstance(answer, Booked) and not answer.posted.repeated:
            transfer_id = answer.posted.transfer_id
            await approvals.carried_out(tx, approval, at, transfer_id=transfer_id)
        else:
            refused = answer if isinstance(answer, Refusal) else LedgerReferenceReused()
            await approvals.carried_out(tx, approval, at, refused=refused)

    await db.run(work)


async def _book(
    tx: Tx,
    wallet: Wallet,
    booking: Booking,
    actor: Actor,
    facts: Mapping[str, object],
    at: datetime,
) -> Booked | Refusal:
    if isinstance(booking, TopUp):
        [posted] = await wallets.top_up(tx, [booking], at)
    else:
        [posted] = await wallets.adjust(tx, [booking], at)
    if isinstance(posted, Refusal):
        return posted
    # Behind the lock: an earlier version is an earlier booking's.
    posted = replace(posted, repeated=posted.version <= wallet.version)
    booked = Booked(wallet, booking, posted)
    if not posted.repeated:
        await audit.record(tx, [_fact(booked, actor, facts)], at)
    return booked


def _fact(booked: Booked, actor: Actor, more: Mapping[str, object]) -> AuditFact:
    wallet, booking, posted = booked.wallet, booked.booking, booked.posted
    facts = {
        "amount_minor": booking.amount_minor,
        "currency": wallet.currency,
        "balance_minor": {"from": wallet.balance_minor, "to": posted.balance_minor},
        "transaction_id": posted.transfer_id,
        "reference": booking.reference,
        **more,
    }
    action = "wallet.topped_up" if isinstance(booking, TopUp) else "wallet.adjusted"
    return AuditFact(actor, wallet.client_id, action, SUBJECT, wallet.id, facts, booking.note)


def _kind(booking: Booking) -> ApprovalKind:
    return ApprovalKind.TOPUP if isinstance(booking, TopUp) else ApprovalKind.ADJUSTMENT


def _wanted(wallet: Wallet, booking: Booking, staff_id: int) -> ApprovalAsk:
    direction = Direction.CREDIT if booking.amount_minor > 0 else Direction.DEBIT
    return ApprovalAsk(
        _kind(booking),
        SUBJECT,
        wallet.id,
        staff_id,
        booking.note or "",
        {
            "client_id": wallet.client_id,
            "direction": direction,
            "reference": booking.reference,
            "note": booking.note,
        },
        abs(booking.amount_minor),
        wallet.currency,
        booking.reference or "",
    )


def _agreed(approval: Approval) -> Booking:
    """What was asked for, as `_wanted` put it down."""
    amount_minor, details = approval.amount_minor, approval.details
    assert amount_minor is not None, "money has an amount"
    reference, note = _text(details["reference"]), _text(details["note"])
    if approval.kind is ApprovalKind.TOPUP:
        return TopUp(approval.subject_id, amount_minor, reference, note)
    sign = 1 if details["direction"] == Direction.CREDIT else -1
    return Adjustment(approval.subject_id, sign * amount_minor, reference, note)


def _text(value: object) -> str | None:
    assert value is None or isinstance(value, str), "as it was requested"
    return value
