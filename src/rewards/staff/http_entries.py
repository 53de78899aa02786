"""Lines of all wallets by the day, and one of them with both its sides and whoever caused it."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
from litestar import Request, Response, Router, get
from litestar.params import FromPath

from rewards.audit import service as audit
from rewards.audit.model import AuditFilter
from rewards.core.actor import ActorKind
from rewards.core.currency import exponent_of
from rewards.core.errors import Refusal
from rewards.core.money import to_decimal
from rewards.infra.csvtext import in_kind
from rewards.infra.db import Tx
from rewards.infra.http import ID_MAX, cursor_answer, encode, one_of, path_id, whole
from rewards.infra.openapi import answers, asks, choice, whole_number
from rewards.infra.query import a_currency, an_id, read_cursor, write_cursor
from rewards.staff.auth import requires
from rewards.staff.bookings import SUBJECT
from rewards.staff.given import GivenCatalog, GivenClock, GivenDatabase
from rewards.staff.http_ledger import CURSOR, DAYS_MAX, StaffTransactionOut
from rewards.staff.model import Permission
from rewards.staff.naming import client_names, usernames
from rewards.staff.periods import DAYS, days_of
from rewards.wallets import books, service
from rewards.wallets.model import (
    Direction,
    SystemAccount,
    Transaction,
    TransactionFilter,
    TransactionNotFound,
    TransferKind,
)
from rewards.wallets.model_books import Side

LIST_DEFAULT, LIST_MAX = 50, 500
# Acts upon one wallet in one instant; the clock of a process goes on in millionths of a second.
INSTANT, ACTS_MAX = timedelta(microseconds=1), 50


class SideOut(msgspec.Struct):
    """One side of it: a wallet's, or one of our accounts'. The amounts of both add up to 0.

    A wallet's has the balance it left, and says which entry of the wallet it is.
    """

    wallet_id: int | None
    account: SystemAccount | None
    amount: Decimal
    currency: str
    balance: Decimal | None
    entry: int | None

    @classmethod
    def of(cls, side: Side) -> "SideOut":
        places = exponent_of(side.currency)
        balance = side.balance_minor
        return cls(
            *(side.wallet_id, side.account, to_decimal(side.amount_minor, places), side.currency),
            *(None if balance is None else to_decimal(balance, places), side.version),
        )


class BookingOut(msgspec.Struct):
    """Who booked it, and why. With an approval one person asked and another agreed."""

    actor: ActorKind
    staff_id: int | None
    name: str | None
    reason: str | None
    at: datetime
    approval_id: int | None
    requested_by: int | None
    requested_by_name: str | None


class LedgerEntryOut(StaffTransactionOut):
    """A line, both its sides, and who booked it; of orders and refunds the order tells that."""

    note: str | None
    sides: list[SideOut]
    booked: BookingOut | None


@get(
    "/ledger/transactions",
    operation_id="listLedgerTransactions",
    operation_class=asks(
        DAYS
        | {
            "account": choice(SystemAccount, "With this account of ours on the other side"),
            "currency": {"type": "string", "description": "ISO 4217 code, in any case"},
            "type": choice(TransferKind, "In any case"),
            "direction": choice(Direction, "As the wallet sees it, in any case"),
            "client": whole_number("Of this client", maximum=ID_MAX),
            "limit": whole_number("Lines a page", maximum=LIST_MAX, default=LIST_DEFAULT),
            "cursor": CURSOR,
        }
    ),
    guards=[requires(Permission.WALLETS_READ)],
    responses=answers(list[StaffTransactionOut], 400, 401, 403, 503),
)
async def list_ledger(
    request: Request[Any, Any, Any], db: GivenDatabase, clock: GivenClock, catalog: GivenCatalog
) -> Response[bytes]:
    """Lines of all wallets on whole days in UTC, at most 31, newest first; today if none is given.

    Those of one `account` and `currency` add up to what `/ledger/accounts` says of it. With
    `Accept: text/csv` the same page comes as CSV.
    """
    query = request.query_params
    period = days_of(request, clock.now(), days_max=DAYS_MAX)
    limit = whole("Limit", query.get("limit"), default=LIST_DEFAULT, maximum=LIST_MAX)
    way = one_of("Direction", Direction, query.get("direction"))
    wanted = TransactionFilter(
        client_id=an_id("Client", query.get("client")),
        kind=one_of("Type", TransferKind, query.get("type")),
        credit=None if way is None else way is Direction.CREDIT,
        currency=a_currency("Currency", query.get("currency")),
        account=one_of("Account", SystemAccount, query.get("account")),
        before_id=read_cursor(query.get("cursor")),
    )
    async with db.connection() as connection:
        lines = await books.of_days(connection, wanted, period.since, period.until, limit + 1)
        names = await client_names(connection, {line.client_id for line in lines})
    shown = [StaffTransactionOut.of(line, catalog, names) for line in lines[:limit]]
    following = write_cursor(shown[-1].id) if len(lines) > limit else None
    answer = cursor_answer(request, shown, limit, following)
    return in_kind(request, answer, StaffTransactionOut, shown)


@get(
    "/ledger/transactions/{transaction_id:str}",
    operation_id="inspectLedgerTransaction",
    guards=[requires(Permission.WALLETS_READ)],
    responses=answers(LedgerEntryOut, 401, 403, 404),
)
async def inspect_transaction(
    transaction_id: FromPath[str], db: GivenDatabase, catalog: GivenCatalog
) -> Response[bytes]:
    """One line, whosever it is: what it moved between which accounts, and what caused it."""
    number = path_id(transaction_id, TransactionNotFound)
    async with db.connection() as connection:
        [line] = await service.get_transactions(connection, [number])
        if isinstance(line, Refusal):
            raise line
        sides = await books.sides(connection, number)
        names = await client_names(connection, [line.client_id])
        booked = None if line.order_id is not None else await _booked(connection, line)
    own = msgspec.structs.asdict(StaffTransactionOut.of(line, catalog, names))
    shown = LedgerEntryOut(**own, note=line.note, sides=list(map(SideOut.of, sides)), booked=booked)
    return encode(shown)


async def _booked(tx: Tx, line: Transaction) -> BookingOut | None:
    """What the trail has of it: the act was written in the same transaction, at the same instant.

    None of what no person booked, such as the money of a demonstration.
    """
    narrow = AuditFilter(
        since=line.created_at,
        until=line.created_at + INSTANT,
        client_id=line.client_id,
        subject_kind=SUBJECT,
        subject_id=line.wallet_id,
    )
    found = await audit.search(tx, narrow, limit=ACTS_MAX)
    act = next((each for each in found if each.fact.facts.get("transaction_id") == line.id), None)
    if act is None:
        return None
    who, facts = act.fact.actor, act.fact.facts
    asked_by = _id(facts.get("requested_by"))
    names = await usernames(tx, {each for each in (who.id, asked_by) if each is not None})
    return BookingOut(
        who.kind,
        who.id,
        names.get(who.id or 0),
        act.fact.reason,
        act.at,
        _id(facts.get("approval_id")),
        asked_by,
        names.get(asked_by or 0),
    )


def _id(told: object) -> int | None:
    assert told is None or isinstance(told, int), "as it was booked"
    return told


ROUTER = Router(
    path="/admin/api/v1",
    tags=["Wallets (staff)"],
    route_handlers=[list_ledger, inspect_transaction],
)
