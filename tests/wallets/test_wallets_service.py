"""Top-ups, adjustments, statuses and limits: what is booked, told and refused."""

import asyncio

import pytest

from rewards.core.errors import Refusal
from rewards.wallets import service
from rewards.wallets.model import (
    Adjustment,
    LimitsChange,
    NewWallet,
    Posted,
    Posting,
    StatusChange,
    TopUp,
    TransferKind,
    Wallet,
    WalletStatus,
    WalletType,
)
from tests.counting import statements
from tests.wallets.ledgers import AT


async def events_of(db, kind=None):
    async with db.connection() as connection:
        rows = await connection.fetch("SELECT client_id, type, data::text FROM events ORDER BY id")
    return [tuple(row) for row in rows if kind in (None, row["type"])]


def told(answers):
    """Refusals by their code, everything else as it is."""
    return [answer.code if isinstance(answer, Refusal) else answer for answer in answers]


async def test_a_top_up_is_booked_and_told(db, given):
    wallet = await given.wallet()
    async with db.transaction() as tx:
        [posted] = await service.top_up(tx, [TopUp(wallet.id, 10_050, "wire-1", "November")], AT)
    assert (posted.balance_minor, posted.version) == (10_050, 1)
    [(client_id, kind, data)] = await events_of(db)
    assert (client_id, kind) == (1, "wallet.credited")
    assert '"amount": 100.50' in data
    assert '"balance": 100.50' in data
    assert f'"transaction_id": {posted.transfer_id}' in data
    assert '"reference": "wire-1"' in data
    assert await given.breaches() == {}


async def test_top_ups_of_a_batch_are_answered_in_order(db, given):
    one, two = await given.wallets([NewWallet(1, "USD"), NewWallet(2, "JPY")])
    async with db.transaction() as tx:
        with statements(tx) as sent:
            answers = await service.top_up(
                tx,
                [
                    TopUp(two.id, 5),
                    TopUp(999, 5),
                    TopUp(one.id, 7, "a"),
                    TopUp(one.id, 0),
                    TopUp(one.id, -1),
                    TopUp(one.id, 7, "a"),
                    TopUp(one.id, 8, "a"),
                    TopUp(two.id, 7, "a"),
                    TopUp(one.id, 10**15),
                    TopUp(one.id, 1),
                    TopUp(one.id, 1),
                ],
                AT,
            )
    assert len(sent) == 4  # lock, look for references, post, tell
    ids = [answer.transfer_id for answer in answers if isinstance(answer, Posted)]
    assert told(answers) == [
        Posted(ids[0], 5, 1),
        "WALLET_NOT_FOUND",
        Posted(ids[1], 7, 1),
        "INVALID_FIELD",
        "INVALID_FIELD",
        Posted(ids[1], 7, 1),
        "REFERENCE_REUSED",
        Posted(ids[3], 12, 2),
        "INVALID_FIELD",
        Posted(ids[4], 8, 2),
        Posted(ids[5], 9, 3),
    ]
    assert [place for place, answer in enumerate(answers) if getattr(answer, "repeated", 0)] == [5]
    assert answers[1].message == "Wallet not found"
    assert [str(answers[place]) for place in (3, 4, 8)] == [
        "Invalid Amount: gt",
        "Invalid Amount: gt",
        "Invalid Amount: max",
    ]
    assert len(await events_of(db, "wallet.credited")) == 5
    assert await given.breaches() == {}


async def test_a_reference_is_booked_once_however_often_it_is_asked(db, given):
    wallet = await given.wallet()

    async def ask(amount: int) -> object:
        async def work(tx):
            return await service.top_up(tx, [TopUp(wallet.id, amount, "wire-1")], AT)

        return (await db.run(work))[0]

    answers = await asyncio.gather(*(ask(100) for _ in range(24)))
    assert len(set(answers)) == 1
    assert [answer.repeated for answer in answers].count(False) == 1
    assert answers[0].balance_minor == 100
    before = await given.ledger()
    assert told([await ask(101)]) == ["REFERENCE_REUSED"]
    assert await ask(100) == answers[0]
    assert await given.ledger() == before
    assert len(await events_of(db)) == 1


