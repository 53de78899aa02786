"""Booking: one statement, double entry, a chain without gaps, a floor nobody falls through."""

from dataclasses import replace

import asyncpg
import pytest

from rewards.wallets import service
from rewards.wallets.model import NewWallet, Posting, TransferKind
from tests.counting import statements
from tests.wallets.ledgers import AT

ORDER, TOPUP, REFUND = TransferKind.ORDER, TransferKind.TOPUP, TransferKind.REFUND


async def test_a_posting_is_a_transfer_of_two_entries(db, given):
    wallet = await given.wallet(minor=10_000)
    async with db.transaction() as tx:
        locked = await service.lock(tx, [1])
        [posted] = await service.post(tx, locked, [Posting(wallet.id, ORDER, -2_500, 77)], AT)
    assert (posted.balance_minor, posted.version) == (7_500, 2)
    async with db.connection() as connection:
        transfer = await connection.fetchrow(
            "SELECT * FROM ledger_transfers WHERE id = $1", posted.transfer_id
        )
        entries = await connection.fetch(
            "SELECT e.amount_minor, e.balance_minor, e.version, a.kind, e.currency"
            " FROM ledger_entries AS e LEFT JOIN system_accounts AS a ON a.id = e.account_id"
            " WHERE transfer_id = $1 ORDER BY account_id DESC",
            posted.transfer_id,
        )
    assert (transfer["kind"], transfer["order_id"], transfer["client_id"]) == ("ORDER", 77, 1)
    assert (transfer["amount_minor"], transfer["created_at"]) == (-2_500, AT)
    assert [tuple(entry) for entry in entries] == [
        (-2_500, 7_500, 2, None, "USD"),
        (2_500, None, None, "SALES", "USD"),
    ]
    assert await given.balance(wallet) == 7_500


async def test_a_batch_books_in_order_and_in_one_statement(db, given):
    wallets = await given.wallets([NewWallet(1, "USD"), NewWallet(2, "JPY")], minor=1_000)
    one, two = wallets
    postings = [
        Posting(one.id, ORDER, -100, 1),
        Posting(two.id, ORDER, -200, 2),
        Posting(one.id, ORDER, -300, 3),
        Posting(one.id, REFUND, 50, 3),
    ]
    async with db.transaction() as tx:
        locked = await service.lock(tx, [1, 2])
        with statements(tx) as sent:
            posted = await service.post(tx, locked, postings, AT)
    assert len(sent) == 1
    assert [(p.balance_minor, p.version) for p in posted] == [
        (900, 2),
        (800, 2),
        (600, 3),
        (650, 4),
    ]
    transfer_ids = [p.transfer_id for p in posted]
    assert transfer_ids == sorted(transfer_ids)
    async with db.connection() as connection:
        orders = await connection.fetch(
            "SELECT order_id FROM ledger_transfers WHERE id = ANY($1) ORDER BY id", transfer_ids
        )
    assert [row[0] for row in orders] == [1, 2, 3, 3]


async def test_nothing_to_post_is_nothing_done(db, given):
    wallet = await given.wallet(minor=10)
    before = await given.ledger()
    async with db.transaction() as tx:
        assert await service.post(tx, [wallet], [], AT) == []
    assert await given.ledger() == before


@pytest.mark.parametrize(
    ("version", "problem"), [(0, asyncpg.UniqueViolationError), (9, AssertionError)]
)
async def test_stale_numbers_are_never_written(db, given, version, problem):
    wallet = await given.wallet(minor=1_000)
    before = await given.ledger()
    stale = replace(wallet, version=version)
    with pytest.raises(problem):
        async with db.transaction() as tx:
            await service.post(tx, [stale], [Posting(wallet.id, ORDER, -1, 1)], AT)
    assert await given.ledger() == before


async def test_an_order_that_costs_nothing_has_a_transaction(db, given):
    wallet = await given.wallet(minor=500)
    async with db.transaction() as tx:
        [posted] = await service.post(tx, [wallet], [Posting(wallet.id, ORDER, 0, 5)], AT)
    assert (posted.balance_minor, posted.version) == (500, 2)


async def test_locking_is_one_statement_in_order_of_id(db, given):
    await given.wallets([NewWallet(2, "USD"), NewWallet(1, "USD"), NewWallet(2, "EUR")])
    async with db.transaction() as tx:
        locked = await service.lock(tx, [2, 1, 9])
        assert [wallet.id for wallet in locked] == sorted(wallet.id for wallet in locked)
        assert [wallet.client_id for wallet in locked] == [2, 1, 2]
        assert await service.lock(tx, [9]) == []
        assert await service.lock_wallets(tx, [locked[1].id, 999]) == [locked[1]]
