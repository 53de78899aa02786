"""Every statement that locks, moves or opens wallets, and the checks of the ledger."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from rewards.core.page import PageAsk
from rewards.infra.db import Record, Tx, rows_affected
from rewards.wallets.model import (
    OTHER_SIDE,
    Booked,
    Link,
    Move,
    Posted,
    Posting,
    SystemAccount,
    Transaction,
    TransactionFilter,
    TransferKind,
    Wallet,
    WalletFilter,
    WalletStatus,
    WalletType,
    system_account_id,
)

COLUMNS = """id, client_id, currency, type, status, balance_minor, version, credit_limit_minor,
    low_balance_minor, low_since"""

# NO KEY: nothing here changes the key, and a foreign key check elsewhere need not wait.
LOCK_OF_CLIENTS = f"""
SELECT {COLUMNS}
FROM wallets WHERE client_id = ANY($1::bigint[]) ORDER BY id FOR NO KEY UPDATE
"""

LOCK = f"""
SELECT {COLUMNS}
FROM wallets WHERE id = ANY($1::bigint[]) ORDER BY id FOR NO KEY UPDATE
"""


def wallet_of(row: Record) -> Wallet:
    return Wallet(
        row[0],
        row[1],
        row[2],
        WalletType(row[3]),
        WalletStatus(row[4]),
        row[5],
        row[6],
        row[7],
        row[8],
        row[9],
    )


async def lock_of_clients(tx: Tx, client_ids: Sequence[int]) -> list[Wallet]:
    return [wallet_of(row) for row in await tx.fetch(LOCK_OF_CLIENTS, client_ids)]


async def lock(tx: Tx, wallet_ids: Sequence[int]) -> list[Wallet]:
    return [wallet_of(row) for row in await tx.fetch(LOCK, wallet_ids)]


# One statement books the batch. The rows were locked by this very transaction; the version is
# compared all the same, so that stale numbers can never be written.
POST = """
WITH ask AS MATERIALIZED (
    SELECT nextval('ledger_transfers_id_seq') AS id, a.*
    FROM unnest(
        $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::bigint[],
        $8::bigint[], $9::bigint[], $10::bigint[], $11::text[], $12::text[], $13::text[],
        $14::numeric[], $15::bigint[]
    ) WITH ORDINALITY AS a (
        kind, client_id, wallet_id, system_id, currency, amount_minor,
        balance_minor, version, order_id, reference, note, source_currency,
        forex_rate, conversion_fee_minor, turn
    )
),
moved AS (
    UPDATE wallets AS w
    SET balance_minor = m.balance_minor, version = m.version, low_since = m.low_since
    FROM unnest($16::bigint[], $17::bigint[], $18::bigint[], $19::bigint[], $20::timestamptz[])
        AS m (wallet_id, version_before, balance_minor, version, low_since)
    WHERE w.id = m.wallet_id AND w.version = m.version_before
    RETURNING w.id
),
booked AS (
    INSERT INTO ledger_transfers (
        id, kind, client_id, wallet_id, amount_minor, order_id, reference, note,
        source_currency, forex_rate, conversion_fee_minor, created_at
    )
    SELECT id, kind, client_id, wallet_id, amount_minor, order_id, reference, note,
        source_currency, forex_rate, conversion_fee_minor, $1 FROM ask
),
entered AS (
    INSERT INTO ledger_entries (transfer_id, account_id, currency, amount_minor, balance_minor, version)
    SELECT id, wallet_id, currency, amount_minor, balance_minor, version FROM ask
    UNION ALL
    SELECT id, system_id, currency, -amount_minor, NULL, NULL FROM ask
)
SELECT (SELECT array_agg(id ORDER BY turn) FROM ask), (SELECT count(*) FROM moved)
"""  # noqa: E501


async def post(
    tx: Tx,
    wallets: Mapping[int, Wallet],
    postings: Sequence[Posting],
    links: Sequence[Link],
    moves: Sequence[Move],
    at: datetime,
) -> list[int]:
    """Write what `model.chain` made; the transfer ids in order of the postings."""
    owners = [wallets[posting.wallet_id] for posting in postings]
    row = await tx.fetchrow(
        POST,
        at,
        [posting.kind for posting in postings],
        [owner.client_id for owner in owners],
        [owner.id for owner in owners],
        [
            system_account_id(OTHER_SIDE[posting.kind], owner.currency)
            for posting, owner in zip(postings, owners, strict=True)
        ],
        [owner.currency for owner in owners],
        [posting.amount_minor for posting in postings],
        [link.balance_minor for link in links],
        [link.version for link in links],
        [posting.order_id for posting in postings],
        [posting.reference for posting in postings],
        [posting.note for posting in postings],
        [posting.source_currency for posting in postings],
        [posting.forex_rate for posting in postings],
        [posting.conversion_fee_minor for posting in postings],
        [move.wallet_id for move in moves],
        [move.version_before for move in moves],
        [move.balance_minor for move in moves],
        [move.version for move in moves],
        [move.low_since for move in moves],
    )
    assert row is not None
    transfer_ids, moved = row
    assert moved == len(moves), "a wallet moved since it was locked: not by this transaction?"
    return list(transfer_ids)


FIND_BOOKED = """
SELECT t.wallet_id, t.reference, t.amount_minor, t.id, e.balance_minor, e.version
FROM unnest($2::bigint[], $3::text[]) AS a (wallet_id, reference)
JOIN ledger_transfers AS t
    ON t.wallet_id = a.wallet_id AND t.reference = a.reference AND t.kind = $1