async def test_a_reference_answers_as_it_did_whatever_happened_since(db, given):
    wallet = await given.wallet()
    ask = TopUp(wallet.id, 100, "wire-1")
    async with db.transaction() as tx:
        [first] = await service.top_up(tx, [ask], AT)
        await service.adjust(tx, [Adjustment(wallet.id, -100)], AT)
        await service.set_status(tx, [StatusChange(wallet.id, WalletStatus.CLOSED)])
    async with db.transaction() as tx:
        assert await service.top_up(tx, [ask], AT) == [first]
        # The same words under another kind are another thing.
        [other] = await service.adjust(tx, [Adjustment(wallet.id, 100, "wire-1")], AT)
    assert other.code == "WALLET_CLOSED"


@pytest.mark.parametrize(
    ("status", "code"), [("FROZEN", "WALLET_FROZEN"), ("CLOSED", "WALLET_CLOSED")]
)
async def test_a_wallet_that_is_not_active_takes_nothing(db, given, status, code):
    wallet = await given.wallet()
    async with db.transaction() as tx:
        await service.set_status(tx, [StatusChange(wallet.id, WalletStatus(status))])
    before = await given.ledger()
    async with db.transaction() as tx:
        answers = await service.top_up(tx, [TopUp(wallet.id, 1)], AT)
        answers += await service.adjust(tx, [Adjustment(wallet.id, 1)], AT)
    assert told(answers) == [code, code]
    assert [answer.status for answer in answers] == [409, 409]
    assert await given.ledger() == before


async def test_an_adjustment_goes_either_way_and_never_below_the_floor(db, given):
    prepaid, postpaid = await given.wallets(
        [NewWallet(1, "USD"), NewWallet(1, "USD", WalletType.POSTPAID, 50)], minor=100
    )
    async with db.transaction() as tx:
        answers = await service.adjust(
            tx,
            [
                Adjustment(prepaid.id, -40),
                Adjustment(prepaid.id, -61),
                Adjustment(prepaid.id, -60, "close", "settled"),
                Adjustment(prepaid.id, 0),
                Adjustment(postpaid.id, -150),
                Adjustment(postpaid.id, -1),
                Adjustment(postpaid.id, 30),
            ],
            AT,
        )
    assert [
        answer.balance_minor if isinstance(answer, Posted) else answer.code for answer in answers
    ] == [60, "INSUFFICIENT_FUNDS", 0, "INVALID_FIELD", -50, "INSUFFICIENT_FUNDS", -20]
    assert (answers[1].status, answers[1].message) == (400, "Insufficient funds in your wallet")
    assert str(answers[3]) == "Invalid Amount: ne"
    assert [event[1] for event in await events_of(db)] == ["wallet.credited"]
    assert await given.breaches() == {}


async def test_low_balance_is_told_once_for_each_crossing(db, given):
    [wallet] = await given.wallets([NewWallet(1, "USD", low_balance_minor=500)], minor=1_000)
    orders = iter(range(1, 100))

    async def spend(*amounts: int) -> None:
        async with db.transaction() as tx:
            locked = {w.id: w for w in await service.lock(tx, [1])}
            postings = [
                Posting(wallet.id, TransferKind.ORDER, -amount, next(orders)) for amount in amounts
            ]
            posted = await service.post(tx, locked, postings, AT)
            events = service.low_balance_events(locked, postings, posted)
            await service.webhooks.emit(tx, events, AT)

    await spend(500)
    assert await events_of(db) == []
    await spend(1, 1)
    await spend(1)
    [(client_id, kind, data)] = await events_of(db)
    assert (client_id, kind) == (1, "wallet.low_balance")
    assert '"balance": 4.99' in data
    assert '"threshold": 5.00' in data
    async with db.transaction() as tx:
        await service.top_up(tx, [TopUp(wallet.id, 100)], AT)
        await service.adjust(tx, [Adjustment(wallet.id, -300)], AT)
    assert len(await events_of(db, "wallet.low_balance")) == 2
    assert await given.breaches() == {}


async def test_statuses_change_as_they_may(db, given):
    wallet = await given.wallet()
    steps = [
        ("FROZEN", "FROZEN"),
        ("FROZEN", "FROZEN"),
        ("ACTIVE", "ACTIVE"),
        ("CLOSED", "CLOSED"),
        ("FROZEN", "WALLET_STATUS_REFUSED"),
        ("ACTIVE", "ACTIVE"),
    ]
    for target, outcome in steps:
        async with db.transaction() as tx:
            [answer] = await service.set_status(tx, [StatusChange(wallet.id, WalletStatus(target))])
            [stored] = await service.get(tx, [wallet.id])
        if isinstance(answer, Wallet):
            assert (answer.status, stored) == (outcome, answer)
        else:
            assert answer.code == outcome
            assert stored.status == "CLOSED"
    async with db.transaction() as tx:
        answers = await service.set_status(tx, [StatusChange(999, WalletStatus.FROZEN)])
    assert told(answers) == ["WALLET_NOT_FOUND"]


