"""How much a wallet may owe: one person's word is enough up to the limit, above it another must
agree, and a worker raises it (`carry_out`).

What counts is by how much it rises, with whatever else the same person moved alone on the client's
wallets within 24 hours, as with a top-up; lowering it is no such act (spec.md §8, ADR 0028).
"""

from dataclasses import dataclass, replace
from datetime import datetime

from rewards.audit import service as audit
from rewards.audit.model import AuditFact
from rewards.core.actor import Actor, ActorKind
from rewards.core.clock import Clock
from rewards.core.currency import exponent_of
from rewards.core.errors import Refusal
from rewards.core.money import to_decimal
from rewards.infra.db import Database, Tx
from rewards.pricing.one_person import OnePersonLimit
from rewards.staff import alone, approvals
from rewards.staff.model_approvals import (
    OPEN_STATES,
    Approval,
    ApprovalAsk,
    ApprovalKind,
    ApprovalState,
    CreditLimitChanged,
    LoneAct,
    Scope,
)
from rewards.wallets import service as wallets
from rewards.wallets.model import (
    LimitsChange,
    NewWallet,
    Wallet,
    WalletNotFound,
    refusal_to_credit,
)

SUBJECT = "wallet"
# Why, of a wallet that was opened without a word.
OPENED = "A new wallet"


@dataclass(frozen=True, slots=True)
class Limited:
    """A wallet as it is now; `waits`: the request for credit that one person may not give.

    `repeated`: it was opened under the same reference before, and nothing was done now.
    """

    wallet: Wallet
    waits: Approval | None = None
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Opening:
    """A wallet to open, by whom and why; under a `reference` the client gets one only."""

    new: NewWallet
    reference: str | None
    actor: Actor
    staff_id: int
    reason: str | None = None


async def open_wallet(
    tx: Tx, limit: OnePersonLimit, ask: Opening, at: datetime
) -> Limited | Refusal:
    """Open it, with the credit that one person may give; otherwise with none, and ask for all.

    Refused as `set_limits`, and where the reference is another wallet's. The caller writes the
    audit fact of what was opened.
    """
    new = ask.new
    opened = await _opened(tx, ask, at)
    if isinstance(opened, Refusal):
        return opened
    wallet, repeated = opened
    if repeated:
        last = await approvals.last_of(tx, ApprovalKind.CREDIT_LIMIT, SUBJECT, wallet.id)
        waits = last if last is not None and last.state in OPEN_STATES else None
        return Limited(wallet, waits, repeated=True)
    if not new.credit_limit_minor:
        return Limited(wallet)
    change = LimitsChange(wallet.id, new.credit_limit_minor, new.low_balance_minor)
    why = ask.reason or OPENED
    return await set_limits(tx, limit, wallet, change, why, ask.actor, ask.staff_id, at)


async def _opened(tx: Tx, ask: Opening, at: datetime) -> tuple[Wallet, bool] | Refusal:
    """The wallet, without credit yet, and whether it was there before."""
    new = replace(ask.new, credit_limit_minor=0)
    if ask.reference is not None:
        return await wallets.open_once(tx, new, ask.reference, at)
    [wallet] = await wallets.open_wallets(tx, [new], at)
    return wallet, False


async def set_limits(
    tx: Tx,
    limit: OnePersonLimit,
    wallet: Wallet,
    change: LimitsChange,
    reason: str,
    actor: Actor,
    staff_id: int,
    at: datetime,
) -> Limited | Refusal:
    """Set what one person may set, and ask for a second one where the credit takes two.

    `wallet` is locked by this transaction. Refused as `wallets.set_limits` does, whether one person
    is enough or not; a raise also where a top-up is: of a frozen or closed wallet (409); and
    APPROVAL_PENDING where another raise of it waits. The caller writes the audit fact.
    """
    [foreseen] = await wallets.foresee_limits(tx, [change], at)
    if isinstance(foreseen, Refusal):
        return foreseen
    waits = None
    if change.credit_limit_minor > wallet.credit_limit_minor:
        asked = await _ask(tx, limit, wallet, change, reason, actor, staff_id, at)
        if isinstance(asked, Refusal):
            return asked
        if asked is not None:
            waits, change = asked, replace(change, credit_limit_minor=wallet.credit_limit_minor)
    [after] = await wallets.set_limits(tx, [change], at)
    return after if isinstance(after, Refusal) else Limited(after, waits)


