"""What the tests of the ledger start from."""

from collections.abc import Sequence
from datetime import UTC, datetime

from rewards.infra.db import Database
from rewards.wallets import service
from rewards.wallets.model import NewWallet, Posting, TransferKind, Wallet
from rewards.wallets.sql_checks import CHECKS

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
CURRENCIES = (("USD", 2), ("JPY", 0), ("KWD", 3), ("EUR", 2))


class Given:
    """What a test starts from."""

    def __init__(self, db: Database) -> None:
        self.db = db

    async def wallets(self, news: Sequence[NewWallet], *, minor: int = 0) -> list[Wallet]:
        """Wallets of these shapes, each holding `minor`; clients are made as needed."""
        async with self.db.transaction() as tx:
            await tx.executemany(
                "INSERT INTO clients (id, name, created_at) VALUES ($1, 'client', $2)"
                " ON CONFLICT DO NOTHING",
                [(new.client_id, AT) for new in news],
            )
            wallets = await service.open_wallets(tx, news, AT)
            if minor:
                postings = [Posting(wallet.id, TransferKind.TOPUP, minor) for wallet in wallets]
                await service.post(tx, wallets, postings, AT)
            return await service.lock_wallets(tx, [wallet.id for wallet in wallets])

    async def wallet(self, *, minor: int = 0, client_id: int = 1, currency: str = "USD") -> Wallet:
        [wallet] = await self.wallets([NewWallet(client_id, currency)], minor=minor)
        return wallet

    async def balance(self, wallet: Wallet) -> int:
        async with self.db.connection() as connection:
            return await connection.fetchval(
                "SELECT balance_minor FROM wallets WHERE id = $1", wallet.id
            )

    async def ledger(self) -> tuple[object, ...]:
        """Everything the ledger says, to see that a refusal changed nothing."""
        async with self.db.connection() as connection:
            tables = ("wallets", "ledger_transfers", "ledger_entries", "events", "audit_entries")
            return tuple(
                [await connection.fetch(f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables]
            )

    async def breaches(self) -> dict[str, list[object]]:
        """What `rewards doctor` would say of the ledger: nothing, if all is well."""
        async with self.db.connection() as connection:
            found = {name: await connection.fetch(check) for name, check in CHECKS.items()}
        return {name: rows for name, rows in found.items() if rows}