async def test_a_wallet_with_money_in_it_is_not_closed(db, given):
    wallet = await given.wallet(minor=1)
    before = await given.ledger()
    async with db.transaction() as tx:
        [refusal] = await service.set_status(tx, [StatusChange(wallet.id, WalletStatus.CLOSED)])
    assert (refusal.status, refusal.code) == (409, "WALLET_NOT_EMPTY")
    assert await given.ledger() == before


async def test_limits_change_as_they_may(db, given):
    prepaid, postpaid = await given.wallets(
        [NewWallet(1, "USD"), NewWallet(1, "USD", WalletType.POSTPAID, 50)], minor=100
    )
    async with db.transaction() as tx:
        await service.adjust(tx, [Adjustment(postpaid.id, -120)], AT)
    before = await given.ledger()
    for ask, outcome in (
        (LimitsChange(prepaid.id, 1, None), "Invalid CreditLimit: prepaid"),
        (LimitsChange(postpaid.id, -1, None), "Invalid CreditLimit: min"),
        (LimitsChange(postpaid.id, 10**16, None), "Invalid CreditLimit: max"),
        (LimitsChange(postpaid.id, 20, -(10**16)), "Invalid LowBalance: max"),
        (LimitsChange(postpaid.id, 19, None), "Credit limit is below the credit already used"),
        (LimitsChange(999, 0, None), "Wallet not found"),
    ):
        async with db.transaction() as tx:
            [answer] = await service.set_limits(tx, [ask], AT)
        assert str(answer) == outcome
    assert await given.ledger() == before
    async with db.transaction() as tx:
        answers = await service.set_limits(
            tx, [LimitsChange(postpaid.id, 20, -19), LimitsChange(prepaid.id, 0, 100)], AT
        )
        stored = await service.get(tx, [postpaid.id, prepaid.id])
    assert answers == stored
    assert [(w.credit_limit_minor, w.low_balance_minor, w.low_since) for w in answers] == [
        (20, -19, AT),
        (0, 100, None),
    ]
    assert [event[1] for event in await events_of(db)] == ["wallet.low_balance"]
    async with db.transaction() as tx:
        await service.set_limits(tx, [LimitsChange(postpaid.id, 20, -10)], AT)
    assert len(await events_of(db)) == 1
    assert await given.breaches() == {}


async def test_wallets_open_empty_with_our_accounts_beside_them(db, given):
    news = [
        NewWallet(2, "KWD", WalletType.POSTPAID, 1_000, 10),
        NewWallet(1, "USD", id=1234),
        NewWallet(1, "USD", low_balance_minor=-5),
    ]
    await given.wallets([NewWallet(1, "USD"), NewWallet(2, "KWD")])
    async with db.transaction() as tx:
        opened = await service.open_wallets(tx, news, AT)
    assert [(w.client_id, w.currency, w.type, w.balance_minor, w.version) for w in opened] == [
        (2, "KWD", "POSTPAID", 0, 0),
        (1, "USD", "PREPAID", 0, 0),
        (1, "USD", "PREPAID", 0, 0),
    ]
    assert [(w.credit_limit_minor, w.low_balance_minor, w.low_since) for w in opened] == [
        (1_000, 10, AT),
        (0, None, None),
        (0, -5, None),
    ]
    assert opened[1].id == 1234
    async with db.connection() as connection:
        kinds = await connection.fetch("SELECT kind, currency FROM system_accounts ORDER BY 1, 2")
    assert len(kinds) == 6
    assert await given.breaches() == {}


async def test_reading_waits_for_nobody_and_knows_whose_it_is(db, given):
    wallet = await given.wallet(minor=5)
    async with db.transaction() as writer, db.transaction() as reader:
        await service.lock_wallets(writer, [wallet.id])
        answers = await service.get(reader, [wallet.id, 999, wallet.id], client_id=1)
        assert told(answers) == [wallet, "WALLET_NOT_FOUND", wallet]
        answers = await service.get(reader, [wallet.id, 999], client_id=2)
        assert told(answers) == ["WALLET_NOT_FOUND", "WALLET_NOT_FOUND"]
        assert await service.list_for_client(reader, 1) == [wallet]
        assert await service.list_for_client(reader, 2) == []
