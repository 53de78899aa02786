"""Statements: every filter, every page, whose lines they are, and what a line shows."""

from datetime import timedelta
from decimal import Decimal

import pytest

from rewards.core.errors import Refusal
from rewards.core.page import PageAsk
from rewards.wallets import service
from rewards.wallets.model import (
    Adjustment,
    NewWallet,
    Posting,
    TopUp,
    TransactionFilter,
    TransferKind,
    WalletFilter,
    WalletStatus,
    WalletType,
)
from rewards.wallets.shapes import transaction_shape, wallet_shape
from tests.wallets.ledgers import AT

ORDER, REFUND = TransferKind.ORDER, TransferKind.REFUND
HOUR = timedelta(hours=1)
ALL = PageAsk(1, 50)


@pytest.fixture
async def statement(db, given):
    """Client 1: USD and KWD, five lines; client 2: USD, one line. Ids from 1 in that order."""
    usd, kwd, other = await given.wallets(
        [NewWallet(1, "USD"), NewWallet(1, "KWD"), NewWallet(2, "USD")]
    )
    async with db.transaction() as tx:
        await service.top_up(tx, [TopUp(usd.id, 10_000, "wire-1", "November")], AT)
        await service.top_up(tx, [TopUp(kwd.id, 5_000)], AT + HOUR)
        locked = await service.lock(tx, [1])
        fx = {"source_currency": "EUR", "forex_rate": Decimal("0.331500000000")}
        await service.post(
            tx,
            locked,
            [
                Posting(usd.id, ORDER, -2_550, 77),
                Posting(kwd.id, ORDER, -1_234, 78, conversion_fee_minor=12, **fx),
                Posting(usd.id, REFUND, 50, 77),
            ],
            AT + 2 * HOUR,
        )
        await service.adjust(tx, [Adjustment(other.id, 100, note="goodwill")], AT + 3 * HOUR)
        locked = await service.lock(tx, [1])
        await service.post(tx, locked, [Posting(usd.id, ORDER, 0, 79)], AT + 4 * HOUR)
    return usd, kwd, other


FILTERS = (
    ({}, [7, 5, 4, 3, 2, 1]),
    ({"wallet_id": "usd"}, [7, 5, 3, 1]),
    ({"wallet_id": "other"}, []),
    ({"kind": ORDER}, [7, 4, 3]),
    ({"kind": REFUND}, [5]),
    ({"kind": TransferKind.TOPUP}, [2, 1]),
    ({"kind": TransferKind.ADJUSTMENT}, []),
    ({"credit": True}, [5, 2, 1]),
    ({"credit": False}, [7, 4, 3]),
    ({"order_id": 77}, [5, 3]),
    ({"order_id": 1}, []),
    ({"since": AT + HOUR}, [7, 5, 4, 3, 2]),
    ({"until": AT + HOUR}, [1]),
    ({"since": AT + HOUR, "until": AT + 2 * HOUR}, [2]),
    ({"wallet_id": "usd", "kind": ORDER, "credit": False, "order_id": 77}, [3]),
)


async def test_each_filter_narrows_the_statement(statement, db):
    names = dict(zip(("usd", "kwd", "other"), (wallet.id for wallet in statement), strict=True))
    async with db.connection() as tx:
        for wanted, ids in FILTERS:
            if "wallet_id" in wanted:
                wanted = wanted | {"wallet_id": names[wanted["wallet_id"]]}
            found = await service.transactions(tx, TransactionFilter(client_id=1, **wanted), ALL)
            assert ([line.id for line in found.items], found.total) == (ids, len(ids)), wanted


async def test_pages_and_cursors_walk_the_same_lines(statement, db):
    wanted = TransactionFilter(client_id=1)
    async with db.connection() as tx:
        for size in (1, 2, 4, 6, 7):
            pages = [
                await service.transactions(tx, wanted, PageAsk(number, size))
                for number in range(1, 9)
            ]
            assert [line.id for page in pages for line in page.items] == [7, 5, 4, 3, 2, 1]
            assert {page.total for page in pages} == {6}
            walked, last = [], 2**62
            while True:
                lines = await service.transactions_after(
                    tx, TransactionFilter(client_id=1, before_id=last), size
                )
                if not lines:
                    break
                walked += [line.id for line in lines]
                last = walked[-1]
            assert walked == [7, 5, 4, 3, 2, 1]


