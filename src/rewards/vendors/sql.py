"""Every statement on vendor accounts and what was read from them. Rows in, rows out."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from rewards.core.page import PageAsk
from rewards.infra.db import Record, Tx, rows_affected
from rewards.vendors.account import Account, AccountStatus, SealedAccount
from rewards.vendors.kept import KeptBalance, KeptOffer, Reading, What
from rewards.vendors.model import Balance, Offer

ACCOUNT = "v.id, v.name, v.adapter, v.config, v.status, v.created_at, v.changed_at"
# The id comes first: what is sealed is bound to it.
NEXT_ID = "SELECT nextval(pg_get_serial_sequence('vendors', 'id'))"
INSERT_ACCOUNT = f"""
INSERT INTO vendors AS v (id, name, adapter, config, sealed, created_at, changed_at)
OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, $4, $5, $6, $6)
ON CONFLICT ON CONSTRAINT vendors_name_key DO NOTHING
RETURNING {ACCOUNT}
"""
LOCK_ACCOUNT = f"SELECT {ACCOUNT}, v.sealed FROM vendors AS v WHERE v.id = $1 FOR UPDATE"
UPDATE_ACCOUNT = f"""
UPDATE vendors AS v SET name = $2, status = $3, config = $4, sealed = $5, changed_at = $6
WHERE v.id = $1 RETURNING {ACCOUNT}
"""
READ_ACCOUNTS = f"SELECT {ACCOUNT}, v.sealed FROM vendors AS v WHERE v.id = ANY($1::bigint[])"
FIND_BY_NAME = f"SELECT {ACCOUNT}, v.sealed FROM vendors AS v WHERE v.name = $1"
LIST_ACCOUNTS = f"""
SELECT {ACCOUNT}, v.sealed FROM vendors AS v ORDER BY v.id LIMIT $1 OFFSET $2
"""
COUNT_ACCOUNTS = "SELECT count(*) FROM vendors"
ACTIVE_IDS = "SELECT id FROM vendors WHERE status = 'ACTIVE' ORDER BY id"

# Two readings may cross: the later one stands.
KEEP_BALANCES = """
INSERT INTO vendor_balances AS kept (vendor_id, currency, balance_minor, read_at)
SELECT $1, currency, balance_minor, $4
FROM unnest($2::text[], $3::bigint[]) AS a (currency, balance_minor) ORDER BY currency
ON CONFLICT ON CONSTRAINT vendor_balances_pk DO UPDATE
SET balance_minor = excluded.balance_minor, read_at = excluded.read_at
WHERE kept.read_at <= excluded.read_at
"""
# A currency the vendor speaks of no more.
DROP_BALANCES = "DELETE FROM vendor_balances WHERE vendor_id = $1 AND read_at < $2"
READ_BALANCES = """
SELECT vendor_id, currency, balance_minor, read_at FROM vendor_balances
WHERE vendor_id = ANY($1::bigint[]) ORDER BY vendor_id, currency
"""
# Lists of values travel as one text an offer: an array of arrays must be rectangular.
KEEP_OFFERS = """
INSERT INTO vendor_offers AS kept (
    vendor_id, sku, name, currency, min_minor, max_minor, fixed_minor, stock, active, read_at
)
SELECT $1, sku, name, currency, low, high, string_to_array(fixed, ',')::bigint[], stock, active,
    $10
FROM unnest(
    $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::text[], $8::int[],
    $9::boolean[]
) AS a (sku, name, currency, low, high, fixed, stock, active)
ORDER BY sku
ON CONFLICT ON CONSTRAINT vendor_offers_pk DO UPDATE
SET name = excluded.name, currency = excluded.currency, min_minor = excluded.min_minor,
    max_minor = excluded.max_minor, fixed_minor = excluded.fixed_minor, stock = excluded.stock,
    active = excluded.active, read_at = excluded.read_at
WHERE kept.read_at <= excluded.read_at
"""
DROP_OFFERS = "DELETE FROM vendor_offers WHERE vendor_id = $1 AND read_at < $2"
LIST_OFFERS = """
SELECT sku, name, currency, min_minor, max_minor, fixed_minor, stock, active, read_at
FROM vendor_offers
WHERE vendor_id = $1
    AND ($2::text IS NULL OR name ILIKE '%' || $2 || '%' OR sku ILIKE '%' || $2 || '%')
ORDER BY sku LIMIT $3 OFFSET $4
"""
COUNT_OFFERS = """
SELECT count(*) FROM vendor_offers
WHERE vendor_id = $1
    AND ($2::text IS NULL OR name ILIKE '%' || $2 || '%' OR sku ILIKE '%' || $2 || '%')
"""
NOTE_READ = """
INSERT INTO vendor_reads AS kept (vendor_id, what, tried_at, read_at, problem)
VALUES ($1, $2, $3, CASE WHEN $4::text IS NULL THEN $3::timestamptz END, $4)
ON CONFLICT ON CONSTRAINT vendor_reads_pk DO UPDATE
SET tried_at = excluded.tried_at, read_at = coalesce(excluded.read_at, kept.read_at),
    problem = excluded.problem
