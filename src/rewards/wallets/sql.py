"""Every statement that locks, moves or opens wallets, and the checks of the ledger."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from rewards.infra.db import Record, Tx
from rewards.wallets.model import (
    OTHER_SIDE,
    Link,
    Move,
    NewWallet,
    Posting,
    SystemAccount,
    TransferKind,
    Wallet,
    WalletStatus,
    WalletType,
    system_account_id,
)

# NO KEY: nothing here changes the key, and a foreign key check elsewhere need not wait.
LOCK_OF_CLIENTS = """
SELECT id, client_id, currency, type, status, balance_minor, version, credit_limit_minor,
    low_balance_minor, low_since
FROM wallets WHERE client_id = ANY($1::bigint[]) ORDER BY id FOR NO KEY UPDATE
"""

LOCK = """
SELECT id, client_id, currency, type, status, balance_minor, version, credit_limit_minor,
    low_balance_minor, low_since
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


OPEN_ACCOUNTS = """
INSERT INTO system_accounts (id, kind, currency)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[]) ON CONFLICT DO NOTHING
"""

OPEN = """
INSERT INTO wallets (
    id, client_id, currency, type, credit_limit_minor, low_balance_minor, low_since, created_at
)
SELECT coalesce(id, nextval(pg_get_serial_sequence('wallets', 'id'))), client_id, currency, type,
    credit_limit_minor, low_balance_minor,
    CASE WHEN low_balance_minor > 0 THEN $7::timestamptz END, $7
FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::bigint[])
    WITH ORDINALITY AS a (
        id, client_id, currency, type, credit_limit_minor, low_balance_minor, turn
    )
ORDER BY turn
RETURNING id, client_id, currency, type, status, balance_minor, version, credit_limit_minor,
    low_balance_minor, low_since
"""


async def open_accounts(tx: Tx, currencies: Iterable[str]) -> None:
    """The other sides of every movement in these currencies, where they are not there yet."""
    pairs = [
        (account, currency) for currency in sorted(set(currencies)) for account in SystemAccount
    ]
    await tx.execute(
        OPEN_ACCOUNTS,
        [system_account_id(account, currency) for account, currency in pairs],
        [account for account, _ in pairs],
        [currency for _, currency in pairs],
    )


async def open_wallets(tx: Tx, news: Sequence[NewWallet], at: datetime) -> list[Wallet]:
    rows = await tx.fetch(
        OPEN,
        [new.id for new in news],
        [new.client_id for new in news],
        [new.currency for new in news],
        [new.type for new in news],
        [new.credit_limit_minor for new in news],
        [new.low_balance_minor for new in news],
        at,
    )
    return [wallet_of(row) for row in rows]


FIND_BOOKED = """
SELECT t.wallet_id, t.reference, t.amount_minor, t.id, e.balance_minor, e.version
FROM unnest($2::bigint[], $3::text[]) AS a (wallet_id, reference)
JOIN ledger_transfers AS t
    ON t.wallet_id = a.wallet_id AND t.reference = a.reference AND t.kind = $1
JOIN ledger_entries AS e ON e.transfer_id = t.id AND e.account_id = t.wallet_id
"""


async def find_booked(tx: Tx, kind: TransferKind, named: Sequence[tuple[int, str]]) -> list[Record]:
    """Earlier transfers of this kind under these (wallet, reference)."""
    return await tx.fetch(
        FIND_BOOKED, kind, [wallet_id for wallet_id, _ in named], [text for _, text in named]
    )