async def test_the_balance_runs_along(statement, db):
    usd = statement[0]
    async with db.connection() as tx:
        found = await service.transactions(tx, TransactionFilter(wallet_id=usd.id), ALL)
        assert [(line.amount_minor, line.balance_minor) for line in found.items] == [
            (0, 7_500),
            (50, 7_500),
            (-2_550, 7_450),
            (10_000, 10_000),
        ]
        everyone = await service.transactions(tx, TransactionFilter(), ALL)
    assert [line.id for line in everyone.items] == [7, 6, 5, 4, 3, 2, 1]
    assert everyone.total == 7


async def test_a_line_is_found_by_its_owner_only(statement, db):
    async with db.connection() as tx:
        answers = await service.get_transactions(tx, [3, 6, 99], client_id=1)
        assert [
            answer.message if isinstance(answer, Refusal) else answer.id for answer in answers
        ] == [3, "Transaction not found", "Transaction not found"]
        assert [line.id for line in await service.get_transactions(tx, [6, 3])] == [6, 3]


async def test_a_line_shows_what_the_contract_says(statement, db):
    async with db.connection() as tx:
        lines = await service.get_transactions(tx, [1, 3, 4, 5, 6, 7])
    topped, debit, converted, refund, adjusted, free = (
        transaction_shape(line, 9) for line in lines
    )
    assert (topped.transaction_type, topped.type, topped.amount) == (
        "CREDIT",
        "TOPUP",
        Decimal("100.00"),
    )
    assert topped.remarks == "USD Wallet credited by amount 100.00 - November"
    assert (topped.reference, topped.currency_id, topped.status) == ("wire-1", 9, "COMPLETED")
    assert (debit.direction, debit.order_id, str(debit.amount), str(debit.balance)) == (
        "DEBIT",
        77,
        "25.50",
        "74.50",
    )
    assert debit.remarks == "USD Wallet debited by amount 25.50 - Order #77"
    assert (debit.source_currency, debit.destination_currency, debit.forex_rate) == (
        None,
        None,
        None,
    )
    assert (converted.source_currency, converted.destination_currency) == ("EUR", "KWD")
    assert (str(converted.forex_rate), str(converted.conversion_charges)) == ("0.3315", "0.012")
    assert str(converted.amount) == "1.234"
    assert refund.remarks == "USD Wallet credited by amount 0.50 - Refund of order #77"
    assert adjusted.remarks == "USD Wallet credited by amount 1.00 - goodwill"
    assert (free.direction, str(free.amount), free.type) == ("DEBIT", "0.00", "ORDER")


async def test_wallets_are_listed_newest_first(db, given):
    one, two, three = await given.wallets(
        [
            NewWallet(1, "USD"),
            NewWallet(1, "KWD", WalletType.POSTPAID, 500, 10),
            NewWallet(2, "USD"),
        ]
    )
    async with db.transaction() as tx:
        await service.set_status(tx, [service.StatusChange(one.id, WalletStatus.FROZEN)])
        for wanted, ids in (
            (WalletFilter(), [three.id, two.id, one.id]),
            (WalletFilter(client_id=1), [two.id, one.id]),
            (WalletFilter(client_id=1, currency="USD"), [one.id]),
            (WalletFilter(client_id=1, type=WalletType.POSTPAID), [two.id]),
            (WalletFilter(status=WalletStatus.FROZEN), [one.id]),
            (WalletFilter(client_id=1, active=True), [two.id]),
            (WalletFilter(client_id=1, active=False), [one.id]),
        ):
            found = await service.list_wallets(tx, wanted, ALL)
            assert ([wallet.id for wallet in found.items], found.total) == (ids, len(ids))
        [page] = (await service.list_wallets(tx, WalletFilter(), PageAsk(2, 2))).items
        assert page.id == one.id
        [wallet] = await service.get(tx, [two.id])
    shown = wallet_shape(wallet, 3)
    assert (str(shown.amount), str(shown.available), str(shown.low_balance)) == (
        "0.000",
        "0.500",
        "0.010",
    )
    assert (shown.is_active, shown.currency_id) == (True, 3)
