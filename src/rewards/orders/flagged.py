"""What products' flags bought lately in nobody's name: it has a day's limit as a person has."""

from collections.abc import Collection, Sequence
from datetime import datetime

from rewards.infra.db import Tx
from rewards.orders import sql_flagged
from rewards.orders.model import Order
from rewards.orders.vendor_limit import Spent
from rewards.pricing.one_person import WINDOW

FORGET_MAX = 10_000


async def spent(tx: Tx, client_ids: Collection[int], at: datetime) -> Spent:
    """Sums (minor units, currency) of the last 24 hours, for each of these clients (ADR 0038).

    The clients are locked against others who ask the same until the transaction ends, so that no
    two workers decide beside each other. Take it after every lock of rows.
    """
    await sql_flagged.lock_clients(tx, client_ids)
    return await sql_flagged.spent(tx, client_ids, at - WINDOW)


async def note(tx: Tx, orders: Sequence[Order], at: datetime) -> None:
    """Remember what these orders lacked as bought in nobody's name."""
    if orders:
        await sql_flagged.add(tx, orders, at)


async def forget(tx: Tx, at: datetime) -> int:
    """Drop what counts no more; how many rows, at most FORGET_MAX."""
    return await sql_flagged.forget(tx, at - 2 * WINDOW, FORGET_MAX)