JOIN ledger_entries AS e ON e.transfer_id = t.id AND e.account_id = t.wallet_id
"""


async def find_booked(
    tx: Tx, kind: TransferKind, names: Sequence[tuple[int, str]]
) -> dict[tuple[int, str], Booked]:
    """Earlier transfers of this kind under these (wallet, reference)."""
    rows = await tx.fetch(
        FIND_BOOKED, kind, [wallet_id for wallet_id, _ in names], [text for _, text in names]
    )
    return {
        (row[0], row[1]): Booked(row[2], Posted(row[3], row[4], row[5], repeated=True))
        for row in rows
    }


SET_STATUS = """
UPDATE wallets AS w SET status = a.target
FROM unnest($1::bigint[], $2::text[], $3::text[]) AS a (wallet_id, source, target)
WHERE w.id = a.wallet_id AND w.status = a.source
"""


async def set_status(tx: Tx, moves: Sequence[tuple[Wallet, WalletStatus]]) -> None:
    """From the status each wallet was locked with to the one asked."""
    status = await tx.execute(
        SET_STATUS,
        [wallet.id for wallet, _ in moves],
        [wallet.status for wallet, _ in moves],
        [target for _, target in moves],
    )
    assert rows_affected(status) == len(moves), "a wallet changed since it was locked"


SET_LIMITS = """
UPDATE wallets AS w
SET credit_limit_minor = a.credit_limit_minor, low_balance_minor = a.low_balance_minor,
    low_since = a.low_since
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::timestamptz[])
    AS a (wallet_id, credit_limit_minor, low_balance_minor, low_since)
WHERE w.id = a.wallet_id
"""


async def set_limits(tx: Tx, wallets: Sequence[Wallet]) -> None:
    """Write the limits these wallets carry; they were locked by this transaction."""
    await tx.execute(
        SET_LIMITS,
        [wallet.id for wallet in wallets],
        [wallet.credit_limit_minor for wallet in wallets],
        [wallet.low_balance_minor for wallet in wallets],
        [wallet.low_since for wallet in wallets],
    )


# Whose it is not finds it no later than one that is not there.
READ = f"""
SELECT {COLUMNS} FROM wallets
WHERE id = ANY($1::bigint[]) AND ($2::bigint IS NULL OR client_id = $2) ORDER BY id
"""
READ_OF_CLIENTS = f"SELECT {COLUMNS} FROM wallets WHERE client_id = ANY($1::bigint[]) ORDER BY id"


async def read(tx: Tx, wallet_ids: Sequence[int], client_id: int | None) -> list[Wallet]:
    """Of all clients, or of one alone."""
    return [wallet_of(row) for row in await tx.fetch(READ, wallet_ids, client_id)]


async def read_of_clients(tx: Tx, client_ids: Sequence[int]) -> list[Wallet]:
    return [wallet_of(row) for row in await tx.fetch(READ_OF_CLIENTS, client_ids)]


# Only fixed text is joined here; `$` marks where a value's number goes.
WALLET_TESTS = {
    "client_id": "client_id = $",
    "currency": "currency = $",
    "type": "type = $",
    "status": "status = $",
    "active": "(status = 'ACTIVE') = $",
    "below_minor": "balance_minor < $",
    "low": "(low_since IS NOT NULL) = $",
    "before_id": "id < $",
}
TRANSACTION_TESTS = {
    "client_id": "t.client_id = $",
    "wallet_id": "t.wallet_id = $",
    "since": "t.created_at >= $",
    "until": "t.created_at < $",
    "before_id": "t.id < $",
    "first_id": "t.id >= $",
    "last_id": "t.id <= $",
    "currency": "t.wallet_id IN (SELECT w.id FROM wallets AS w WHERE w.currency = $)",
    # Said twice, because each kind has an index of its own on the order.
    "order_id": "(t.order_id = $ AND t.kind = 'ORDER' OR t.order_id = $ AND t.kind = 'REFUND')",
}
# Written out, so that the small index on all that is no order can serve.
KIND_TESTS = {kind: f"t.kind = '{kind}'" for kind in TransferKind}
ACCOUNT_TESTS = {
    account: " OR ".join(KIND_TESTS[kind] for kind in TransferKind if OTHER_SIDE[kind] is account)
    for account in SystemAccount
}
CREDIT_TESTS = {True: "t.kind <> 'ORDER' AND t.amount_minor > 0", False: "t.amount_minor <= 0"}


def _where(tests: Mapping[str, str], wanted: object) -> tuple[list[str], list[object]]:
    """The tests for whatever the filter names, and their values."""
    parts: list[str] = []
    values: list[object] = []
    for name, test in tests.items():
        value = getattr(wanted, name)
        if value is not None:
            values.append(value)
            parts.append(test.replace("$", f"${len(values)}"))
    return parts or ["true"], values


def _cut(values: Sequence[object]) -> str:
    """The end of a list statement: size and offset follow the other values."""
    return f"LIMIT ${len(values) + 1}::bigint OFFSET ${len(values) + 2}::bigint"


async def list_wallets(tx: Tx, wanted: WalletFilter, ask: PageAsk) -> tuple[list[Wallet], int]:
    parts, values = _where(WALLET_TESTS, wanted)
    where = " AND ".join(parts)
    wallets = await find_wallets(tx, wanted, ask.size, ask.offset)
    total = await tx.fetchval(f"SELECT count(*) FROM wallets WHERE {where}", *values)
    return wallets, total


async def find_wallets(tx: Tx, wanted: WalletFilter, limit: int, offset: int = 0) -> list[Wallet]:
    """Newest first."""
    parts, values = _where(WALLET_TESTS, wanted)
    where = " AND ".join(parts)
    statement = f"SELECT {COLUMNS} FROM wallets WHERE {where} ORDER BY id DESC {_cut(values)}"
    return [wallet_of(row) for row in await tx.fetch(statement, *values, limit, offset)]


LINE = """
SELECT t.id, t.kind, t.client_id, t.wallet_id, e.currency, t.amount_minor, e.balance_minor,
    t.order_id, t.reference, t.note, t.source_currency, t.forex_rate, t.conversion_fee_minor,
    t.created_at
