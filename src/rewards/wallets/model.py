"""Wallets, postings and the arithmetic of the ledger; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType

from rewards.core.errors import Conflict, NotFound, Refusal

# Beyond this a JSON reader that knows only doubles would no longer see exact minor units.
BALANCE_MINOR_MAX = 10**15


class Direction(StrEnum):
    """Whether a movement gives to the wallet or takes from it."""

    CREDIT = "CREDIT"
    DEBIT = "DEBIT"


class WalletType(StrEnum):
    PREPAID = "PREPAID"
    POSTPAID = "POSTPAID"


class WalletStatus(StrEnum):
    ACTIVE = "ACTIVE"
    FROZEN = "FROZEN"
    CLOSED = "CLOSED"


# CLOSED can be opened again: a refund that was owed to it has no other way home (spec.md §3).
NEXT_STATUS: Mapping[WalletStatus, frozenset[WalletStatus]] = MappingProxyType(
    {
        WalletStatus.ACTIVE: frozenset({WalletStatus.FROZEN, WalletStatus.CLOSED}),
        WalletStatus.FROZEN: frozenset({WalletStatus.ACTIVE, WalletStatus.CLOSED}),
        WalletStatus.CLOSED: frozenset({WalletStatus.ACTIVE}),
    }
)


class TransferKind(StrEnum):
    ORDER = "ORDER"
    REFUND = "REFUND"
    TOPUP = "TOPUP"
    ADJUSTMENT = "ADJUSTMENT"


class SystemAccount(StrEnum):
    SALES = "SALES"
    FUNDING = "FUNDING"
    ADJUSTMENTS = "ADJUSTMENTS"


OTHER_SIDE: Mapping[TransferKind, SystemAccount] = MappingProxyType(
    {
        TransferKind.ORDER: SystemAccount.SALES,
        TransferKind.REFUND: SystemAccount.SALES,
        TransferKind.TOPUP: SystemAccount.FUNDING,
        TransferKind.ADJUSTMENT: SystemAccount.ADJUSTMENTS,
    }
)
_PLACES = {account: place for place, account in enumerate(SystemAccount)}


def system_account_id(account: SystemAccount, currency: str) -> int:
    """The id of an account of ours: made from its name, so that no look-up stands in a posting."""
    return -(int.from_bytes(currency.encode("ascii"), "big") * 4 + _PLACES[account])


class WalletNotFound(NotFound):
    """Also for a wallet of another client (D13)."""

    code = "WALLET_NOT_FOUND"
    default_message = "Wallet not found"


class TransactionNotFound(NotFound):
    """Also for a transaction of another client (D13)."""

    code = "TRANSACTION_NOT_FOUND"
    default_message = "Transaction not found"


class WalletFrozen(Conflict):
    code = "WALLET_FROZEN"
    default_message = "Wallet is frozen"


class WalletClosed(Conflict):
    code = "WALLET_CLOSED"
    default_message = "Wallet is closed"


class WalletFull(Conflict):
    """A refund would take the balance above what a wallet can hold."""

    code = "WALLET_FULL"
    default_message = "Wallet cannot hold this much"


class WalletNotEmpty(Conflict):
    """A wallet is closed only when nobody owes anybody anything through it."""

    code = "WALLET_NOT_EMPTY"
    default_message = "Wallet balance must be zero before it is closed"


class WalletStatusRefused(Conflict):
    """Such as from CLOSED to FROZEN."""

    code = "WALLET_STATUS_REFUSED"
    default_message = "Wallet cannot change to this status"


class CreditInUse(Conflict):
    """The new credit limit is below what the wallet already owes."""

    code = "CREDIT_IN_USE"
    default_message = "Credit limit is below the credit already used"


class LedgerReferenceReused(Conflict):
    """The reference of a top-up or adjustment was booked before, with another amount; or a wallet
    of another currency or type was opened under it."""

    code = "REFERENCE_REUSED"
    default_message = "Duplicate reference code"


class InsufficientFunds(Refusal):
    code = "INSUFFICIENT_FUNDS"
    default_message = "Insufficient funds in your wallet"


@dataclass(frozen=True, slots=True)
class Wallet:
    id: int
    client_id: int
    currency: str
    type: WalletType
    status: WalletStatus
    balance_minor: int
    version: int
    credit_limit_minor: int
    low_balance_minor: int | None
    low_since: datetime | None

    @property
    def available_minor(self) -> int:
        """What may still be spent: the balance, and on credit what the limit allows."""
        return self.balance_minor + self.credit_limit_minor


@dataclass(frozen=True, slots=True)
class Posting:
    """One movement asked of a wallet. `amount_minor` is signed as the wallet sees it.

    ORDER is negative, or 0 for an order that costs nothing; REFUND and TOPUP are positive;
    ADJUSTMENT is either, never 0. ORDER and REFUND name their order. The last three fields tell of
    a conversion: the product's currency, wallet units for one of it, the charge in the wallet's.
    """

    wallet_id: int
    kind: TransferKind
    amount_minor: int
    order_id: int | None = None
    reference: str | None = None
    note: str | None = None
    source_currency: str | None = None
    forex_rate: Decimal | None = None
    conversion_fee_minor: int | None = None


@dataclass(frozen=True, slots=True)
class Posted:
    """A booked movement: its transfer, and the wallet after it.

    `crossed`: this one took the balance below the low-balance threshold; tell the client once.
    `repeated`: its reference was booked before; this is that posting, and nothing moved now.
    """

    transfer_id: int
    balance_minor: int
    version: int
    crossed: bool = False
    repeated: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Link:
    """What one posting makes of its wallet: a link of the balance chain."""

    balance_minor: int
    version: int
    crossed: bool


@dataclass(frozen=True, slots=True)
class Move:
    """What a batch makes of one wallet, from the version it was locked at to the last."""

    wallet_id: int
    version_before: int
    balance_minor: int
    version: int
    low_since: datetime | None


@dataclass(frozen=True, slots=True)
class NewWallet:
    client_id: int
    currency: str
    type: WalletType = WalletType.PREPAID
    credit_limit_minor: int = 0
    low_balance_minor: int | None = None
    # Given only where a known id is part of a demonstration.
    id: int | None = None


@dataclass(frozen=True, slots=True)
class TopUp:
    """Money that came in; `amount_minor` > 0. A reference is booked once for each wallet.

    The client reads `reference` and `note` on its statement.
    """

    wallet_id: int
    amount_minor: int
    reference: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Adjustment:
    """A correction; `amount_minor` of either sign, never 0. A reference is booked once, too."""

    wallet_id: int
    amount_minor: int
    reference: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class StatusChange:
    wallet_id: int
    status: WalletStatus


@dataclass(frozen=True, slots=True)
class LimitsChange:
    """Both limits as they shall be; `low_balance_minor` None: no low-balance event."""

    wallet_id: int
    credit_limit_minor: int
    low_balance_minor: int | None


@dataclass(frozen=True, slots=True)
class Booked:
    """An earlier transfer under a reference."""

    amount_minor: int
    posted: Posted


@dataclass(frozen=True, slots=True)
class Transaction:
    """One line of a wallet's statement: a transfer and the balance it left."""

    id: int
    kind: TransferKind
    client_id: int
    wallet_id: int
    currency: str
    amount_minor: int
    balance_minor: int
    order_id: int | None
    reference: str | None
    note: str | None
    source_currency: str | None
    forex_rate: Decimal | None
    conversion_fee_minor: int | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class WalletFilter:
    """What is None does not matter."""

    client_id: int | None = None
    currency: str | None = None
    type: WalletType | None = None
    status: WalletStatus | None = None
    active: bool | None = None
    # Of a balance below this; for one currency.
    below_minor: int | None = None
    # Below its own threshold, or not.
    low: bool | None = None
    # Older than this wallet: where the last page ended.
    before_id: int | None = None


