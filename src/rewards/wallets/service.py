"""What others may do with wallets: lock, book, open, freeze, and read."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from rewards.core.errors import Refusal
from rewards.core.page import Page, PageAsk
from rewards.infra.db import Tx
from rewards.wallets import sql, sql_opening, sql_orders
from rewards.wallets.decisions import (
    answer_bookings,
    decide_bookings,
    with_limits,
    with_status,
)
from rewards.wallets.events import credited_event, low_balance_event
from rewards.wallets.events import low_balance_events as low_balance_events
from rewards.wallets.model import (
    Adjustment,
    LedgerReferenceReused,
    LimitsChange,
    NewWallet,
    Posted,
    Posting,
    StatusChange,
    TopUp,
    Transaction,
    TransactionFilter,
    TransactionNotFound,
    TransferKind,
    Wallet,
    WalletFilter,
    WalletNotFound,
    chain,
)
from rewards.wallets.sql_flows import Flow as Flow
from rewards.wallets.sql_flows import Flows as Flows
from rewards.webhooks import service as webhooks


async def lock(tx: Tx, client_ids: Sequence[int]) -> list[Wallet]:
    """Lock and read every wallet of these clients, whatever its status, in order of wallet id.

    One statement. Held until the transaction ends; all who move money come through here or
    `lock_wallets`, in id order, so nobody deadlocks. A client without wallets has no rows.
    """
    return await sql.lock_of_clients(tx, client_ids)


async def lock_wallets(tx: Tx, wallet_ids: Sequence[int]) -> list[Wallet]:
    """Lock and read these wallets, in order of id. Unknown ids are left out."""
    return await sql.lock(tx, wallet_ids)


async def post(
    tx: Tx,
    wallets: Mapping[int, Wallet] | Sequence[Wallet],
    postings: Sequence[Posting],
    at: datetime,
) -> list[Posted]:
    """Book the postings in order, one answer each, in one statement (spec.md §6).

    `wallets` were locked by this transaction and not posted to since: lock again before a second
    `post`. Each posting becomes a transfer of two entries that sum to zero: the wallet, and our
    account on the other side (ORDER and REFUND: sales; TOPUP: funding; ADJUSTMENT: adjustments).
    Nothing is refused here. An inactive wallet, a balance below the floor or a sign that does not
    fit the kind is the caller's bug (AssertionError), and the database holds the floor as well.

    An order that costs nothing is posted like any other, with amount 0: it gets its transfer and
    two entries of 0, so that every order has a transaction and every chain and count still holds.
    """
    if not postings:
        return []
    known = wallets if isinstance(wallets, Mapping) else {wallet.id: wallet for wallet in wallets}
    links, moves = chain(known, postings, at)
    transfer_ids = await sql.post(tx, known, postings, links, moves, at)
    return [
        Posted(transfer_id, link.balance_minor, link.version, link.crossed)
        for transfer_id, link in zip(transfer_ids, links, strict=True)
    ]


async def open_wallets(tx: Tx, news: Sequence[NewWallet], at: datetime) -> list[Wallet]:
    """Open wallets with balance 0, in order. The currencies must exist; our accounts are made."""
    await sql_opening.open_accounts(tx, [new.currency for new in news])
    return await sql_opening.open_wallets(tx, news, at)


async def open_once(
    tx: Tx, new: NewWallet, reference: str, at: datetime
) -> tuple[Wallet, bool] | Refusal:
    """Open a wallet unless the client has one of this reference; whether it was there before.

    Then it is answered as it stands now. Refused: it is of another currency or type (409).
    """
    await sql_opening.open_accounts(tx, [new.currency])
    made = await sql_opening.open_once(tx, new, reference, at)
    if made is not None:
        return made, False
    there = await sql_opening.find_opened(tx, new.client_id, reference)
    assert there is not None, "wallets are never deleted"
    if (there.currency, there.type) != (new.currency, new.type):
        return LedgerReferenceReused()
    return there, True


async def top_up(tx: Tx, asks: Sequence[TopUp], at: datetime) -> list[Posted | Refusal]:
    """Book money that came in, in order; tell each client (`wallet.credited`).

    A reference is booked once for each wallet: asked again with the same amount it answers the
    first posting (`repeated`) and changes nothing; with another amount 409 REFERENCE_REUSED.
    Refused: amount not above 0, unknown wallet (404), WALLET_FROZEN and WALLET_CLOSED (409). The
    caller writes the audit facts: it knows who acts, and why (spec.md §6).
    """
    return await _book(tx, TransferKind.TOPUP, asks, at)


async def adjust(tx: Tx, asks: Sequence[Adjustment], at: datetime) -> list[Posted | Refusal]:
    """Book corrections of either sign, in order; refused and repeated as `top_up` does.

    Never below the floor: 400 INSUFFICIENT_FUNDS. One in the client's favour is told as
    `wallet.credited`, one that takes the balance below its threshold as `wallet.low_balance`.
    """
    return await _book(tx, TransferKind.ADJUSTMENT, asks, at)


async def foresee(
    tx: Tx, kind: TransferKind, asks: Sequence[TopUp | Adjustment]
) -> list[Posted | Refusal | None]:
    """What `top_up` or `adjust` would answer now, in order; None for what would be booked.

    Nothing is booked. The wallets stay locked, so that it holds until the transaction ends.
    """
    _, _, decided = await _decide(tx, kind, asks)
    return [None if isinstance(answer, int) else answer for answer in decided]


async def _decide(
    tx: Tx, kind: TransferKind, asks: Sequence[TopUp | Adjustment]
) -> tuple[dict[int, Wallet], list[Posting], list[int | Posted | Refusal]]:
    wallet_ids = sorted({ask.wallet_id for ask in asks})
    wallets = {wallet.id: wallet for wallet in await sql.lock(tx, wallet_ids)}
    # Read after the lock: whoever booked the same reference a moment ago held it.
    names = {(ask.wallet_id, ask.reference) for ask in asks if ask.reference is not None}
    earlier = await sql.find_booked(tx, kind, sorted(names)) if names else {}
    return wallets, *decide_bookings(wallets, kind, asks, earlier)


async def _book(
    tx: Tx, kind: TransferKind, asks: Sequence[TopUp | Adjustment], at: datetime
) -> list[Posted | Refusal]:
    wallets, postings, decided = await _decide(tx, kind, asks)
    posted = await post(tx, wallets, postings, at)
    events = [
        credited_event(wallets[posting.wallet_id], posting, done)
        for posting, done in zip(postings, posted, strict=True)
        if posting.amount_minor > 0
    ]
    await webhooks.emit(tx, events + low_balance_events(wallets, postings, posted), at)
    return answer_bookings(decided, posted)


async def set_status(tx: Tx, asks: Sequence[StatusChange]) -> list[Wallet | Refusal]:
    """Freeze, close or reopen wallets; answers the wallets as they are now, in order.

    One ask for each wallet. Refused: unknown wallet (404), CLOSED to FROZEN (409
    WALLET_STATUS_REFUSED), closing one whose balance is not zero (409 WALLET_NOT_EMPTY). Taking
    the status a wallet has already changes nothing. The caller writes the audit facts.
    """
    assert len({ask.wallet_id for ask in asks}) == len(asks), "one change for each wallet"
    wallets = {wallet.id: wallet for wallet in await sql.lock(tx, [ask.wallet_id for ask in asks])}
    answers = [with_status(wallets.get(ask.wallet_id), ask.status) for ask in asks]
    moves = [
        (wallets[answer.id], answer.status)
        for answer in answers
        if isinstance(answer, Wallet) and answer.status is not wallets[answer.id].status
    ]
    if moves:
        await sql.set_status(tx, moves)
    return answers


async def set_limits(tx: Tx, asks: Sequence[LimitsChange], at: datetime) -> list[Wallet | Refusal]:
    """Set credit limits and low-balance thresholds; answers the wallets as they are now, in order.

    One ask for each wallet. A threshold raised above the balance is told at once
    (`wallet.low_balance`). Refused: unknown wallet (404), credit for a PREPAID wallet, a limit
    below what is already used (409 CREDIT_IN_USE). The caller writes the audit facts.
    """
    wallets, answers = await _limited(tx, asks, at)
    changed = [answer for answer in answers if isinstance(answer, Wallet)]
    if changed:
        await sql.set_limits(tx, changed)
    newly_low = [
        low_balance_event(wallet, wallet.balance_minor)
        for wallet in changed
        if wallet.low_since is not None and wallets[wallet.id].low_since is None
    ]
    await webhooks.emit(tx, newly_low, at)
    return answers


async def foresee_limits(
    tx: Tx, asks: Sequence[LimitsChange], at: datetime
) -> list[Wallet | Refusal]:
    """What `set_limits` would answer now, in order.

    Nothing is set. The wallets stay locked, so that it holds until the transaction ends.
    """
    _, answers = await _limited(tx, asks, at)
    return answers


async def _limited(
    tx: Tx, asks: Sequence[LimitsChange], at: datetime
) -> tuple[dict[int, Wallet], list[Wallet | Refusal]]:
    assert len({ask.wallet_id for ask in asks}) == len(asks), "one change for each wallet"
    wallets = {wallet.id: wallet for wallet in await sql.lock(tx, [ask.wallet_id for ask in asks])}
    return wallets, [with_limits(wallets.get(ask.wallet_id), ask, at) for ask in asks]


async def list_wallets(tx: Tx, wanted: WalletFilter, ask: PageAsk) -> Page[Wallet]:
    """Wallets that fit, newest first."""
    wallets, total = await sql.list_wallets(tx, wanted, ask)
    return Page(wallets, ask, total)


async def find_wallets(tx: Tx, wanted: WalletFilter, limit: int) -> list[Wallet]:
    """At most `limit` wallets that fit, newest first, older than `wanted.before_id`."""
    return await sql.find_wallets(tx, wanted, limit)


async def list_for_client(tx: Tx, client_id: int) -> list[Wallet]:
    """Every wallet of one client, whatever its status, in order of id; nothing is locked."""
    return await sql.read_of_clients(tx, [client_id])


async def owners(tx: Tx, client_ids: Sequence[int]) -> dict[int, int]:
    """The client of every wallet of these clients, by wallet id; nothing is locked."""
    return {wallet.id: wallet.client_id for wallet in await sql.read_of_clients(tx, client_ids)}


async def get(
    tx: Tx, wallet_ids: Sequence[int], *, client_id: int | None = None
) -> list[Wallet | Refusal]:
    """Read wallets without a lock, in order. With `client_id` another's is as unknown (D13)."""
    found = {wallet.id: wallet for wallet in await sql.read(tx, wallet_ids, client_id)}
    return [found.get(wallet_id) or WalletNotFound() for wallet_id in wallet_ids]


