"""Booking: one statement, double entry, a chain without gaps, a floor nobody falls through."""

import asyncio
import itertools
import random
from dataclasses import replace

import asyncpg
import pytest

from rewards.wallets import service
from rewards.wallets.model import (
    NewWallet,
    Posting,
    TopUp,
    TransferKind,
    WalletType,
    sign_fits,
)
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


async def test_history_is_never_rewritten(db, given):
    await given.wallet(minor=10)
    before = await given.ledger()
    async with db.connection() as connection:
        for table in ("ledger_transfers", "ledger_entries"):
            for statement in (
                f"UPDATE {table} SET amount_minor = 0",
                f"DELETE FROM {table}",
                f"TRUNCATE {table}",
            ):
                with pytest.raises(asyncpg.RestrictViolationError, match="is append-only"):
                    await connection.execute(statement)
    assert await given.ledger() == before


INSERT_TRANSFER = """
INSERT INTO ledger_transfers (id, kind, client_id, wallet_id, amount_minor, order_id, reference,
    created_at)
VALUES (nextval('ledger_transfers_id_seq'), $2, 1, $1, $3, $4, $5, now())
"""


RULES = (
    ("wallets_balance_check", "UPDATE wallets SET balance_minor = -1 WHERE id = $1", ()),
    (
        "wallets_credit_limit_check",
        "UPDATE wallets SET credit_limit_minor = 1 WHERE id = $1",
        (),
    ),
    ("wallets_type_check", "UPDATE wallets SET type = 'GIFT' WHERE id = $1", ()),
    ("wallets_status_check", "UPDATE wallets SET status = 'LOST' WHERE id = $1", ()),
    ("ledger_transfers_kind_check", INSERT_TRANSFER, ("GIFT", 1, None, None)),
    ("ledger_transfers_sign_check", INSERT_TRANSFER, ("ORDER", 1, 5, None)),
    ("ledger_transfers_sign_check", INSERT_TRANSFER, ("REFUND", 0, 5, None)),
    ("ledger_transfers_sign_check", INSERT_TRANSFER, ("TOPUP", -1, None, None)),
    ("ledger_transfers_sign_check", INSERT_TRANSFER, ("ADJUSTMENT", 0, None, None)),
    ("ledger_transfers_order_check", INSERT_TRANSFER, ("ORDER", -1, None, None)),
    ("ledger_transfers_order_check", INSERT_TRANSFER, ("TOPUP", 1, 5, None)),
    ("ledger_transfers_order_debit_key", INSERT_TRANSFER, ("ORDER", -1, 77, None)),
    ("ledger_transfers_reference_key", INSERT_TRANSFER, ("TOPUP", 1, None, "wire-1")),
    (
        "ledger_entries_chain_key",
        "INSERT INTO ledger_entries VALUES (99, $1, 'USD', 1, 11, 1)",
        (),
    ),
    (
        "ledger_entries_chain_check",
        "INSERT INTO ledger_entries VALUES (99, $1, 'USD', 1, NULL, NULL)",
        (),
    ),
)


async def test_the_database_holds_the_rules_by_name(db, given):
    wallet = await given.wallet(minor=10)
    async with db.transaction() as tx:
        await service.top_up(tx, [TopUp(wallet.id, 5, "wire-1")], AT)
        [wallet] = await service.lock_wallets(tx, [wallet.id])
        await service.post(tx, [wallet], [Posting(wallet.id, ORDER, -1, 77)], AT)
    before = await given.ledger()
    async with db.connection() as connection:
        for constraint, statement, values in RULES:
            with pytest.raises(asyncpg.IntegrityConstraintViolationError) as broken:
                await connection.execute(statement, wallet.id, *values)
            assert broken.value.constraint_name == constraint
    assert await given.ledger() == before


async def test_postings_from_many_connections_leave_a_perfect_ledger(db, given):
    """Eight actors, overlapping batches on six wallets of three currencies, four kinds."""
    rng = random.Random(20261121)
    pairs = ((1, "USD"), (1, "JPY"), (2, "USD"), (2, "KWD"), (3, "JPY"))
    news = [NewWallet(client_id, currency) for client_id, currency in pairs]
    news.append(NewWallet(3, "KWD", WalletType.POSTPAID, 5_000, 300))
    wallets = await given.wallets(news, minor=2_000)
    ids = [wallet.id for wallet in wallets]
    serial = itertools.count(1)
    booked = dict.fromkeys(ids, 2000)
    expected = 0

    async def act(seed: int) -> None:
        nonlocal expected
        mine = random.Random(seed)
        for _ in range(25):
            chosen = mine.sample(ids, mine.randint(1, len(ids)))
            asked = [
                (mine.choice(chosen), mine.choice(list(TransferKind)), mine.randint(-400, 400))
                for _ in range(mine.randint(1, 12))
            ]

            async def work(tx, asked=asked, chosen=chosen):
                locked = {w.id: w for w in await service.lock_wallets(tx, chosen)}
                left = {w.id: w.available_minor for w in locked.values()}
                postings = []
                for wallet_id, kind, amount in asked:
                    if sign_fits(kind, amount) and left[wallet_id] + amount >= 0:
                        left[wallet_id] += amount
                        order_id = next(serial) if kind in (ORDER, REFUND) else None
                        postings.append(Posting(wallet_id, kind, amount, order_id))
                return postings, await service.post(tx, locked, postings, AT)

            postings, posted = await db.run(work)
            expected += len(postings)
            for posting in postings:
                booked[posting.wallet_id] += posting.amount_minor
            assert len({done.transfer_id for done in posted}) == len(postings)

    await asyncio.gather(*(act(rng.randrange(2**32)) for _ in range(8)))
    assert await given.breaches() == {}
    async with db.connection() as connection:
        rows = await connection.fetch("SELECT id, balance_minor FROM wallets")
        assert dict(map(tuple, rows)) == booked
        assert await connection.fetchval("SELECT sum(version) FROM wallets") == expected + len(ids)
        assert await connection.fetchval("SELECT count(*) FROM ledger_entries") == 2 * (
            expected + len(ids)
        )
        assert (
            await connection.fetchval(
                "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
            )
            == 0
        )


async def test_two_spenders_never_both_spend_the_last_of_it(db, given):
    wallet = await given.wallet(minor=10 * 25)
    serial = itertools.count(1)

    async def spend() -> bool:
        async def work(tx):
            [locked] = await service.lock(tx, [1])
            if locked.available_minor < 25:
                return False
            await service.post(tx, [locked], [Posting(wallet.id, ORDER, -25, next(serial))], AT)
            return True

        return await db.run(work)

    assert sorted(await asyncio.gather(*(spend() for _ in range(40)))) == [False] * 30 + [True] * 10
    assert await given.balance(wallet) == 0
    assert await given.breaches() == {}
