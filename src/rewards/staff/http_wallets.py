"""Clients' money, as staff may touch it: see wallets, open one, top one up."""

from collections.abc import Collection
from decimal import Decimal
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.params import FromPath

from rewards.audit import service as audit
from rewards.audit.model import AuditFact
from rewards.clients import service as clients
from rewards.clients.model import ClientNotFound
from rewards.core.clock import Clock
from rewards.core.currency import exponent_of
from rewards.core.errors import InvalidField, Refusal
from rewards.core.money import amount_minor, read_json_amount, to_decimal
from rewards.core.text import printable
from rewards.infra.db import Tx
from rewards.infra.http import decode, encode, path_id
from rewards.infra.openapi import answers, takes
from rewards.staff.auth import Caller, caller, requires
from rewards.staff.given import GivenCatalog, GivenClock, GivenDatabase
from rewards.staff.model import Permission
from rewards.wallets import service as wallets
from rewards.wallets.model import (
    NewWallet,
    Posted,
    TopUp,
    Wallet,
    WalletNotFound,
    WalletStatus,
    WalletType,
)

REFERENCE_CHARS_MAX = 200
NOTE_CHARS_MAX = 500

# A JSON number or a string of one; floats never touch it.
Amount = Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema={"type": ["number", "string"]})]


def _absent() -> msgspec.Raw:
    return msgspec.Raw(b"null")


class TopUpIn(msgspec.Struct, forbid_unknown_fields=True):
    """`amount` in the wallet's currency, above 0. A `reference` is booked once for each wallet."""

    amount: Amount = msgspec.field(default_factory=_absent)
    reference: str | None = None
    note: str | None = None


class ToppedUpOut(msgspec.Struct):
    """`balance` is the wallet's after this booking."""

    transaction_id: int
    wallet_id: int
    amount: Decimal
    balance: Decimal
    currency: str
    reference: str | None
    # The reference had been booked before: this is the first answer, and no money moved now.
    repeated: bool


class NewWalletIn(msgspec.Struct, forbid_unknown_fields=True):
    """`type`: PREPAID, or POSTPAID with a `credit_limit`; `low_balance` raises one event."""

    currency: str
    type: str = "PREPAID"
    credit_limit: Amount = msgspec.field(default_factory=_absent)
    low_balance: Amount = msgspec.field(default_factory=_absent)


class WalletOut(msgspec.Struct):
    id: int
    client_id: int
    currency: str
    type: WalletType
    status: WalletStatus
    balance: Decimal
    credit_limit: Decimal
    low_balance: Decimal | None

    @classmethod
    def of(cls, wallet: Wallet) -> "WalletOut":
        places = exponent_of(wallet.currency)
        low = wallet.low_balance_minor
        return cls(
            wallet.id,
            wallet.client_id,
            wallet.currency,
            wallet.type,
            wallet.status,
            to_decimal(wallet.balance_minor, places),
            to_decimal(wallet.credit_limit_minor, places),
            None if low is None else to_decimal(low, places),
        )


TOP_UP = msgspec.json.Decoder(TopUpIn)
NEW_WALLET = msgspec.json.Decoder(NewWalletIn)


@post(
    "/wallets/{wallet_id:str}/top-up",
    status_code=200,
    operation_id="topUpWallet",
    guards=[requires(Permission.WALLETS_TOP_UP)],
    operation_class=takes(TopUpIn, needs=("amount",)),
    responses=answers(ToppedUpOut, 400, 401, 403, 404, 409),
)
async def top_up(
    request: Request[Any, Any, Any], db: GivenDatabase, clock: GivenClock, wallet_id: FromPath[str]
) -> Response[bytes]:
    """Book money that came in. The client is told by `wallet.credited`.

    The same reference with the same amount answers as the first time and moves nothing; with
    another amount 409. A frozen or closed wallet: 409.
    """
    body = decode(TOP_UP, await request.body())
    amount = read_json_amount("Amount", bytes(body.amount))
    reference = _text("Reference", body.reference, REFERENCE_CHARS_MAX)
    note = _text("Note", body.note, NOTE_CHARS_MAX)
    number = path_id(wallet_id, WalletNotFound)

    async def work(tx: Tx) -> ToppedUpOut:
        locked = await wallets.lock_wallets(tx, [number])
        if not locked:
            raise WalletNotFound
        wallet = locked[0]
        ask = TopUp(
            number, amount_minor("Amount", amount, exponent_of(wallet.currency)), reference, note
        )
        return await _book(tx, wallet, ask, caller(request), clock)

    return encode(await db.run(work))


