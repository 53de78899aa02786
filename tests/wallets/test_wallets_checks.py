"""Every check of the ledger finds the breach it is for, and nothing in a sound ledger."""

import pytest

from rewards.wallets import service
from rewards.wallets.model import NewWallet, Posting, TransferKind
from rewards.wallets.sql_checks import CHECKS
from tests.wallets.ledgers import AT

# Each spoils a ledger of two wallets (1: 1,000 then an order of 400; 2: 1,000) in one way.
SPOILED = {
    "i1_entries_of_a_currency_sum_to_zero": (
        "UPDATE ledger_entries SET amount_minor = amount_minor + 1 WHERE account_id < 0"
        " AND transfer_id = 1"
    ),
    "i2_balance_is_the_sum_of_its_entries": "UPDATE wallets SET balance_minor = 601 WHERE id = 1",
    "i3_version_counts_entries": "UPDATE wallets SET version = 3 WHERE id = 1",
    "i3_chain_is_unbroken": (
        "UPDATE ledger_entries SET balance_minor = 999 WHERE account_id = 1 AND version = 1"
    ),
    "i3_wallet_ends_where_its_chain_does": (
        "UPDATE ledger_entries SET balance_minor = 599 WHERE account_id = 1 AND version = 2"
    ),
    "i4_no_balance_below_its_floor": (
        "ALTER TABLE wallets DROP CONSTRAINT wallets_balance_check;"
        "UPDATE wallets SET balance_minor = -1 WHERE id = 2"
    ),
    "i4_prepaid_was_never_below_zero": (
        "UPDATE ledger_entries SET balance_minor = -1 WHERE account_id = 1 AND version = 1"
    ),
    "i5_transfer_has_two_entries_that_sum_to_zero": (
        "DELETE FROM ledger_entries WHERE account_id < 0 AND transfer_id = 1"
    ),
    "i5_entry_has_its_transfer": "DELETE FROM ledger_transfers WHERE id = 1",
    "i5_transfer_meets_its_other_side": "UPDATE system_accounts SET kind = 'LOST' WHERE true",
    "i5_entry_has_its_account": "UPDATE ledger_entries SET currency = 'EUR' WHERE account_id = 1",
    "wallet_of_a_transfer_is_its_clients": "UPDATE ledger_transfers SET client_id = 9 WHERE id = 1",
    "wallet_low_since_fits_its_balance": "UPDATE wallets SET low_since = now() WHERE id = 1",
}


@pytest.fixture
async def sound(db, given):
    one, _ = await given.wallets([NewWallet(1, "USD"), NewWallet(2, "JPY")], minor=1_000)
    async with db.transaction() as tx:
        order = Posting(one.id, TransferKind.ORDER, -400, 1)
        await service.post(tx, [one], [order], AT)


async def test_a_sound_ledger_has_no_breach(sound, given):
    assert await given.breaches() == {}


def test_every_check_has_its_breach():
    assert SPOILED.keys() == CHECKS.keys()


async def test_each_check_finds_its_breach(sound, db):
    async with db.connection() as connection:
        await connection.execute(
            "ALTER TABLE ledger_entries DISABLE TRIGGER USER;"
            "ALTER TABLE ledger_transfers DISABLE TRIGGER USER;"
            "ALTER TABLE system_accounts DROP CONSTRAINT system_accounts_kind_check,"
            " DROP CONSTRAINT system_accounts_key"
        )
        for name, spoil in SPOILED.items():
            spoiled = connection.transaction()
            await spoiled.start()
            await connection.execute(spoil)
            rows = await connection.fetch(CHECKS[name])
            await spoiled.rollback()
            assert rows, f"{name} saw nothing"
            assert next(iter(rows[0].keys())) == "subject"