async def _ask(
    tx: Tx,
    limit: OnePersonLimit,
    wallet: Wallet,
    change: LimitsChange,
    reason: str,
    actor: Actor,
    staff_id: int,
    at: datetime,
) -> Approval | Refusal | None:
    """None where one person is enough, which is remembered; or the request, or why none."""
    refused = refusal_to_credit(wallet)
    if refused is not None:
        return refused
    raised_minor = change.credit_limit_minor - wallet.credit_limit_minor
    spent = await alone.spent_on_wallets(tx, staff_id, [wallet.client_id], at)
    if limit.covers(raised_minor, wallet.currency, at, spent[wallet.client_id]):
        act = LoneAct(staff_id, Scope.WALLET, wallet.id, raised_minor, wallet.currency)
        await alone.note(tx, [act], at)
        return None
    details = {
        "client_id": wallet.client_id,
        "credit_limit": {
            "from": _shown(wallet.credit_limit_minor, wallet.currency),
            "to": _shown(change.credit_limit_minor, wallet.currency),
        },
    }
    wanted = ApprovalAsk(
        ApprovalKind.CREDIT_LIMIT,
        SUBJECT,
        wallet.id,
        staff_id,
        reason,
        details,
        raised_minor,
        wallet.currency,
    )
    [approval] = await approvals.request(tx, [wanted], actor, at)
    return approval


async def carry_out(db: Database, clock: Clock, approval_id: int) -> None:
    """Raise a credit limit as a second person agreed to. Run twice, or by two at once, it does so
    once.

    Where the wallet takes no money by then, or its limit is not what was seen by those who agreed,
    the request says so, and the limit stays.
    """

    async def work(tx: Tx) -> None:
        approval = await approvals.lock(tx, approval_id)
        if approval is None or approval.state is not ApprovalState.APPROVED:
            return
        at = clock.now()
        refused = await _raise(tx, approval, at)
        await approvals.carried_out(tx, approval, at, refused=refused)

    await db.run(work)


async def _raise(tx: Tx, approval: Approval, at: datetime) -> Refusal | None:
    """Why it could not be raised any more."""
    locked = await wallets.lock_wallets(tx, [approval.subject_id])
    if not locked:
        return WalletNotFound()
    [before] = locked
    refused = refusal_to_credit(before)
    if refused is not None:
        return refused
    agreed, raised_minor = approval.details["credit_limit"], approval.amount_minor
    assert isinstance(agreed, dict), "as it was requested"
    assert raised_minor is not None, "money has an amount"
    if agreed["from"] != _shown(before.credit_limit_minor, before.currency):
        return CreditLimitChanged()
    to_minor = before.credit_limit_minor + raised_minor
    change = LimitsChange(before.id, to_minor, before.low_balance_minor)
    [after] = await wallets.set_limits(tx, [change], at)
    if isinstance(after, Refusal):
        return after
    facts = {
        "credit_limit_minor": {"from": before.credit_limit_minor, "to": after.credit_limit_minor},
        "approval_id": approval.id,
        "requested_by": approval.requested_by,
    }
    actor = Actor(ActorKind.STAFF, approval.decided_by)
    fact = AuditFact(
        actor, after.client_id, "wallet.changed", SUBJECT, after.id, facts, approval.reason
    )
    await audit.record(tx, [fact], at)
    return None


def _shown(limit_minor: int, currency: str) -> str:
    """As those who decide read it."""
    return str(to_decimal(limit_minor, exponent_of(currency)))