WHERE kept.tried_at <= excluded.tried_at
"""
READ_READS = """
SELECT vendor_id, what, tried_at, read_at, problem FROM vendor_reads
WHERE vendor_id = ANY($1::bigint[]) ORDER BY vendor_id, what
"""


def _account(row: Record) -> Account:
    return Account(
        id=row["id"],
        name=row["name"],
        adapter=row["adapter"],
        config=row["config"],
        status=AccountStatus(row["status"]),
        created_at=row["created_at"],
        changed_at=row["changed_at"],
    )


def _sealed(row: Record) -> SealedAccount:
    return SealedAccount(_account(row), row["sealed"])


async def next_id(tx: Tx) -> int:
    return int(await tx.fetchval(NEXT_ID))


async def insert_account(
    tx: Tx,
    vendor_id: int,
    *,
    name: str,
    adapter: str,
    config: Mapping[str, str],
    sealed: bytes,
    at: datetime,
) -> Account | None:
    """None when the name is taken."""
    row = await tx.fetchrow(INSERT_ACCOUNT, vendor_id, name, adapter, dict(config), sealed, at)
    return _account(row) if row else None


async def lock_account(tx: Tx, vendor_id: int) -> SealedAccount | None:
    row = await tx.fetchrow(LOCK_ACCOUNT, vendor_id)
    return _sealed(row) if row else None


async def update_account(tx: Tx, after: Account, sealed: bytes) -> Account:
    row = await tx.fetchrow(
        UPDATE_ACCOUNT,
        after.id,
        after.name,
        after.status,
        dict(after.config),
        sealed,
        after.changed_at,
    )
    assert row is not None, "the row is locked"
    return _account(row)


async def read_accounts(tx: Tx, vendor_ids: Sequence[int]) -> dict[int, SealedAccount]:
    rows = await tx.fetch(READ_ACCOUNTS, list(vendor_ids))
    return {row["id"]: _sealed(row) for row in rows}


async def find_by_name(tx: Tx, name: str) -> SealedAccount | None:
    row = await tx.fetchrow(FIND_BY_NAME, name)
    return _sealed(row) if row else None


async def list_accounts(tx: Tx, ask: PageAsk) -> tuple[list[SealedAccount], int]:
    rows = await tx.fetch(LIST_ACCOUNTS, ask.size, ask.offset)
    return [_sealed(row) for row in rows], int(await tx.fetchval(COUNT_ACCOUNTS))


async def active_ids(tx: Tx) -> list[int]:
    return [row["id"] for row in await tx.fetch(ACTIVE_IDS)]


async def keep_balances(tx: Tx, vendor_id: int, balances: Sequence[Balance], at: datetime) -> None:
    """These and no others, unless a later reading was kept already."""
    amounts = {each.currency: each.amount_minor for each in balances}
    await tx.execute(KEEP_BALANCES, vendor_id, list(amounts), list(amounts.values()), at)
    await tx.execute(DROP_BALANCES, vendor_id, at)


async def read_balances(tx: Tx, vendor_ids: Sequence[int]) -> dict[int, list[KeptBalance]]:
    found: dict[int, list[KeptBalance]] = {vendor_id: [] for vendor_id in vendor_ids}
    for row in await tx.fetch(READ_BALANCES, list(vendor_ids)):
        balance = Balance(row["currency"], row["balance_minor"])
        found[row["vendor_id"]].append(KeptBalance(balance, row["read_at"]))
    return found


async def keep_offers(tx: Tx, vendor_id: int, offers: Sequence[Offer], at: datetime) -> None:
    distinct = list({each.sku: each for each in offers}.values())
    await tx.execute(
        KEEP_OFFERS,
        vendor_id,
        [each.sku for each in distinct],
        [each.name for each in distinct],
        [each.currency for each in distinct],
        [each.min_minor for each in distinct],
        [each.max_minor for each in distinct],
        [",".join(map(str, each.fixed_minor)) for each in distinct],
        [each.stock for each in distinct],
        [each.active for each in distinct],
        at,
    )


async def drop_offers(tx: Tx, vendor_id: int, before: datetime) -> int:
    """Forget what the reading that began then did not find; how many."""
    return rows_affected(await tx.execute(DROP_OFFERS, vendor_id, before))


async def list_offers(
    tx: Tx, vendor_id: int, ask: PageAsk, search: str | None
) -> tuple[list[KeptOffer], int]:
    # What a person types is text to look for, not a pattern.
    wanted = search and search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    rows = await tx.fetch(LIST_OFFERS, vendor_id, wanted, ask.size, ask.offset)
    total = int(await tx.fetchval(COUNT_OFFERS, vendor_id, wanted))
    return [_offer(row) for row in rows], total


def _offer(row: Record) -> KeptOffer:
    told = dict(row)
    read_at = told.pop("read_at")
    return KeptOffer(Offer(**{**told, "fixed_minor": tuple(told["fixed_minor"])}), read_at)


async def note_reading(
    tx: Tx, vendor_id: int, what: What, problem: str | None, at: datetime
) -> None:
    await tx.execute(NOTE_READ, vendor_id, what, at, problem)


async def read_readings(tx: Tx, vendor_ids: Sequence[int]) -> dict[int, list[Reading]]:
    found: dict[int, list[Reading]] = {vendor_id: [] for vendor_id in vendor_ids}
    for row in await tx.fetch(READ_READS, list(vendor_ids)):
        told = Reading(What(row["what"]), row["tried_at"], row["read_at"], row["problem"])
        found[row["vendor_id"]].append(told)
    return found
