"""Clients' wallets, as staff see, open and change them; what is booked is in http_bookings."""

from collections.abc import Collection
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from litestar import Request, Response, Router, get, patch, post
from litestar.params import FromPath

from rewards.audit import service as audit
from rewards.audit.model import AuditFact
from rewards.clients import service as clients
from rewards.clients.model import ClientNotFound
from rewards.core.currency import exponent_of
from rewards.core.errors import InvalidField, Refusal
from rewards.core.money import amount_minor, read_json_amount, to_decimal
from rewards.core.text import printable
from rewards.infra.db import Tx
from rewards.infra.http import decode, encode, member_of, page_answer, path_id
from rewards.infra.openapi import answers, asks, takes
from rewards.pricing.one_person import OnePersonLimit
from rewards.staff import credit
from rewards.staff.auth import Caller, caller, requires
from rewards.staff.credit import Limited, Opening
from rewards.staff.given import (
    PAGED,
    Amount,
    GivenCatalog,
    GivenClock,
    GivenDatabase,
    GivenMoneyLimit,
    Quantity,
    no_json,
    paged,
    reason_told,
)
from rewards.staff.http_approvals import ApprovalOut, waits
from rewards.staff.model import Permission
from rewards.wallets import service as wallets
from rewards.wallets.model import (
    LimitsChange,
    NewWallet,
    StatusChange,
    Wallet,
    WalletFilter,
    WalletNotFound,
    WalletStatus,
    WalletType,
)

REASON_CHARS_MAX = 500
REFERENCE_CHARS_MAX = 200
CREDIT_WAITS = answers(
    ApprovalOut, status=202, told="The credit waits for a second person; the rest is done"
)


class NewWalletIn(msgspec.Struct, forbid_unknown_fields=True):
    """`type`: PREPAID, or POSTPAID with a `credit_limit`; `low_balance` raises one event.

    Under a `reference` a client's wallet is opened once. `reason`: for the trail.
    """

    currency: str
    type: str = "PREPAID"
    credit_limit: Amount = msgspec.field(default_factory=no_json)
    low_balance: Amount = msgspec.field(default_factory=no_json)
    reference: str | None = None
    reason: str | None = None


class WalletChangeIn(msgspec.Struct, forbid_unknown_fields=True):
    """What is left out stays as it is; `reason` says why, for the audit trail.

    `status`: ACTIVE, FROZEN or CLOSED. `low_balance` null: no event any more. `credit_limit`: of
    POSTPAID wallets.
    """

    reason: str
    status: str | None = None
    credit_limit: Quantity | msgspec.UnsetType = msgspec.UNSET
    low_balance: Quantity | msgspec.UnsetType = msgspec.UNSET


class WalletOut(msgspec.Struct):
    """`low_since`: from when on the balance has been below `low_balance`; null while it is not."""

    id: int
    client_id: int
    currency: str
    type: WalletType
    status: WalletStatus
    balance: Decimal
    credit_limit: Decimal
    low_balance: Decimal | None
    low_since: datetime | None

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
            wallet.low_since,
        )


NEW_WALLET = msgspec.json.Decoder(NewWalletIn)
WALLET_CHANGE = msgspec.json.Decoder(WalletChangeIn)


@get(
    "/clients/{client_id:str}/wallets",
    operation_id="listClientWallets",
    operation_class=asks(PAGED),
    guards=[requires(Permission.WALLETS_READ)],
    responses=answers(list[WalletOut], 400, 401, 403, 404),
)
async def list_wallets(
    request: Request[Any, Any, Any], client_id: FromPath[str], db: GivenDatabase
) -> Response[bytes]:
    """A client's wallets, newest first, closed ones too; `page`, `limit` (50, max 500)."""
    number, ask = path_id(client_id, ClientNotFound), paged(request)
    async with db.connection() as connection:
        await clients.check_there(connection, number)
        found = await wallets.list_wallets(connection, WalletFilter(client_id=number), ask)
    return page_answer(request, found, [WalletOut.of(wallet) for wallet in found.items])


@post(
    "/clients/{client_id:str}/wallets",
    status_code=201,
    operation_id="openWallet",
    guards=[requires(Permission.WALLETS_OPEN)],
    operation_class=takes(NewWalletIn),
    responses=answers(WalletOut, 400, 401, 403, 404, 409, status=201, told="Opened")
    | answers(WalletOut, told="Opened under this reference before; as it stands now")
    | CREDIT_WAITS,
)
async def open_wallet(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    catalog: GivenCatalog,
    money_limit: GivenMoneyLimit,
    client_id: FromPath[str],
) -> Response[bytes]:
    """Open a wallet with balance 0 for a client.

    With a `reference` it is safe to ask again: the same one answers the wallet that is there (200),
    or 409 where that has another currency or type. Without one each asking opens another wallet.

    202 where one person may not give so much credit: the wallet (`subject_id`) is open, and its
    `credit_limit` stays 0 before another has approved. What counts is as with a change of it.
    """
    currencies = {currency.code for currency in catalog.currencies()}
    body = decode(NEW_WALLET, await request.body())
    new = _new_wallet(path_id(client_id, ClientNotFound), body, currencies)
    who, reason = caller(request), reason_told(body.reason)
    reference = body.reference and printable("Reference", body.reference, REFERENCE_CHARS_MAX)
    ask = Opening(new, reference or None, who.actor, who.staff.id, reason)

    async def work(tx: Tx) -> Limited:
        at = clock.now()
        await clients.check_there(tx, new.client_id)
        answer = await credit.open_wallet(tx, money_limit, ask, at)
        if isinstance(answer, Refusal):
            raise answer
        wallet = answer.wallet
        if answer.repeated:
            return answer
        facts = {
            "currency": wallet.currency,
            "type": wallet.type,
            "credit_limit_minor": wallet.credit_limit_minor,
            "low_balance_minor": wallet.low_balance_minor,
        } | ({"reference": ask.reference} if ask.reference else {})
        subject = ("wallet.opened", "wallet", wallet.id)
        fact = AuditFact(who.actor, wallet.client_id, *subject, facts, reason)
        await audit.record(tx, [fact], at)
        return answer

    opened = await db.run(work)
    return _answered(opened, 200 if opened.repeated else 201)


