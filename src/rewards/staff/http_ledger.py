"""The ledger as staff read it: every wallet, its lines, our own accounts, refunds owed."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from litestar import Request, Response, Router, get
from litestar.params import FromPath

from rewards.catalog.service import Catalog
from rewards.core.currency import CURRENCIES, exponent_of
from rewards.core.errors import InvalidField, Refusal
from rewards.core.money import amount_minor, to_decimal
from rewards.infra.csvtext import in_kind
from rewards.infra.http import ID_MAX, cursor_answer, encode, one_of, path_id, whole
from rewards.infra.openapi import answers, asks, choice, whole_number
from rewards.infra.query import a_currency, an_id, moment, read_cursor, write_cursor, yes_or_no
from rewards.orders import overview
from rewards.orders.model import Status, SubStatus
from rewards.orders.overview import OwedRefund
from rewards.staff.auth import requires
from rewards.staff.given import GivenCatalog, GivenClock, GivenDatabase, decimal_of
from rewards.staff.http_wallets import WalletOut
from rewards.staff.model import Permission
from rewards.staff.naming import client_names
from rewards.staff.periods import DAYS, days_of
from rewards.wallets import books, service
from rewards.wallets.model import (
    Direction,
    SystemAccount,
    Transaction,
    TransactionFilter,
    TransferKind,
    Wallet,
    WalletFilter,
    WalletNotFound,
    WalletStatus,
    WalletType,
)
from rewards.wallets.model_books import AccountFlow
from rewards.wallets.shapes import TransactionShape, transaction_shape

LIST_DEFAULT, LIST_MAX = 50, 500
LINES_MAX = 10_000
DAYS_MAX = 31
CURSOR = {"type": "string", "maxLength": 32, "description": "`X-Next-Cursor` of the page before"}
MOMENT = {"type": "string", "description": "A day, or an RFC 3339 time"}


class StaffTransactionOut(TransactionShape):
    """A line of a statement as its client reads it, and whose it is."""

    client_id: int
    client_name: str | None

    @classmethod
    def of(
        cls, line: Transaction, catalog: Catalog, names: Mapping[int, str]
    ) -> "StaffTransactionOut":
        shown = transaction_shape(line, catalog.currency(line.currency).id)
        return cls(
            **msgspec.structs.asdict(shown),
            client_id=line.client_id,
            client_name=names.get(line.client_id),
        )


class FoundWalletOut(WalletOut):
    """A wallet, and whose it is."""

    client_name: str | None

    @classmethod
    def named(cls, wallet: Wallet, names: Mapping[int, str]) -> "FoundWalletOut":
        own = msgspec.structs.asdict(WalletOut.of(wallet))
        return cls(**own, client_name=names.get(wallet.client_id))


class AccountOut(msgspec.Struct):
    """What one of our accounts got from clients' wallets, and what it gave them.

    SALES: orders in, refunds out. FUNDING: top-ups out. ADJUSTMENTS: corrections of either way.
    """

    account: SystemAccount
    currency: str
    transfers: int
    came_in: Decimal
    went_out: Decimal
    net: Decimal

    @classmethod
    def of(cls, flow: AccountFlow) -> "AccountOut":
        places = exponent_of(flow.currency)
        return cls(
            flow.account,
            flow.currency,
            flow.transfers,
            to_decimal(flow.in_minor, places),
            to_decimal(flow.out_minor, places),
            to_decimal(flow.in_minor - flow.out_minor, places),
        )


class OwedOut(msgspec.Struct):
    """A refund that could not be booked. `blocked_by` null: the next retry books it."""

    order_id: int
    client_id: int
    client_name: str | None
    wallet_id: int
    ref: str
    status: Status
    sub_status: SubStatus
    amount: Decimal
    currency: str
    owed_since: datetime
    blocked_by: str | None

    @classmethod
    def of(cls, owed: OwedRefund, names: Mapping[int, str]) -> "OwedOut":
        order = owed.order
        return cls(
            order.id,
            order.client_id,
            names.get(order.client_id),
            order.wallet_id,
            order.ref,
            order.status,
            order.sub_status,
            to_decimal(order.refund_owed_minor, exponent_of(order.currency)),
            order.currency,
            order.cancelled_at or order.changed_at,
            None if owed.blocked_by is None else owed.blocked_by.code,
        )


@get(
    "/wallets",
    operation_id="findWallets",
    operation_class=asks(
        {
            "client": whole_number("Of this client", maximum=ID_MAX),
            "currency": {"type": "string", "description": "ISO 4217 code, in any case"},
            "type": choice(WalletType, "In any case"),
            "status": choice(WalletStatus, "In any case"),
            "below": {"type": "number", "description": "Balance below this; with `currency`"},
            "low": {"type": "boolean", "description": "true: below its own `low_balance`"},
            "limit": whole_number("Wallets a page", maximum=LIST_MAX, default=LIST_DEFAULT),
            "cursor": CURSOR,
        }
    ),
    guards=[requires(Permission.WALLETS_READ)],
    responses=answers(list[FoundWalletOut], 400, 401, 403),
)
async def find_wallets(request: Request[Any, Any, Any], db: GivenDatabase) -> Response[bytes]:
    """Wallets of all clients, newest first. With `Accept: text/csv` the same page comes as CSV."""
    query = request.query_params
    limit = whole("Limit", query.get("limit"), default=LIST_DEFAULT, maximum=LIST_MAX)
    currency = a_currency("Currency", query.get("currency"))
    wanted = WalletFilter(
        client_id=an_id("Client", query.get("client")),
        currency=currency,
        type=one_of("Type", WalletType, query.get("type")),
        status=one_of("Status", WalletStatus, query.get("status")),
        below_minor=_below(query.get("below"), currency),
        low=yes_or_no("Low", query.get("low")),
        before_id=read_cursor(query.get("cursor")),
    )
    async with db.connection() as connection:
        found = await service.find_wallets(connection, wanted, limit + 1)
        names = await client_names(connection, {wallet.client_id for wallet in found})
    shown = [FoundWalletOut.named(wallet, names) for wallet in found[:limit]]
    following = write_cursor(shown[-1].id) if len(found) > limit else None
    answer = cursor_answer(request, shown, limit, following)
    return in_kind(request, answer, FoundWalletOut, shown)


def _below(text: str | None, currency: str | None) -> int | None:
    """In minor units; of an unknown currency nobody has a wallet."""
    if not text:
        return None
    if currency is None:
        raise InvalidField("Currency", "required")
    if currency not in CURRENCIES:
        raise InvalidField("Currency", "oneof")
    amount = decimal_of("Below", msgspec.Raw(text.encode()))
    if amount is None:
        raise InvalidField("Below", "format")
    return amount_minor("Below", amount, exponent_of(currency))


@get(
    "/wallets/{wallet_id:str}",
    operation_id="inspectWallet",
    guards=[requires(Permission.WALLETS_READ)],
    responses=answers(FoundWalletOut, 401, 403, 404),
)
async def inspect_wallet(wallet_id: FromPath[str], db: GivenDatabase) -> Response[bytes]:
    """One wallet, whoever's it is, with its balance and limits now."""
    async with db.connection() as connection:
        [wallet] = await service.get(connection, [path_id(wallet_id, WalletNotFound)])
        if isinstance(wallet, Refusal):
            raise wallet
        names = await client_names(connection, [wallet.client_id])
    return encode(FoundWalletOut.named(wallet, names))


