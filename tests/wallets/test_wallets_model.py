"""The arithmetic of the ledger, for any batch."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.wallets.model import (
    Link,
    Posting,
    SystemAccount,
    TransferKind,
    Wallet,
    WalletStatus,
    WalletType,
    chain,
    refusal_to_credit,
    sign_fits,
    system_account_id,
)

AT = datetime(2026, 11, 21, tzinfo=UTC)


def wallet_with(
    wallet_id: int = 1,
    balance: int = 0,
    credit: int = 0,
    low: int | None = None,
    low_since: datetime | None = None,
    status: WalletStatus = WalletStatus.ACTIVE,
) -> Wallet:
    kind = WalletType.POSTPAID if credit else WalletType.PREPAID
    return Wallet(wallet_id, 1, "USD", kind, status, balance, 7, credit, low, low_since)


amounts = st.integers(-1000, 1000)
kinds = st.sampled_from(TransferKind)
steps = st.lists(st.tuples(st.integers(1, 3), kinds, amounts), max_size=40)
starts = st.fixed_dictionaries(
    {
        wallet_id: st.builds(
            wallet_with,
            st.just(wallet_id),
            st.integers(0, 2000),
            st.sampled_from([0, 0, 500]),
            st.none() | st.integers(-200, 800),
        )
        for wallet_id in (1, 2, 3)
    }
)


def allowed(
    wallets: dict[int, Wallet], wanted: list[tuple[int, TransferKind, int]]
) -> list[Posting]:
    """Of what is wanted, what a caller who decides well would post."""
    left = {wallet_id: wallet.available_minor for wallet_id, wallet in wallets.items()}
    postings = []
    for wallet_id, kind, amount in wanted:
        if sign_fits(kind, amount) and left[wallet_id] + amount >= 0:
            left[wallet_id] += amount
            postings.append(Posting(wallet_id, kind, amount, order_id=1))
    return postings


@given(starts, steps)
def test_a_batch_is_the_fold_of_its_singles(wallets, wanted):
    postings = allowed(wallets, wanted)
    links, moves = chain(wallets, postings, AT)
    one_by_one: list[Link] = []
    now = dict(wallets)
    for posting in postings:
        [link], [move] = chain(now, [posting], AT)
        one_by_one.append(link)
        old = now[posting.wallet_id]
        now[posting.wallet_id] = Wallet(
            old.id,
            old.client_id,
            old.currency,
            old.type,
            old.status,
            move.balance_minor,
            move.version,
            old.credit_limit_minor,
            old.low_balance_minor,
            move.low_since,
        )
    assert links == one_by_one
    for move in moves:
        end = now[move.wallet_id]
        assert (move.balance_minor, move.version, move.low_since) == (
            end.balance_minor,
            end.version,
            end.low_since,
        )


@given(starts, steps)
def test_sums_are_conserved_and_versions_have_no_gap(wallets, wanted):
    postings = allowed(wallets, wanted)
    links, moves = chain(wallets, postings, AT)
    assert {move.wallet_id for move in moves} == {posting.wallet_id for posting in postings}
    for move in moves:
        mine = [
            (posting, link)
            for posting, link in zip(postings, links, strict=True)
            if posting.wallet_id == move.wallet_id
        ]
        before = wallets[move.wallet_id]
        total = sum(posting.amount_minor for posting, _ in mine)
        assert move.balance_minor - before.balance_minor == total
        assert [link.version for _, link in mine] == [
            before.version + step for step in range(1, len(mine) + 1)
        ]
        assert all(link.balance_minor >= -before.credit_limit_minor for _, link in mine)


@pytest.mark.parametrize(
    ("wallet", "posting"),
    [
        (wallet_with(balance=10), Posting(1, TransferKind.ORDER, -11, order_id=1)),
        (wallet_with(balance=10, credit=5), Posting(1, TransferKind.ORDER, -16, order_id=1)),
        (wallet_with(balance=10), Posting(1, TransferKind.ORDER, 1, order_id=1)),
        (wallet_with(balance=10), Posting(1, TransferKind.REFUND, 0, order_id=1)),
        (wallet_with(balance=10), Posting(1, TransferKind.TOPUP, -1)),
        (wallet_with(balance=10), Posting(1, TransferKind.ADJUSTMENT, 0)),
        (wallet_with(balance=10**15), Posting(1, TransferKind.TOPUP, 1)),
        (wallet_with(status=WalletStatus.FROZEN), Posting(1, TransferKind.TOPUP, 1)),
        (wallet_with(status=WalletStatus.CLOSED), Posting(1, TransferKind.TOPUP, 1)),
    ],
)
def test_what_no_caller_may_post_is_a_bug(wallet, posting):
    with pytest.raises(AssertionError):
        chain({1: wallet}, [posting], AT)


def test_one_crossing_of_the_threshold_is_told_once():
    wallet = wallet_with(balance=100, low=50)
    amounts = [-50, -1, -1, 1, 1, -1]
    postings = [
        Posting(1, TransferKind.ORDER if a < 0 else TransferKind.REFUND, a, order_id=1)
        for a in amounts
    ]
    links, [move] = chain({1: wallet}, postings, AT)
    # 50 is not below 50; 49 is; 48 stays; 49 stays; 50 clears; 49 crosses again.
    assert [link.crossed for link in links] == [False, True, False, False, False, True]
    assert move.low_since == AT


def test_a_wallet_that_was_low_keeps_the_moment_it_became_so():
    before = datetime(2026, 1, 1, tzinfo=UTC)
    wallet = wallet_with(balance=10, low=50, low_since=before)
    order = Posting(1, TransferKind.ORDER, -1, order_id=1)
    [link], [move] = chain({1: wallet}, [order], AT)
    assert (link.crossed, move.low_since) == (False, before)
    [link], [move] = chain({1: wallet}, [Posting(1, TransferKind.TOPUP, 40)], AT)
    assert (link.crossed, move.low_since) == (False, None)


def test_an_order_that_costs_nothing_still_has_its_link():
    [link], [move] = chain(
        {1: wallet_with(balance=5)}, [Posting(1, TransferKind.ORDER, 0, order_id=1)], AT
    )
    assert (link.balance_minor, link.version) == (5, 8)
    assert move.version_before == 7


def test_system_accounts_have_ids_of_their_own():
    ids = {
        system_account_id(account, currency)
        for account in SystemAccount
        for currency in ("USD", "EUR", "INR", "JPY", "KWD", "USC", "UTD")
    }
    assert len(ids) == 21
    assert all(-(2**63) <= account_id < 0 for account_id in ids)


def test_only_an_active_wallet_takes_a_credit():
    assert refusal_to_credit(wallet_with()) is None
    for status, code in (("FROZEN", "WALLET_FROZEN"), ("CLOSED", "WALLET_CLOSED")):
        refusal = refusal_to_credit(wallet_with(status=WalletStatus(status)))
        assert refusal is not None
        assert (refusal.status, refusal.code) == (409, code)
    unknown = refusal_to_credit(None)
    assert unknown is not None
    assert (unknown.status, unknown.message) == (404, "Wallet not found")