"""
# The page is cut before the entries are looked up.
TRANSACTIONS = f"""{LINE}
FROM (
    SELECT * FROM ledger_transfers AS t WHERE {{where}} ORDER BY id DESC {{cut}}
) AS t
JOIN ledger_entries AS e ON e.transfer_id = t.id AND e.account_id = t.wallet_id
ORDER BY t.id DESC
"""
# Another client's line is left before its entry is looked up: as soon as one that is not there.
READ_TRANSACTIONS = f"""{LINE}
FROM ledger_transfers AS t
JOIN ledger_entries AS e ON e.transfer_id = t.id AND e.account_id = t.wallet_id
WHERE t.id = ANY($1::bigint[]) AND ($2::bigint IS NULL OR t.client_id = $2)
"""
COUNT_TRANSACTIONS = "SELECT count(*) FROM ledger_transfers AS t WHERE {where}"
# A wallet's version counts its entries (invariant I3), so that a whole statement need not be.
SUM_VERSIONS = """
SELECT coalesce(sum(version), 0)::bigint FROM wallets
WHERE ($1::bigint IS NULL OR client_id = $1) AND ($2::bigint IS NULL OR id = $2)
"""


def line_of(row: Record) -> Transaction:
    return Transaction(row[0], TransferKind(row[1]), *row[2:])


def _where_lines(wanted: TransactionFilter) -> tuple[str, list[object]]:
    parts, values = _where(TRANSACTION_TESTS, wanted)
    if wanted.kind is not None:
        parts.append(KIND_TESTS[wanted.kind])
    if wanted.account is not None:
        parts.append(f"({ACCOUNT_TESTS[wanted.account]})")
    if wanted.credit is not None:
        parts.append(CREDIT_TESTS[wanted.credit])
    return " AND ".join(parts), values


async def transactions(
    tx: Tx, wanted: TransactionFilter, limit: int, offset: int
) -> list[Transaction]:
    where, values = _where_lines(wanted)
    statement = TRANSACTIONS.format(where=where, cut=_cut(values))
    return [line_of(row) for row in await tx.fetch(statement, *values, limit, offset)]


async def count_transactions(tx: Tx, wanted: TransactionFilter) -> int:
    """How many lines fit, on all pages."""
    if wanted == TransactionFilter(wanted.client_id, wanted.wallet_id):
        return int(await tx.fetchval(SUM_VERSIONS, wanted.client_id, wanted.wallet_id))
    where, values = _where_lines(wanted)
    return int(await tx.fetchval(COUNT_TRANSACTIONS.format(where=where), *values))


async def read_transactions(
    tx: Tx, transfer_ids: Sequence[int], client_id: int | None
) -> list[Transaction]:
    rows = await tx.fetch(READ_TRANSACTIONS, transfer_ids, client_id)
    return [line_of(row) for row in rows]
