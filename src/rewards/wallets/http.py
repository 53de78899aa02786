"""`/wallets` and `/transactions`: balances and statements (spec.md §2)."""

from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias

from litestar import Request, Response, Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from rewards.catalog.service import Catalog
from rewards.clients.auth import SECURITY, principal_of, requires
from rewards.core.errors import Refusal
from rewards.core.page import PageAsk
from rewards.infra.csvtext import in_kind
from rewards.infra.db import Database
from rewards.infra.http import cursor_answer, encode, one_of, page_answer, page_ask, path_id
from rewards.infra.openapi import answers
from rewards.infra.query import (
    a_currency,
    an_id,
    moment,
    read_cursor,
    write_cursor,
    yes_or_no,
)
from rewards.wallets import service
from rewards.wallets.model import (
    Direction,
    Transaction,
    TransactionFilter,
    TransactionNotFound,
    TransferKind,
    WalletFilter,
    WalletNotFound,
    WalletStatus,
    WalletType,
)
from rewards.wallets.shapes import TransactionShape, WalletShape, transaction_shape, wallet_shape

PAGE_DEFAULT = 50
PAGE_MAX = 10_000


def _query(description: str, name: str | None = None, **schema: Any) -> Any:
    return QueryParameter(name=name, required=False, description=description, schema_extra=schema)


Text: TypeAlias = str | None
PageNumber: TypeAlias = Annotated[
    Text, _query("Page, from 1", type="integer", minimum=1, maximum=1_000_000)
]
PageSize: TypeAlias = Annotated[
    Text, _query("Lines a page; 50 if not given", type="integer", minimum=1, maximum=PAGE_MAX)
]


@get(
    "/wallets",
    operation_id="listWallets",
    summary="List wallets",
    responses=answers(list[WalletShape], 400, 401, 403, 503, told="A page of wallets"),
)
async def list_wallets(
    request: Request[Any, Any, Any],
    db: NamedDependency[Database],
    catalog: NamedDependency[Catalog],
    page: PageNumber = None,
    limit: PageSize = None,
    currency: Annotated[Text, _query("ISO 4217 code, in any case")] = None,
    kind: Annotated[Text, _query("PREPAID or POSTPAID, in any case", "type")] = None,
    status: Annotated[Text, _query("ACTIVE, FROZEN or CLOSED, in any case")] = None,
    is_active: Annotated[Text, _query("true: only ACTIVE ones", type="boolean")] = None,
) -> Response[bytes]:
    """Your wallets with their balances, newest first, whatever their status.

    With `Accept: text/csv` the same page comes as CSV.
    """
    ask = page_ask(page, limit, default=PAGE_DEFAULT, maximum=PAGE_MAX)
    wanted = WalletFilter(
        principal_of(request).client_id,
        a_currency("Currency", currency),
        one_of("Type", WalletType, kind),
        one_of("Status", WalletStatus, status),
        yes_or_no("IsActive", is_active),
    )
    async with db.connection() as connection:
        found = await service.list_wallets(connection, wanted, ask)
    body = [wallet_shape(wallet, catalog.currency(wallet.currency).id) for wallet in found.items]
    return in_kind(request, page_answer(request, found, body), WalletShape, body)


@get(
    "/wallets/{wallet_id:str}",
    operation_id="getWallet",
    summary="Get a wallet",
    responses=answers(WalletShape, 401, 403, 404, 503, told="The wallet"),
)
async def get_wallet(
    request: Request[Any, Any, Any],
    db: NamedDependency[Database],
    catalog: NamedDependency[Catalog],
    wallet_id: FromPath[str],
) -> Response[bytes]:
    """One wallet with its balance now."""
    number = path_id(wallet_id, WalletNotFound)
    client_id = principal_of(request).client_id
    async with db.connection() as connection:
        [wallet] = await service.get(connection, [number], client_id=client_id)
    if isinstance(wallet, Refusal):
        raise wallet
    return encode(wallet_shape(wallet, catalog.currency(wallet.currency).id))


