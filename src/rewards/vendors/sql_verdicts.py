"""The statements of a person's verdict on a purchase that its transaction has locked."""

from datetime import datetime

from rewards.infra.db import Tx

# By the database's clock, as every lease.
BEING_ASKED = "SELECT coalesce(leased_until >= now(), false) FROM vendor_orders WHERE id = $1"
READ_AT = "UPDATE vendor_orders SET next_at = $2 WHERE id = $1"


async def being_asked(tx: Tx, purchase_id: int) -> bool:
    """Whether a worker's call about it is on its way."""
    asked: bool = await tx.fetchval(BEING_ASKED, purchase_id)
    return asked


async def read_at(tx: Tx, purchase_id: int, at: datetime) -> None:
    """Have it read then; who reads it now keeps the lease, and what comes of that counts."""
    await tx.execute(READ_AT, purchase_id, at)
