"""The statements that open wallets, and our own accounts beside them."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from rewards.infra.db import Tx
from rewards.wallets.model import NewWallet, SystemAccount, Wallet, system_account_id
from rewards.wallets.sql import COLUMNS, wallet_of

OPEN_ACCOUNTS = """
INSERT INTO system_accounts (id, kind, currency)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[]) ON CONFLICT DO NOTHING
"""

OPEN = f"""
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
RETURNING {COLUMNS}
"""

# Of two at once the later one waits here for the first, and adds nothing.
OPEN_ONCE = f"""
INSERT INTO wallets (
    client_id, currency, type, credit_limit_minor, low_balance_minor, low_since, created_at,
    reference
)
SELECT $1, $2, $3, $4, $5::bigint, CASE WHEN $5::bigint > 0 THEN $6::timestamptz END, $6, $7
ON CONFLICT (client_id, reference) WHERE reference IS NOT NULL DO NOTHING
RETURNING {COLUMNS}
"""
FIND_OPENED = f"SELECT {COLUMNS} FROM wallets WHERE client_id = $1 AND reference = $2"


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


async def open_once(tx: Tx, new: NewWallet, reference: str, at: datetime) -> Wallet | None:
    """None where the client has a wallet of this reference."""
    row = await tx.fetchrow(
        OPEN_ONCE,
        *(new.client_id, new.currency, new.type, new.credit_limit_minor, new.low_balance_minor),
        *(at, reference),
    )
    return None if row is None else wallet_of(row)


async def find_opened(tx: Tx, client_id: int, reference: str) -> Wallet | None:
    row = await tx.fetchrow(FIND_OPENED, client_id, reference)
    return None if row is None else wallet_of(row)