@get(
    "/transactions",
    operation_id="listTransactions",
    summary="List transactions",
    responses=answers(list[TransactionShape], 400, 401, 403, 503, told="A page of transactions"),
)
async def list_transactions(
    request: Request[Any, Any, Any],
    db: NamedDependency[Database],
    catalog: NamedDependency[Catalog],
    page: PageNumber = None,
    limit: PageSize = None,
    cursor: Annotated[Text, _query("`X-Next-Cursor` of the page before")] = None,
    wallet_id: Annotated[Text, _query("Of this wallet", type="integer")] = None,
    kind: Annotated[Text, _query("ORDER, REFUND, TOPUP or ADJUSTMENT", "type")] = None,
    direction: Annotated[Text, _query("CREDIT or DEBIT")] = None,
    transaction_type: Annotated[
        Text, _query("The same; used where `direction` is not given")
    ] = None,
    order_id: Annotated[Text, _query("Of this order", type="integer")] = None,
    since: Annotated[Text, _query("From this day or RFC 3339 time on", "from")] = None,
    until: Annotated[Text, _query("To the end of this day, or before this time", "to")] = None,
) -> Response[bytes]:
    """The lines of your statement, newest first, each with the balance it left.

    Pages have totals in the headers. `cursor` goes on where a page ended, as deep as you like and
    without totals; `page` then does not count. With `Accept: text/csv` the same page comes as CSV.
    """
    ask = page_ask(page, limit, default=PAGE_DEFAULT, maximum=PAGE_MAX)
    way = one_of("Direction", Direction, direction)
    same_way = one_of("TransactionType", Direction, transaction_type)
    wanted = TransactionFilter(
        client_id=principal_of(request).client_id,
        wallet_id=an_id("WalletId", wallet_id),
        kind=one_of("Type", TransferKind, kind),
        credit=None if (way or same_way) is None else (way or same_way) is Direction.CREDIT,
        order_id=an_id("OrderId", order_id),
        since=moment("From", since),
        until=moment("To", until, end=True),
        before_id=read_cursor(cursor),
    )
    return await _page_of_lines(request, db, catalog, wanted, ask)


async def _page_of_lines(
    request: Request[Any, Any, Any],
    db: Database,
    catalog: Catalog,
    wanted: TransactionFilter,
    ask: PageAsk,
) -> Response[bytes]:
    async with db.connection() as connection:
        if wanted.before_id is None:
            found = await service.transactions(connection, wanted, ask)
            lines, more = found.items, ask.number < found.pages
        else:
            lines = await service.transactions_after(connection, wanted, ask.size + 1)
            lines, more = lines[: ask.size], len(lines) > ask.size
    body = _shapes(catalog, lines)
    following = write_cursor(lines[-1].id) if more and lines else None
    if wanted.before_id is not None:
        answer = cursor_answer(request, body, ask.size, following)
    else:
        answer = page_answer(request, found, body)
        if following:
            answer.headers["X-Next-Cursor"] = following
    return in_kind(request, answer, TransactionShape, body)


@get(
    "/transactions/{transaction_id:str}",
    operation_id="getTransaction",
    summary="Get a transaction",
    responses=answers(TransactionShape, 401, 403, 404, 503, told="The transaction"),
)
async def get_transaction(
    request: Request[Any, Any, Any],
    db: NamedDependency[Database],
    catalog: NamedDependency[Catalog],
    transaction_id: FromPath[str],
) -> Response[bytes]:
    """One line of your statement, such as the `transaction_id` of an order."""
    number = path_id(transaction_id, TransactionNotFound)
    client_id = principal_of(request).client_id
    async with db.connection() as connection:
        [line] = await service.get_transactions(connection, [number], client_id=client_id)
    if isinstance(line, Refusal):
        raise line
    return encode(transaction_shape(line, catalog.currency(line.currency).id))


def _shapes(catalog: Catalog, lines: Sequence[Transaction]) -> list[TransactionShape]:
    return [transaction_shape(line, catalog.currency(line.currency).id) for line in lines]


ROUTER = Router(
    path="/",
    route_handlers=[list_wallets, get_wallet, list_transactions, get_transaction],
    guards=[requires("wallets:read")],
    security=SECURITY,
    tags=["Wallets"],
)
