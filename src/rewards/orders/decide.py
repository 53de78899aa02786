"""Who pays for an order and whether it may be placed; pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from rewards.catalog.model import Product
from rewards.core.actor import Actor
from rewards.core.errors import Refusal
from rewards.orders.model import (
    DuplicateReference,
    OnPartial,
    Tier,
    WalletNotActive,
)
from rewards.pricing.model import Charge, FxRateStale
from rewards.wallets.model import InsufficientFunds, Wallet, WalletNotFound, WalletStatus

# Price in a wallet's currency, or why there is none.
Quote = Callable[[str], Charge | Refusal]


@dataclass(frozen=True, slots=True)
class KeyUse:
    """An Idempotency-Key as a client sent it, and the digest of the body it came with."""

    client_id: int
    key: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceAsk:
    """One order to place: every field already checked against the catalogue (spec.md §3)."""

    actor: Actor
    client_id: int
    conversion_fee_percent: Decimal
    product: Product
    denomination_minor: int
    quantity: int
    tier: Tier
    wallet_id: int | None = None
    ref: str | None = None
    email: str | None = None
    mobile: dict[str, str] | None = None
    metadata: dict[str, str] | None = None
    on_partial: OnPartial = OnPartial.KEEP
    deliver_by: datetime | None = None
    # Of PROTECTED claim links; never the password itself.
    claim_password_hash: str | None = field(default=None, repr=False)
    key_use: KeyUse | None = None


@dataclass(frozen=True, slots=True)
class Payer:
    wallet: Wallet
    charge: Charge


class Purse:
    """What the locked wallets of a batch still hold, as its members are granted one by one."""

    def __init__(self, wallets: Sequence[Wallet]) -> None:
        self._wallets: dict[int, list[Wallet]] = {}
        self._left_minor = {wallet.id: wallet.available_minor for wallet in wallets}
        for wallet in wallets:
            self._wallets.setdefault(wallet.client_id, []).append(wallet)

    def named(self, client_id: int, wallet_id: int) -> Wallet | None:
        return next((w for w in self._wallets.get(client_id, ()) if w.id == wallet_id), None)

    def choose(self, ask: PlaceAsk, quote: Quote) -> Payer | Refusal:
        """The wallet that pays (spec.md §3): the named one; else one in the product's currency with
        enough; else one in another currency with enough after FX; else insufficient funds.

        A wallet whose rate is stale is passed over. Where it would have paid at that rate, and no
        other one can, the rate is what the client is told of: more money would not help.
        """
        if ask.wallet_id is not None:
            wallet = self.named(ask.client_id, ask.wallet_id)
            if wallet is None:
                return WalletNotFound()
            if wallet.status is not WalletStatus.ACTIVE:
                return WalletNotActive()
            return self._try(wallet, quote)
        own = ask.product.currency
        mine = self._wallets.get(ask.client_id, ())
        active = [wallet for wallet in mine if wallet.status is WalletStatus.ACTIVE]
        stale: FxRateStale | None = None
        for wallet in sorted(active, key=lambda w: (w.currency != own, w.id)):
            payer = self._try(wallet, quote)
            if isinstance(payer, Payer):
                return payer
            if isinstance(payer, FxRateStale) and self._holds(wallet, payer.charge):
                stale = stale or payer
        return stale or InsufficientFunds()

    def spend(self, payer: Payer) -> None:
        self._left_minor[payer.wallet.id] -= payer.charge.payable_minor

    def _try(self, wallet: Wallet, quote: Quote) -> Payer | Refusal:
        charge = quote(wallet.currency)
        if isinstance(charge, Refusal):
            return charge
        return Payer(wallet, charge) if self._holds(wallet, charge) else InsufficientFunds()

    def _holds(self, wallet: Wallet, charge: Charge) -> bool:
        return charge.payable_minor <= self._left_minor[wallet.id]


def decide(
    asks: Sequence[PlaceAsk],
    order_ids: Sequence[int],
    twin_ids: Sequence[int | None],
    purse: Purse,
    quotes: Sequence[Quote],
) -> list[Payer | Refusal]:
    """Grant in order, as if the asks had come one by one: a refused one leaves no trace.

    `twin_ids`: the committed order that already has the ask's reference, if any.
    """
    taken: dict[tuple[int, str], int] = {}
    answers: list[Payer | Refusal] = []
    for ask, order_id, twin_id, quote in zip(asks, order_ids, twin_ids, quotes, strict=True):
        answer = _decide_one(ask, twin_id, taken, purse, quote)
        if isinstance(answer, Payer):
            purse.spend(answer)
            if ask.ref is not None:
                taken[ask.client_id, ask.ref] = order_id
        answers.append(answer)
    return answers


def _decide_one(
    ask: PlaceAsk,
    twin_id: int | None,
    taken: Mapping[tuple[int, str], int],
    purse: Purse,
    quote: Quote,
) -> Payer | Refusal:
    # The order of refusals is part of the contract: wallet, reference, funds.
    if ask.wallet_id is not None and purse.named(ask.client_id, ask.wallet_id) is None:
        return WalletNotFound()
    if ask.ref is not None:
        twin_id = twin_id or taken.get((ask.client_id, ask.ref))
        if twin_id is not None:
            return DuplicateReference(twin_id)
    return purse.choose(ask, quote)