@dataclass(frozen=True, slots=True)
class TransactionFilter:
    """What is None does not matter. From `since` on, and before `until`."""

    client_id: int | None = None
    wallet_id: int | None = None
    kind: TransferKind | None = None
    # True: what put money in; False: what took it out, an order of 0 among them.
    credit: bool | None = None
    order_id: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    # Older than this line: where the last page ended.
    before_id: int | None = None
    currency: str | None = None
    # What has this account of ours on its other side.
    account: SystemAccount | None = None
    # Where a time begins and ends, for whoever looked it up.
    first_id: int | None = None
    last_id: int | None = None


def sign_fits(kind: TransferKind, amount_minor: int) -> bool:
    if kind is TransferKind.ORDER:
        return amount_minor <= 0
    return amount_minor != 0 if kind is TransferKind.ADJUSTMENT else amount_minor > 0


def chain(
    wallets: Mapping[int, Wallet], postings: Sequence[Posting], at: datetime
) -> tuple[list[Link], list[Move]]:
    """Apply the postings in order: a link for each posting, a move for each wallet touched.

    The caller has decided already: an unknown or inactive wallet, a sign that does not fit the
    kind, or a balance below the floor is a bug here, not a refusal.
    """
    links: list[Link] = []
    now: dict[int, tuple[int, int, datetime | None]] = {}
    for posting in postings:
        wallet = wallets[posting.wallet_id]
        assert wallet.status is WalletStatus.ACTIVE, "only an active wallet moves"
        assert sign_fits(posting.kind, posting.amount_minor), "the sign fits the kind"
        balance, version, low_since = now.get(wallet.id) or (
            wallet.balance_minor,
            wallet.version,
            wallet.low_since,
        )
        balance += posting.amount_minor
        version += 1
        assert -wallet.credit_limit_minor <= balance <= BALANCE_MINOR_MAX, "within floor and cap"
        low = wallet.low_balance_minor is not None and balance < wallet.low_balance_minor
        crossed = low and low_since is None
        now[wallet.id] = (balance, version, (low_since or at) if low else None)
        links.append(Link(balance, version, crossed))
    moves = [
        Move(wallet_id, wallets[wallet_id].version, balance, version, low_since)
        for wallet_id, (balance, version, low_since) in now.items()
    ]
    return links, moves


def refusal_to_credit(wallet: Wallet | None, amount_minor: int = 0) -> Refusal | None:
    """Why this much cannot be put into the wallet now; None when it can (spec.md §3, NOT_REFUNDED).

    A wallet that is there and active takes nothing (0) whatever its balance.
    """
    if wallet is None:
        return WalletNotFound()
    if wallet.status is WalletStatus.CLOSED:
        return WalletClosed()
    if wallet.status is WalletStatus.FROZEN:
        return WalletFrozen()
    return WalletFull() if wallet.balance_minor + amount_minor > BALANCE_MINOR_MAX else None
