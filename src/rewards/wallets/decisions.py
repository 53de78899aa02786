"""What may be done to a wallet by those who run the place, and what is refused; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from rewards.core.errors import InvalidField, Refusal
from rewards.wallets.model import (
    BALANCE_MINOR_MAX,
    NEXT_STATUS,
    Adjustment,
    Booked,
    CreditInUse,
    InsufficientFunds,
    LedgerReferenceReused,
    LimitsChange,
    Posted,
    Posting,
    TopUp,
    TransferKind,
    Wallet,
    WalletNotEmpty,
    WalletNotFound,
    WalletStatus,
    WalletStatusRefused,
    WalletType,
    refusal_to_credit,
    sign_fits,
)


def refusal_to_book(
    wallet: Wallet, kind: TransferKind, amount_minor: int, balance_minor: int
) -> Refusal | None:
    """Why this top-up or adjustment cannot be booked on a wallet with that balance."""
    if not sign_fits(kind, amount_minor):
        return InvalidField("Amount", "ne" if kind is TransferKind.ADJUSTMENT else "gt")
    inactive = refusal_to_credit(wallet)
    if inactive is not None:
        return inactive
    if balance_minor + amount_minor > BALANCE_MINOR_MAX:
        return InvalidField("Amount", "max")
    if amount_minor < 0 and balance_minor + amount_minor < -wallet.credit_limit_minor:
        return InsufficientFunds()
    return None


def decide_bookings(
    wallets: Mapping[int, Wallet],
    kind: TransferKind,
    asks: Sequence[TopUp | Adjustment],
    earlier: Mapping[tuple[int, str], Booked],
) -> tuple[list[Posting], list[int | Posted | Refusal]]:
    """What to post, and for each ask: the place of its posting, an earlier one, or a refusal.

    As if the asks had come one by one. A reference that was booked before, also by this batch,
    answers as it did then, whatever became of the wallet since; with another amount it is refused.
    """
    postings: list[Posting] = []
    answers: list[int | Posted | Refusal] = []
    balances = {wallet.id: wallet.balance_minor for wallet in wallets.values()}
    places: dict[tuple[int, str], int] = {}
    for ask in asks:
        wallet = wallets.get(ask.wallet_id)
        name = (ask.wallet_id, ask.reference or "")
        named = ask.reference is not None
        if wallet is None:
            answers.append(WalletNotFound())
        elif named and name in earlier:
            booked = earlier[name]
            same = booked.amount_minor == ask.amount_minor
            answers.append(booked.posted if same else LedgerReferenceReused())
        elif named and name in places:
            same = postings[places[name]].amount_minor == ask.amount_minor
            answers.append(places[name] if same else LedgerReferenceReused())
        elif refusal := refusal_to_book(wallet, kind, ask.amount_minor, balances[wallet.id]):
            answers.append(refusal)
        else:
            balances[wallet.id] += ask.amount_minor
            if named:
                places[name] = len(postings)
            answers.append(len(postings))
            postings.append(
                Posting(wallet.id, kind, ask.amount_minor, reference=ask.reference, note=ask.note)
            )
    return postings, answers


def answer_bookings(
    decided: Sequence[int | Posted | Refusal], posted: Sequence[Posted]
) -> list[Posted | Refusal]:
    """The decisions with what was posted in its places; the second ask of a place repeats it."""
    answers: list[Posted | Refusal] = []
    moved: set[int] = set()
    for decision in decided:
        if not isinstance(decision, int):
            answers.append(decision)
        else:
            answers.append(replace(posted[decision], repeated=decision in moved))
            moved.add(decision)
    return answers


def with_status(wallet: Wallet | None, status: WalletStatus) -> Wallet | Refusal:
    """The wallet with this status, or why not. Taking the one it has is no change, and allowed."""
    if wallet is None:
        return WalletNotFound()
    if status is not wallet.status and status not in NEXT_STATUS[wallet.status]:
        return WalletStatusRefused(details={"status": wallet.status, "target": status})
    if status is WalletStatus.CLOSED and wallet.balance_minor != 0:
        return WalletNotEmpty()
    return replace(wallet, status=status)


def with_limits(wallet: Wallet | None, change: LimitsChange, at: datetime) -> Wallet | Refusal:
    """The wallet with these limits, low since now where it was not low before; or why not."""
    if wallet is None:
        return WalletNotFound()
    credit, low_at = change.credit_limit_minor, change.low_balance_minor
    if not 0 <= credit <= BALANCE_MINOR_MAX:
        return InvalidField("CreditLimit", "min" if credit < 0 else "max")
    if credit and wallet.type is WalletType.PREPAID:
        return InvalidField("CreditLimit", "prepaid")
    if wallet.balance_minor < -credit:
        return CreditInUse()
    if low_at is not None and abs(low_at) > BALANCE_MINOR_MAX:
        return InvalidField("LowBalance", "max")
    low = low_at is not None and wallet.balance_minor < low_at
    return replace(
        wallet,
        credit_limit_minor=credit,
        low_balance_minor=low_at,
        low_since=(wallet.low_since or at) if low else None,
    )