@get(
    "/wallets/{wallet_id:str}/transactions",
    operation_id="listWalletTransactions",
    operation_class=asks(
        {
            "type": choice(TransferKind, "In any case"),
            "direction": choice(Direction, "In any case"),
            "order_id": whole_number("Of this order", maximum=ID_MAX),
            "from": MOMENT,
            "to": MOMENT | {"description": "To the end of this day, or before this time"},
            "limit": whole_number("Lines a page", maximum=LINES_MAX, default=LIST_DEFAULT),
            "cursor": CURSOR,
        }
    ),
    guards=[requires(Permission.WALLETS_READ)],
    responses=answers(list[StaffTransactionOut], 400, 401, 403, 404),
)
async def list_transactions(
    request: Request[Any, Any, Any],
    wallet_id: FromPath[str],
    db: GivenDatabase,
    catalog: GivenCatalog,
) -> Response[bytes]:
    """The lines of a wallet, newest first, each with the balance it left.

    With `Accept: text/csv` the same page comes as CSV.
    """
    query, number = request.query_params, path_id(wallet_id, WalletNotFound)
    limit = whole("Limit", query.get("limit"), default=LIST_DEFAULT, maximum=LINES_MAX)
    way = one_of("Direction", Direction, query.get("direction"))
    wanted = TransactionFilter(
        wallet_id=number,
        kind=one_of("Type", TransferKind, query.get("type")),
        credit=None if way is None else way is Direction.CREDIT,
        order_id=an_id("OrderId", query.get("order_id")),
        since=moment("From", query.get("from")),
        until=moment("To", query.get("to"), end=True),
        before_id=read_cursor(query.get("cursor")),
    )
    async with db.connection() as connection:
        [wallet] = await service.get(connection, [number])
        if isinstance(wallet, Refusal):
            raise wallet
        # The client's index leads to the lines.
        lines = await service.transactions_after(
            connection, replace(wanted, client_id=wallet.client_id), limit + 1
        )
        names = await client_names(connection, [wallet.client_id])
    shown = [StaffTransactionOut.of(line, catalog, names) for line in lines[:limit]]
    following = write_cursor(shown[-1].id) if len(lines) > limit else None
    answer = cursor_answer(request, shown, limit, following)
    return in_kind(request, answer, StaffTransactionOut, shown)


