"""`/notice-settings` of the clients' API: who of it is mailed, of what, below which balance."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, Router, get, put

from rewards.audit import service as audit
from rewards.audit.model import AuditFact
from rewards.clients.auth import BEARER_ONLY, person, principal_of
from rewards.clients.model import Scope
from rewards.core.currency import exponent_of
from rewards.core.errors import InvalidField, Refusal
from rewards.core.money import amount_minor, read_json_amount, to_decimal
from rewards.infra.db import Tx
from rewards.infra.http import decode, encode, member_of
from rewards.infra.openapi import answers, takes
from rewards.members.given import GivenClock, GivenDatabase, person_of
from rewards.notices import service as notices
from rewards.notices.model import CONTACTS_MAX, NoticeKind, NoticeSettings
from rewards.orders.request import EMAIL, EMAIL_LENGTH_MAX
from rewards.wallets import service as wallets
from rewards.wallets.model import LimitsChange, Wallet, WalletNotFound

THRESHOLDS_MAX = 200
# A JSON number, a string of one, or null; floats never touch it.
Amount = Annotated[
    msgspec.Raw, msgspec.Meta(extra_json_schema={"type": ["number", "string", "null"]})
]


class ThresholdIn(msgspec.Struct, forbid_unknown_fields=True):
    """Told once, when the balance falls below `low_balance`; null: never."""

    wallet_id: int
    low_balance: Amount


class RecipientsIn(msgspec.Struct, forbid_unknown_fields=True):
    """`contacts`: who of you is mailed. `muted`: kinds of mail that nobody gets.

    `wallets` changes the thresholds of those it names; the others stay.
    """

    contacts: list[str]
    muted: list[str]
    wallets: list[ThresholdIn] = []


class ThresholdOut(msgspec.Struct):
    wallet_id: int
    currency: str
    low_balance: Decimal | None


class RecipientsOut(msgspec.Struct):
    """`changed_at` is null where nothing was ever set."""

    contacts: list[str]
    muted: list[NoticeKind]
    wallets: list[ThresholdOut]
    changed_at: datetime | None

    @classmethod
    def of(cls, chosen: NoticeSettings, held: Sequence[Wallet]) -> "RecipientsOut":
        return cls(
            list(chosen.contacts),
            list(chosen.muted),
            list(map(_threshold, held)),
            chosen.changed_at,
        )


SETTINGS = msgspec.json.Decoder(RecipientsIn)


def _threshold(wallet: Wallet) -> ThresholdOut:
    low = wallet.low_balance_minor
    shown = None if low is None else to_decimal(low, exponent_of(wallet.currency))
    return ThresholdOut(wallet.id, wallet.currency, shown)


def _contacts(given: Sequence[str]) -> list[str]:
    if len(given) > CONTACTS_MAX:
        raise InvalidField("Contacts", "max")
    for address in given:
        if len(address) > EMAIL_LENGTH_MAX or not EMAIL.fullmatch(address):
            raise InvalidField("Contacts", "email")
    return list(dict.fromkeys(given))


def _thresholds(asked: Sequence[ThresholdIn], held: Mapping[int, Wallet]) -> list[LimitsChange]:
    """The wallets' limits as they shall be; another client's wallet is as unknown (D13)."""
    changes: dict[int, LimitsChange] = {}
    for ask in asked:
        wallet = held.get(ask.wallet_id)
        if wallet is None:
            raise WalletNotFound
        if ask.wallet_id in changes:
            raise InvalidField("WalletId", "unique")
        raw, low = bytes(ask.low_balance), None
        if raw != b"null":
            asked_low = read_json_amount("LowBalance", raw)
            low = amount_minor("LowBalance", asked_low, exponent_of(wallet.currency))
        changes[wallet.id] = LimitsChange(wallet.id, wallet.credit_limit_minor, low)
    return list(changes.values())


@get(
    "/notice-settings",
    guards=[person(Scope.SETTINGS_READ)],
    operation_id="getOwnNoticeSettings",
    summary="Get notice settings",
    responses=answers(RecipientsOut, 401, 403, 503, told="Who is mailed, of what"),
)
async def get_notice_settings(
    request: Request[Any, Any, Any], db: GivenDatabase
) -> Response[bytes]:
    """Who of you is mailed of what, and below which balance."""
    client_id = principal_of(request).client_id
    async with db.connection() as connection:
        chosen = await notices.read_settings(connection, client_id)
        held = await wallets.list_for_client(connection, client_id)
    return encode(RecipientsOut.of(chosen, held))


@put(
    "/notice-settings",
    guards=[person(Scope.SETTINGS_WRITE)],
    operation_id="putOwnNoticeSettings",
    summary="Set notice settings",
    operation_class=takes(RecipientsIn),
    responses=answers(RecipientsOut, 400, 401, 403, 404, 503, told="As they are now"),
)
async def put_notice_settings(
    request: Request[Any, Any, Any], db: GivenDatabase, clock: GivenClock
) -> Response[bytes]:
    """Set who is mailed, of what, and below which balance; counts for what happens from now on.

    A threshold above the balance is told at once. How mail looks and whom it comes from the
    operators of the service set.
    """
    body, who = decode(SETTINGS, await request.body()), person_of(request)
    contacts = _contacts(body.contacts)
    muted = list(dict.fromkeys(member_of("Muted", NoticeKind, each) for each in body.muted))
    if len(body.wallets) > THRESHOLDS_MAX:
        raise InvalidField("Wallets", "max")

    async def work(tx: Tx) -> RecipientsOut:
        at = clock.now()
        held = {wallet.id: wallet for wallet in await wallets.lock(tx, [who.client_id])}
        old = RecipientsOut.of(
            await notices.set_recipients(tx, who.client_id, contacts, muted, at),
            list(held.values()),
        )
        asked = _thresholds(body.wallets, held)
        for answer in await wallets.set_limits(tx, asked, at) if asked else ():
            if isinstance(answer, Refusal):
                raise answer
            held[answer.id] = answer
        chosen = await notices.read_settings(tx, who.client_id)
        new = RecipientsOut.of(chosen, list(held.values()))
        facts = {"login_id": who.login_id, **_changes(old, new)}
        action = "client.notice_settings_set"
        fact = AuditFact(who.actor, who.client_id, action, "client", who.client_id, facts)
        await audit.record(tx, [fact], at)
        return new

    return encode(await db.run(work))


def _changes(old: RecipientsOut, new: RecipientsOut) -> dict[str, object]:
    before, after = msgspec.to_builtins(old), msgspec.to_builtins(new)
    return {
        key: {"from": before[key], "to": after[key]}
        for key in ("contacts", "muted", "wallets")
        if before[key] != after[key]
    }


ROUTER = Router(
    path="/",
    tags=["Notices"],
    security=BEARER_ONLY,
    route_handlers=[get_notice_settings, put_notice_settings],
)
