"""What others may do with wallets: lock them and book movements on them."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from rewards.infra.db import Tx
from rewards.wallets import sql
from rewards.wallets.model import NewWallet, Posted, Posting, Wallet, chain


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
    await sql.open_accounts(tx, [new.currency for new in news])
    return await sql.open_wallets(tx, news, at)