def _text(field: str, value: str | None, chars_max: int) -> str | None:
    return None if value is None else printable(field, value, chars_max)


async def _book(tx: Tx, wallet: Wallet, ask: TopUp, who: Caller, clock: Clock) -> ToppedUpOut:
    at = clock.now()
    [posted] = await wallets.top_up(tx, [ask], at)
    if isinstance(posted, Refusal):
        raise posted
    repeated = posted.version <= wallet.version
    if not repeated:
        await audit.record(tx, [_topped_up(wallet, ask, posted, who)], at)
    places = exponent_of(wallet.currency)
    return ToppedUpOut(
        posted.transfer_id,
        wallet.id,
        to_decimal(ask.amount_minor, places),
        to_decimal(posted.balance_minor, places),
        wallet.currency,
        ask.reference,
        repeated,
    )


def _topped_up(wallet: Wallet, ask: TopUp, posted: Posted, who: Caller) -> AuditFact:
    facts = {
        "amount_minor": ask.amount_minor,
        "currency": wallet.currency,
        "balance_minor": {"from": wallet.balance_minor, "to": posted.balance_minor},
        "transaction_id": posted.transfer_id,
        "reference": ask.reference,
    }
    return AuditFact(
        who.actor, wallet.client_id, "wallet.topped_up", "wallet", wallet.id, facts, ask.note
    )


@get(
    "/clients/{client_id:str}/wallets",
    operation_id="listClientWallets",
    guards=[requires(Permission.WALLETS_READ)],
    responses=answers(list[WalletOut], 401, 403, 404),
)
async def list_wallets(client_id: FromPath[str], db: GivenDatabase) -> Response[bytes]:
    """A client's wallets, closed ones too."""
    number = path_id(client_id, ClientNotFound)
    async with db.connection() as connection:
        if (await clients.read(connection, [number])) == [None]:
            raise ClientNotFound
        found = await wallets.list_for_client(connection, number)
    return encode([WalletOut.of(wallet) for wallet in found])


@post(
    "/clients/{client_id:str}/wallets",
    status_code=201,
    operation_id="openWallet",
    guards=[requires(Permission.WALLETS_OPEN)],
    operation_class=takes(NewWalletIn),
    responses=answers(WalletOut, 400, 401, 403, 404, status=201, told="Opened"),
)
async def open_wallet(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    catalog: GivenCatalog,
    client_id: FromPath[str],
) -> Response[bytes]:
    """Open a wallet with balance 0 for a client."""
    currencies = {currency.code for currency in catalog.currencies()}
    body = decode(NEW_WALLET, await request.body())
    new = _new_wallet(path_id(client_id, ClientNotFound), body, currencies)

    async def work(tx: Tx) -> Wallet:
        at = clock.now()
        if (await clients.read(tx, [new.client_id])) == [None]:
            raise ClientNotFound
        [wallet] = await wallets.open_wallets(tx, [new], at)
        facts = {
            "currency": wallet.currency,
            "type": wallet.type,
            "credit_limit_minor": wallet.credit_limit_minor,
            "low_balance_minor": wallet.low_balance_minor,
        }
        who = caller(request).actor
        fact = AuditFact(who, wallet.client_id, "wallet.opened", "wallet", wallet.id, facts)
        await audit.record(tx, [fact], at)
        return wallet

    return encode(WalletOut.of(await db.run(work)), 201)


def _new_wallet(client_id: int, body: NewWalletIn, currencies: Collection[str]) -> NewWallet:
    currency = body.currency.upper()
    if currency not in currencies:
        raise InvalidField("Currency", "oneof")
    kind = next((kind for kind in WalletType if kind == body.type.upper()), None)
    if kind is None:
        raise InvalidField("Type", "oneof", details={"allowed": list(WalletType)})
    credit = _optional_minor("CreditLimit", body.credit_limit, currency)
    if (kind is WalletType.POSTPAID) != (credit is not None):
        raise InvalidField("CreditLimit", "postpaid")
    low = _optional_minor("LowBalance", body.low_balance, currency)
    return NewWallet(client_id, currency, kind, credit or 0, low)


def _optional_minor(field: str, raw: msgspec.Raw, currency: str) -> int | None:
    if bytes(raw) == b"null":
        return None
    return amount_minor(field, read_json_amount(field, bytes(raw)), exponent_of(currency))


ROUTER = Router(
    path="/admin/api/v1",
    tags=["Wallets (staff)"],
    route_handlers=[top_up, list_wallets, open_wallet],
)