async def transactions(tx: Tx, wanted: TransactionFilter, ask: PageAsk) -> Page[Transaction]:
    """Ledger lines that fit, newest first, each with the balance it left; with the total."""
    assert wanted.before_id is None, "a page or a cursor, not both"
    lines = await sql.transactions(tx, wanted, ask.size, ask.offset)
    return Page(lines, ask, await sql.count_transactions(tx, wanted))


async def transactions_after(tx: Tx, wanted: TransactionFilter, limit: int) -> list[Transaction]:
    """At most `limit` ledger lines that fit and are older than `wanted.before_id`, newest first."""
    return await sql.transactions(tx, wanted, limit, 0)


async def get_transactions(
    tx: Tx, transfer_ids: Sequence[int], *, client_id: int | None = None
) -> list[Transaction | Refusal]:
    """Ledger lines by id, in order. With `client_id` another's is as unknown (D13)."""
    found = {line.id: line for line in await sql.read_transactions(tx, transfer_ids, client_id)}
    return [found.get(transfer_id) or TransactionNotFound() for transfer_id in transfer_ids]


async def of_order(tx: Tx, order_id: int, limit: int) -> list[Transaction]:
    """What one order moved on its wallet, oldest first, each with the balance it left."""
    return await sql_orders.of_order(tx, order_id, limit)