@patch(
    "/wallets/{wallet_id:str}",
    operation_id="changeWallet",
    guards=[requires(Permission.WALLETS_CHANGE)],
    operation_class=takes(WalletChangeIn),
    responses=answers(WalletOut, 400, 401, 403, 404, 409) | CREDIT_WAITS,
)
async def change_wallet(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    money_limit: GivenMoneyLimit,
    wallet_id: FromPath[str],
) -> Response[bytes]:
    """Freeze, close or reopen a wallet, and set its limits.

    A FROZEN or CLOSED wallet pays no order and takes no money; refunds to it wait until it is
    ACTIVE again. Only an empty wallet can be closed: 409 otherwise.

    202 where one person may not raise `credit_limit` so far: it stays before another has approved,
    and all else is changed. What counts is by how much it rises, and all that the same person moved
    alone on the client's wallets within 24 hours. A frozen or closed wallet gets no more credit:
    409.
    """
    body = decode(WALLET_CHANGE, await request.body())
    reason = printable("Reason", body.reason, REASON_CHARS_MAX)
    number = path_id(wallet_id, WalletNotFound)

    async def work(tx: Tx) -> Limited:
        locked = await wallets.lock_wallets(tx, [number])
        if not locked:
            raise WalletNotFound
        before, at, who = locked[0], clock.now(), caller(request)
        limited = await _changed(tx, money_limit, before, body, reason, who, at)
        after = limited.wallet
        old, new = _told(before), _told(after)
        facts = {key: {"from": old[key], "to": new[key]} for key in new if old[key] != new[key]}
        # Of a request that waits its own row tells.
        if facts or limited.waits is None:
            fact = AuditFact(
                who.actor, after.client_id, "wallet.changed", "wallet", after.id, facts, reason
            )
            await audit.record(tx, [fact], at)
        return limited

    return _answered(await db.run(work))


def _answered(limited: Limited, status: int = 200) -> Response[bytes]:
    if limited.waits is not None:
        return waits(limited.waits)
    return encode(WalletOut.of(limited.wallet), status)


async def _changed(
    tx: Tx,
    money_limit: OnePersonLimit,
    wallet: Wallet,
    body: WalletChangeIn,
    reason: str,
    who: Caller,
    at: datetime,
) -> Limited:
    """Raises what either change is refused with; then neither was made."""
    limits = LimitsChange(
        wallet.id,
        _minor_or("CreditLimit", body.credit_limit, wallet.currency, wallet.credit_limit_minor)
        or 0,
        _minor_or("LowBalance", body.low_balance, wallet.currency, wallet.low_balance_minor),
    )
    status = (
        wallet.status if body.status is None else member_of("Status", WalletStatus, body.status)
    )
    if status is not wallet.status:
        # First: a wallet that is opened again may owe more, one that is frozen may not.
        [moved] = await wallets.set_status(tx, [StatusChange(wallet.id, status)])
        if isinstance(moved, Refusal):
            raise moved
        wallet = moved
    if (limits.credit_limit_minor, limits.low_balance_minor) == (
        wallet.credit_limit_minor,
        wallet.low_balance_minor,
    ):
        return Limited(wallet)
    answer = await credit.set_limits(
        tx, money_limit, wallet, limits, reason, who.actor, who.staff.id, at
    )
    if isinstance(answer, Refusal):
        raise answer
    return answer


def _minor_or(
    field: str, raw: msgspec.Raw | msgspec.UnsetType, currency: str, kept: int | None
) -> int | None:
    return kept if isinstance(raw, msgspec.UnsetType) else _optional_minor(field, raw, currency)


def _told(wallet: Wallet) -> dict[str, object]:
    """What may change of a wallet, as the audit trail tells of it."""
    return {
        "status": wallet.status,
        "credit_limit_minor": wallet.credit_limit_minor,
        "low_balance_minor": wallet.low_balance_minor,
    }


def _new_wallet(client_id: int, body: NewWalletIn, currencies: Collection[str]) -> NewWallet:
    currency = body.currency.upper()
    if currency not in currencies:
        raise InvalidField("Currency", "oneof")
    kind = member_of("Type", WalletType, body.type)
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
    route_handlers=[list_wallets, open_wallet, change_wallet],
)
