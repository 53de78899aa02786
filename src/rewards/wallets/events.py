"""What a client is told about its wallets; pure."""

from collections.abc import Mapping, Sequence

from rewards.core.currency import exponent_of
from rewards.core.money import to_decimal
from rewards.wallets.model import Posted, Posting, Wallet
from rewards.webhooks.model import Event, EventType


def credited_event(wallet: Wallet, posting: Posting, posted: Posted) -> Event:
    """`wallet.credited`: a top-up, or an adjustment in the client's favour."""
    exponent = exponent_of(wallet.currency)
    return Event(
        wallet.client_id,
        EventType.WALLET_CREDITED,
        None,
        {
            "wallet_id": wallet.id,
            "transaction_id": posted.transfer_id,
            "type": posting.kind,
            "currency": wallet.currency,
            "amount": to_decimal(posting.amount_minor, exponent),
            "balance": to_decimal(posted.balance_minor, exponent),
            "reference": posting.reference,
        },
    )


def low_balance_event(wallet: Wallet, balance_minor: int) -> Event:
    """`wallet.low_balance`: the balance has just fallen below the wallet's threshold."""
    assert wallet.low_balance_minor is not None
    exponent = exponent_of(wallet.currency)
    return Event(
        wallet.client_id,
        EventType.WALLET_LOW_BALANCE,
        None,
        {
            "wallet_id": wallet.id,
            "currency": wallet.currency,
            "balance": to_decimal(balance_minor, exponent),
            "threshold": to_decimal(wallet.low_balance_minor, exponent),
        },
        mail=True,
    )


def low_balance_events(
    wallets: Mapping[int, Wallet], postings: Sequence[Posting], posted: Sequence[Posted]
) -> list[Event]:
    """One `wallet.low_balance` for each posting that crossed a threshold; often none."""
    return [
        low_balance_event(wallets[posting.wallet_id], done.balance_minor)
        for posting, done in zip(postings, posted, strict=True)
        if done.crossed
    ]
