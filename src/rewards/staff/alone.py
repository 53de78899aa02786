"""What one person did without a second lately: many small acts are one large one (spec.md §8)."""

from collections.abc import Collection, Sequence
from datetime import datetime

from rewards.infra.db import Tx
from rewards.orders import flagged
from rewards.pricing.one_person import WINDOW
from rewards.staff import sql_alone
from rewards.staff.model_approvals import LoneAct, Scope
from rewards.wallets import service as wallets

FORGET_MAX = 10_000


async def spent(
    tx: Tx, staff_id: int, scope: Scope, scope_ids: Collection[int], at: datetime
) -> dict[int, list[tuple[int, str]]]:
    """Sums (minor units, currency) of the last 24 hours, for each of these.

    What a second person agreed to does not count. The person is locked until the transaction ends,
    so that none of their acts is decided beside another. Take it after every other lock.
    """
    await sql_alone.lock_person(tx, staff_id)
    return await seen(tx, staff_id, scope, scope_ids, at)


async def seen(
    tx: Tx, staff_id: int, scope: Scope, scope_ids: Collection[int], at: datetime
) -> dict[int, list[tuple[int, str]]]:
    """The same for whoever only wants to know: nobody is locked, nothing can be decided by it."""
    return await sql_alone.spent(tx, staff_id, scope, scope_ids, at - WINDOW)


async def spent_on_wallets(
    tx: Tx, staff_id: int, client_ids: Collection[int], at: datetime
) -> dict[int, list[tuple[int, str]]]:
    """As `spent`, for each of these clients over all of their wallets: whoever may open wallets
    would have a limit for each of them."""
    await sql_alone.lock_person(tx, staff_id)
    return await seen_on_wallets(tx, staff_id, client_ids, at)


async def seen_on_wallets(
    tx: Tx, staff_id: int, client_ids: Collection[int], at: datetime
) -> dict[int, list[tuple[int, str]]]:
    """The same for whoever only wants to know, as `seen`."""
    found: dict[int, list[tuple[int, str]]] = {client_id: [] for client_id in client_ids}
    if not found:
        return found
    owners = await wallets.owners(tx, list(found))
    for wallet_id, sums in (await seen(tx, staff_id, Scope.WALLET, owners, at)).items():
        found[owners[wallet_id]] += sums
    return found


async def note(tx: Tx, acts: Sequence[LoneAct], at: datetime) -> None:
    """Remember acts that one person was enough for; those of 0 count for nothing."""
    counting = [act for act in acts if act.amount_minor]
    if counting:
        await sql_alone.add(tx, counting, at)


async def forget(tx: Tx, at: datetime) -> int:
    """Drop what counts no more, also of products' flags; how many rows, at most FORGET_MAX each."""
    gone = await flagged.forget(tx, at)
    return gone + await sql_alone.forget(tx, at - 2 * WINDOW, FORGET_MAX)