@get(
    "/ledger/accounts",
    operation_id="listLedgerAccounts",
    operation_class=asks(
        DAYS | {"currency": {"type": "string", "description": "ISO 4217 code, in any case"}}
    ),
    guards=[requires(Permission.WALLETS_READ)],
    responses=answers(list[AccountOut], 400, 401, 403, 503),
)
async def list_accounts(
    request: Request[Any, Any, Any], db: GivenDatabase, clock: GivenClock
) -> Response[bytes]:
    """What went through our own accounts on whole days in UTC, at most 31; today if none is given.

    With `Accept: text/csv` the same comes as CSV.
    """
    period = days_of(request, clock.now(), days_max=DAYS_MAX)
    currency = a_currency("Currency", request.query_params.get("currency"))
    async with db.connection() as connection:
        flows = await books.of_accounts(connection, period.since, period.until, currency)
    shown = [AccountOut.of(flow) for flow in flows]
    return in_kind(request, encode(shown), AccountOut, shown)


@get(
    "/refunds-owed",
    operation_id="listRefundsOwed",
    operation_class=asks(
        {
            "limit": whole_number("Orders a page", maximum=LIST_MAX, default=LIST_DEFAULT),
            "cursor": CURSOR,
        }
    ),
    guards=[requires(Permission.ORDERS_READ)],
    responses=answers(list[OwedOut], 400, 401, 403),
)
async def list_owed(request: Request[Any, Any, Any], db: GivenDatabase) -> Response[bytes]:
    """Refunds that wait for a wallet that takes them, the oldest order first, and what blocks each.

    With `Accept: text/csv` the same page comes as CSV.
    """
    query = request.query_params
    limit = whole("Limit", query.get("limit"), default=LIST_DEFAULT, maximum=LIST_MAX)
    after_id = read_cursor(query.get("cursor")) or 0
    async with db.connection() as connection:
        found = await overview.refunds_owed(connection, after_id=after_id, limit=limit + 1)
        names = await client_names(connection, {owed.order.client_id for owed in found})
    shown = [OwedOut.of(owed, names) for owed in found[:limit]]
    following = write_cursor(shown[-1].order_id) if len(found) > limit else None
    return in_kind(request, cursor_answer(request, shown, limit, following), OwedOut, shown)


ROUTER = Router(
    path="/admin/api/v1",
    tags=["Wallets (staff)"],
    route_handlers=[find_wallets, inspect_wallet, list_transactions, list_accounts, list_owed],
)
