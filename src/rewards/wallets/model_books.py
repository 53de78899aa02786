"""What the ledger says when somebody compares it with other books; pure."""

from dataclasses import dataclass

from rewards.wallets.model import SystemAccount


@dataclass(frozen=True, slots=True)
class OrderBooking:
    """All that was booked for one order; `transfer_id` and `wallet_id` are of its debit."""

    debits: int = 0
    transfer_id: int | None = None
    wallet_id: int | None = None
    debited_minor: int = 0
    refunded_minor: int = 0


@dataclass(frozen=True, slots=True)
class WalletMoment:
    """Where a wallet's chain of entries stood at a moment: its last version and what it held."""

    wallet_id: int
    client_id: int
    currency: str
    version: int
    balance_minor: int


@dataclass(frozen=True, slots=True)
class Flow:
    """What some entries of a wallet brought in and took out, both counted above zero."""

    in_minor: int
    out_minor: int


@dataclass(frozen=True, slots=True)
class AccountFlow:
    """What one of our accounts got from wallets in one currency, and what it gave them."""

    account: SystemAccount
    currency: str
    transfers: int
    in_minor: int
    out_minor: int


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two entries of a transfer: a wallet's, or that of one of our accounts.

    `amount_minor` as this side sees it, so that both add up to nothing. A wallet's says the balance
    it left, and which entry of the wallet it is.
    """

    account: SystemAccount | None
    wallet_id: int | None
    currency: str
    amount_minor: int
    balance_minor: int | None
    version: int | None
