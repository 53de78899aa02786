"""The statements by which other books are compared with the ledger; nothing here writes."""

from collections.abc import Sequence
from datetime import datetime

from rewards.infra.db import Record, Tx
from rewards.wallets.model import Transaction, TransferKind
from rewards.wallets.sql import LINE, line_of

# Two indexes, one for each kind; one condition on both kinds would use neither.
BOOKED = """
SELECT t.order_id, 'ORDER' AS kind, count(*) AS transfers, min(t.id) AS transfer_id,
    min(t.wallet_id) AS wallet_id, sum(-e.amount_minor)::bigint AS amount_minor
FROM ledger_transfers AS t
JOIN ledger_entries AS e ON e.transfer_id = t.id AND e.account_id = t.wallet_id
WHERE t.kind = 'ORDER' AND t.order_id = ANY($1::bigint[]) GROUP BY t.order_id
UNION ALL
SELECT t.order_id, 'REFUND', count(*), NULL, NULL, sum(e.amount_minor)::bigint
FROM ledger_transfers AS t
JOIN ledger_entries AS e ON e.transfer_id = t.id AND e.account_id = t.wallet_id
WHERE t.kind = 'REFUND' AND t.order_id = ANY($1::bigint[]) GROUP BY t.order_id
"""


LINES = f"""{LINE}
FROM ledger_transfers AS t
JOIN ledger_entries AS e ON e.transfer_id = t.id AND e.account_id = t.wallet_id
WHERE t.id > $1 AND t.id <= $2 AND t.created_at >= $3 AND t.created_at < $4
    AND ($5::bigint IS NULL OR t.client_id = $5) AND ($6::text IS NULL OR t.kind = $6)
ORDER BY t.id
"""


async def lines(
    tx: Tx,
    after_id: int,
    upto_id: int,
    since: datetime,
    until: datetime,
    client_id: int | None,
    kind: TransferKind | None,
) -> list[Transaction]:
    rows = await tx.fetch(LINES, after_id, upto_id, since, until, client_id, kind)
    return [line_of(row) for row in rows]


# As our accounts see it: what a wallet gave, they got.
OF_ACCOUNTS = """
SELECT t.kind, w.currency, count(*) AS transfers,
    coalesce(sum(-t.amount_minor) FILTER (WHERE t.amount_minor < 0), 0)::bigint AS in_minor,
    coalesce(sum(t.amount_minor) FILTER (WHERE t.amount_minor > 0), 0)::bigint AS out_minor
FROM ledger_transfers AS t JOIN wallets AS w ON w.id = t.wallet_id
WHERE t.created_at >= $1 AND t.created_at < $2 AND ($3::text IS NULL OR w.currency = $3)
GROUP BY t.kind, w.currency ORDER BY w.currency, t.kind
"""


async def of_accounts(
    tx: Tx, since: datetime, until: datetime, currency: str | None
) -> list[Record]:
    return await tx.fetch(OF_ACCOUNTS, since, until, currency)


async def booked(tx: Tx, order_ids: Sequence[int]) -> list[Record]:
    return list(await tx.fetch(BOOKED, list(order_ids)))


# The time is looked up first: an index on it knows in which blocks it lies. Left to choose, the
# database would walk all ids from either end until it met the time.
BOUNDS = """
SELECT min(id) AS first_id, max(id) AS last_id FROM (
    SELECT id FROM ledger_transfers WHERE created_at >= $1 AND created_at < $2 OFFSET 0
) AS s
"""


async def bounds(tx: Tx, since: datetime, until: datetime) -> tuple[int, int] | None:
    row = await tx.fetchrow(BOUNDS, since, until)
    return None if row is None or row["first_id"] is None else (row["first_id"], row["last_id"])


SIDES = """
SELECT e.account_id, a.kind AS account, e.currency, e.amount_minor, e.balance_minor, e.version
FROM ledger_entries AS e LEFT JOIN system_accounts AS a ON a.id = e.account_id
WHERE e.transfer_id = $1 ORDER BY e.account_id DESC
"""


async def sides(tx: Tx, transfer_id: int) -> list[Record]:
    return list(await tx.fetch(SIDES, transfer_id))


# By the primary key: the caller goes from bound to bound.
FOR_ORDERS = """
SELECT id, order_id FROM ledger_transfers
WHERE id > $1 AND id <= $2 AND order_id IS NOT NULL AND created_at >= $3 AND created_at < $4
ORDER BY id LIMIT $5
"""


async def for_orders(
    tx: Tx, after_id: int, upto_id: int, since: datetime, until: datetime, limit: int
) -> list[tuple[int, int]]:
    rows = await tx.fetch(FOR_ORDERS, after_id, upto_id, since, until, limit)
    return [(row["id"], row["order_id"]) for row in rows]


# The chain is in order of version, not of time: of two processes one clock may be ahead. Backwards
# from the end, so that a recent moment costs little.
MOMENTS = """
SELECT w.id AS wallet_id, w.client_id, w.currency, coalesce(last.version, 0) AS version,
    coalesce(last.balance_minor, 0) AS balance_minor
FROM wallets AS w
LEFT JOIN LATERAL (
    SELECT e.version, e.balance_minor FROM ledger_entries AS e
    JOIN ledger_transfers AS t ON t.id = e.transfer_id
    WHERE e.account_id = w.id AND e.version IS NOT NULL AND t.created_at < $2
    ORDER BY e.version DESC LIMIT 1
) AS last ON true
WHERE w.id = ANY($1::bigint[])
ORDER BY w.id
"""


async def moments(tx: Tx, wallet_ids: Sequence[int], at: datetime) -> list[Record]:
    return list(await tx.fetch(MOMENTS, list(wallet_ids), at))


WALLET_IDS = """
SELECT id FROM wallets WHERE id > $1 AND created_at < $2 ORDER BY id LIMIT $3
"""


async def wallet_ids(tx: Tx, after_id: int, before: datetime, limit: int) -> list[int]:
    return [row["id"] for row in await tx.fetch(WALLET_IDS, after_id, before, limit)]


FLOW = """
SELECT coalesce(sum(amount_minor) FILTER (WHERE amount_minor > 0), 0)::bigint AS in_minor,
    coalesce(-sum(amount_minor) FILTER (WHERE amount_minor < 0), 0)::bigint AS out_minor
FROM ledger_entries WHERE account_id = $1 AND version > $2 AND version <= $3
"""


async def flow(tx: Tx, wallet_id: int, after_version: int, upto_version: int) -> tuple[int, int]:
    row = await tx.fetchrow(FLOW, wallet_id, after_version, upto_version)
    assert row is not None, "an aggregate has one row"
    return row["in_minor"], row["out_minor"]
