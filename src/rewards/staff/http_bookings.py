"""Money that staff book on a client's wallet: what came in, and corrections of either sign."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
from litestar import Request, Response, Router, post
from litestar.params import FromPath

from rewards.core.clock import Clock
from rewards.core.currency import exponent_of
from rewards.core.errors import Refusal
from rewards.core.money import amount_minor, read_json_amount, to_decimal
from rewards.core.text import printable
from rewards.infra.db import Database, Tx
from rewards.infra.http import decode, encode, member_of, path_id
from rewards.infra.openapi import answers, takes
from rewards.pricing.one_person import OnePersonLimit
from rewards.staff import bookings
from rewards.staff.auth import Caller, caller, requires
from rewards.staff.bookings import Booked
from rewards.staff.given import Amount, GivenClock, GivenDatabase, GivenMoneyLimit, no_json
from rewards.staff.http_approvals import WAITS, waits
from rewards.staff.model import Permission
from rewards.staff.model_approvals import Approval
from rewards.wallets import service as wallets
from rewards.wallets.model import (
    Adjustment,
    Direction,
    TopUp,
    Wallet,
    WalletNotFound,
)

REFERENCE_CHARS_MAX = 200
NOTE_CHARS_MAX = 500


class TopUpIn(msgspec.Struct, forbid_unknown_fields=True):
    """`amount` in the wallet's currency, above 0. A `reference` is booked once for each wallet."""

    amount: Amount = msgspec.field(default_factory=no_json)
    reference: str | None = None
    note: str | None = None


class AdjustmentIn(msgspec.Struct, forbid_unknown_fields=True):
    """`amount` above 0; `direction`: CREDIT gives it to the client, DEBIT takes it.

    `note` says why, and the client reads it on the statement. A `reference` is booked once for each
    wallet.
    """

    direction: str
    note: str
    amount: Amount = msgspec.field(default_factory=no_json)
    reference: str | None = None


class BookedOut(msgspec.Struct):
    """`balance` is the wallet's after this booking; `amount` is below 0 where money was taken."""

    transaction_id: int
    wallet_id: int
    amount: Decimal
    balance: Decimal
    currency: str
    reference: str | None
    # The reference had been booked before: this is the first answer, and no money moved now.
    repeated: bool

    @classmethod
    def of(cls, booked: Booked) -> "BookedOut":
        places = exponent_of(booked.wallet.currency)
        return cls(
            booked.posted.transfer_id,
            booked.wallet.id,
            to_decimal(booked.booking.amount_minor, places),
            to_decimal(booked.posted.balance_minor, places),
            booked.wallet.currency,
            booked.booking.reference,
            booked.posted.repeated,
        )


TOP_UP = msgspec.json.Decoder(TopUpIn)
ADJUSTMENT = msgspec.json.Decoder(AdjustmentIn)


@post(
    "/wallets/{wallet_id:str}/top-up",
    status_code=200,
    operation_id="topUpWallet",
    guards=[requires(Permission.WALLETS_TOP_UP)],
    operation_class=takes(TopUpIn, needs=("amount",)),
    responses=answers(BookedOut, 400, 401, 403, 404, 409) | WAITS,
)
async def top_up(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    money_limit: GivenMoneyLimit,
    wallet_id: FromPath[str],
) -> Response[bytes]:
    """Book money that came in. The client is told by `wallet.credited`.

    202 where one person is not enough: nothing is booked before another has approved. What counts
    is this amount and all that the same person moved alone on the client's wallets within
    24 hours.

    The same reference with the same amount answers as the first time and moves nothing; with
    another amount 409. A frozen or closed wallet: 409.
    """
    body = decode(TOP_UP, await request.body())
    amount = read_json_amount("Amount", bytes(body.amount))
    reference = _text("Reference", body.reference, REFERENCE_CHARS_MAX)
    note = _text("Note", body.note, NOTE_CHARS_MAX)
    number = path_id(wallet_id, WalletNotFound)

    def booking(wallet: Wallet) -> TopUp:
        return TopUp(number, _minor(amount, wallet), reference, note)

    return await _asked(db, clock, money_limit, caller(request), number, booking)


@post(
    "/wallets/{wallet_id:str}/adjust",
    status_code=200,
    operation_id="adjustWallet",
    guards=[requires(Permission.WALLETS_ADJUST)],
    operation_class=takes(AdjustmentIn, needs=("amount",)),
    responses=answers(BookedOut, 400, 401, 403, 404, 409) | WAITS,
)
async def adjust(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    money_limit: GivenMoneyLimit,
    wallet_id: FromPath[str],
) -> Response[bytes]:
    """Correct a balance. Never below what the wallet may hold: 400 `Insufficient funds`.

    References, frozen and closed wallets, and what takes a second person are as with a top-up.
    """
    body = decode(ADJUSTMENT, await request.body())
    amount = read_json_amount("Amount", bytes(body.amount))
    direction = member_of("Direction", Direction, body.direction)
    reference = _text("Reference", body.reference, REFERENCE_CHARS_MAX)
    note = printable("Note", body.note, NOTE_CHARS_MAX)
    number = path_id(wallet_id, WalletNotFound)
    sign = 1 if direction is Direction.CREDIT else -1

    def booking(wallet: Wallet) -> Adjustment:
        return Adjustment(number, sign * _minor(amount, wallet), reference, note)

    return await _asked(db, clock, money_limit, caller(request), number, booking)


def _text(field: str, value: str | None, chars_max: int) -> str | None:
    return None if value is None else printable(field, value, chars_max)


def _minor(amount: Decimal, wallet: Wallet) -> int:
    return amount_minor("Amount", amount, exponent_of(wallet.currency))


async def _asked(
    db: Database,
    clock: Clock,
    limit: OnePersonLimit,
    who: Caller,
    wallet_id: int,
    booking_of: Callable[[Wallet], TopUp | Adjustment],
) -> Response[bytes]:
    async def work(tx: Tx) -> Booked | Approval:
        locked = await wallets.lock_wallets(tx, [wallet_id])
        if not locked:
            raise WalletNotFound
        booking, at = booking_of(locked[0]), clock.now()
        answer = await bookings.ask(tx, limit, locked[0], booking, who.actor, who.staff.id, at)
        if isinstance(answer, Refusal):
            raise answer
        return answer

    told = await db.run(work)
    return waits(told) if isinstance(told, Approval) else encode(BookedOut.of(told))


ROUTER = Router(
    path="/admin/api/v1",
    tags=["Wallets (staff)"],
    route_handlers=[top_up, adjust],
)
