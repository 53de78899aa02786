"""What clients are shown of wallets and their statements."""

from datetime import datetime
from decimal import Decimal

import msgspec

from rewards.core.currency import exponent_of
from rewards.core.money import plain, to_decimal
from rewards.wallets.model import Transaction, TransferKind, Wallet, WalletStatus, WalletType


class WalletShape(msgspec.Struct):
    """Amounts in the wallet's currency, with its decimals."""

    id: int
    currency_id: int
    currency: str
    # The balance; `available` is what can be spent of it, with the credit of a POSTPAID wallet.
    amount: Decimal
    available: Decimal
    credit_limit: Decimal
    # Below this, `wallet.low_balance` was sent.
    low_balance: Decimal | None
    type: WalletType
    status: WalletStatus
    is_active: bool


class TransactionShape(msgspec.Struct):
    """`amount` has no sign: `transaction_type` (and `direction`, the same) says which way it went.

    `balance` is the wallet's after this line. The four fields of a conversion are null where there
    was none: from the product's currency to the wallet's, `forex_rate` for one unit of the product's
    currency, `conversion_charges` in the wallet's.
    """  # noqa: E501

    id: int
    wallet_id: int
    currency_id: int
    currency: str
    amount: Decimal
    transaction_type: str
    direction: str
    type: TransferKind
    status: str
    balance: Decimal
    order_id: int | None
    reference: str | None
    source_currency: str | None
    destination_currency: str | None
    forex_rate: Decimal | None
    conversion_charges: Decimal | None
    remarks: str
    created_at: datetime


def wallet_shape(wallet: Wallet, currency_id: int) -> WalletShape:
    exponent = exponent_of(wallet.currency)
    low = wallet.low_balance_minor
    return WalletShape(
        wallet.id,
        currency_id,
        wallet.currency,
        to_decimal(wallet.balance_minor, exponent),
        to_decimal(wallet.available_minor, exponent),
        to_decimal(wallet.credit_limit_minor, exponent),
        None if low is None else to_decimal(low, exponent),
        wallet.type,
        wallet.status,
        wallet.status is WalletStatus.ACTIVE,
    )


def transaction_shape(line: Transaction, currency_id: int) -> TransactionShape:
    exponent = exponent_of(line.currency)
    amount = to_decimal(abs(line.amount_minor), exponent)
    # Only an order may be of 0, and it takes.
    direction = "CREDIT" if line.amount_minor > 0 else "DEBIT"
    charge = line.conversion_fee_minor
    return TransactionShape(
        line.id,
        line.wallet_id,
        currency_id,
        line.currency,
        amount,
        direction,
        direction,
        line.kind,
        # What is in the ledger has happened.
        "COMPLETED",
        to_decimal(line.balance_minor, exponent),
        line.order_id,
        line.reference,
        line.source_currency,
        None if line.source_currency is None else line.currency,
        None if line.forex_rate is None else plain(line.forex_rate),
        None if charge is None else to_decimal(charge, exponent),
        _remarks(line, amount),
        line.created_at,
    )


def _remarks(line: Transaction, amount: Decimal) -> str:
    done = "credited" if line.amount_minor > 0 else "debited"
    if line.kind is TransferKind.ORDER:
        why = f"Order #{line.order_id}"
    elif line.kind is TransferKind.REFUND:
        why = f"Refund of order #{line.order_id}"
    else:
        why = line.note or ("Top-up" if line.kind is TransferKind.TOPUP else "Adjustment")
    return f"{line.currency} Wallet {done} by amount {amount} - {why}"
