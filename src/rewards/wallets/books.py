"""The ledger as others compare theirs with it; nothing here writes."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from rewards.infra.db import Tx
from rewards.wallets import service, sql_books
from rewards.wallets.model import (
    OTHER_SIDE,
    SystemAccount,
    Transaction,
    TransactionFilter,
    TransferKind,
)
from rewards.wallets.model_books import AccountFlow, Flow, OrderBooking, Side, WalletMoment

# Entries that one statement adds up.
ENTRIES_MAX = 50_000


async def booked(tx: Tx, order_ids: Sequence[int]) -> dict[int, OrderBooking]:
    """What the ledger has of each of these orders; one it has nothing of has no debit."""
    found = {order_id: OrderBooking() for order_id in order_ids}
    for row in await sql_books.booked(tx, order_ids):
        order_id, amount_minor = row["order_id"], row["amount_minor"]
        if row["kind"] == "REFUND":
            found[order_id] = replace(found[order_id], refunded_minor=amount_minor)
        else:
            found[order_id] = replace(
                found[order_id],
                debits=row["transfers"],
                transfer_id=row["transfer_id"],
                wallet_id=row["wallet_id"],
                debited_minor=amount_minor,
            )
    return found


async def bounds(tx: Tx, since: datetime, until: datetime) -> tuple[int, int] | None:
    """The first and last id of what was booked in that time; None for nothing."""
    return await sql_books.bounds(tx, since, until)


async def for_orders(
    tx: Tx, after_id: int, upto_id: int, since: datetime, until: datetime, limit: int
) -> list[tuple[int, int]]:
    """(transfer, order) of what was booked for orders in that time, in order of transfer."""
    return await sql_books.for_orders(tx, after_id, upto_id, since, until, limit)


async def wallet_ids(tx: Tx, after_id: int, before: datetime, limit: int) -> list[int]:
    """Wallets that were open before then, a page at a time by id."""
    return await sql_books.wallet_ids(tx, after_id, before, limit)


async def moments(tx: Tx, ids: Sequence[int], at: datetime) -> list[WalletMoment]:
    """Where the chain of each wallet stood then, by the last entry booked before it."""
    return [WalletMoment(**dict(row)) for row in await sql_books.moments(tx, ids, at)]


async def flow(tx: Tx, wallet_id: int, after_version: int, upto_version: int) -> Flow:
    """What the entries between two places of a wallet's chain brought in and took out."""
    in_minor = out_minor = 0
    for start in range(after_version, upto_version, ENTRIES_MAX):
        came, went = await sql_books.flow(
            tx, wallet_id, start, min(start + ENTRIES_MAX, upto_version)
        )
        in_minor, out_minor = in_minor + came, out_minor + went
    return Flow(in_minor, out_minor)


async def of_accounts(
    tx: Tx, since: datetime, until: datetime, currency: str | None = None
) -> list[AccountFlow]:
    """What went through each of our accounts from then until then, by account and currency."""
    sums: dict[tuple[str, str], AccountFlow] = {}
    for row in await sql_books.of_accounts(tx, since, until, currency):
        account = OTHER_SIDE[TransferKind(row["kind"])]
        name = (account, row["currency"])
        known = sums.get(name, AccountFlow(account, row["currency"], 0, 0, 0))
        sums[name] = replace(
            known,
            transfers=known.transfers + row["transfers"],
            in_minor=known.in_minor + row["in_minor"],
            out_minor=known.out_minor + row["out_minor"],
        )
    return [sums[name] for name in sorted(sums)]


async def of_days(
    tx: Tx, wanted: TransactionFilter, since: datetime, until: datetime, limit: int
) -> list[Transaction]:
    """At most `limit` lines of all wallets in that time that fit, newest first."""
    found = await bounds(tx, since, until)
    if found is None:
        return []
    within = replace(wanted, since=since, until=until, first_id=found[0], last_id=found[1])
    return await service.transactions_after(tx, within, limit)


async def sides(tx: Tx, transfer_id: int) -> list[Side]:
    """Both entries of a transfer, the wallet's first; none of one that is not there."""
    return [
        Side(
            None if row["account"] is None else SystemAccount(row["account"]),
            row["account_id"] if row["account"] is None else None,
            row["currency"],
            row["amount_minor"],
            row["balance_minor"],
            row["version"],
        )
        for row in await sql_books.sides(tx, transfer_id)
    ]


async def lines(
    tx: Tx,
    after_id: int,
    upto_id: int,
    since: datetime,
    until: datetime,
    *,
    client_id: int | None = None,
    kind: TransferKind | None = None,
) -> list[Transaction]:
    """What was booked in that time, with an id above the first and up to the last, in order."""
    return await sql_books.lines(tx, after_id, upto_id, since, until, client_id, kind)
