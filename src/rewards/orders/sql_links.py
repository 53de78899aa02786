"""Statements about the claim links of orders' items; the links themselves are not theirs."""

from rewards.infra.db import Tx

LACKING_LINKS = """
SELECT DISTINCT order_id FROM order_items
WHERE link_status = 'GV_LINK_PENDING' AND status = 'DELIVERED' AND order_id > $1
ORDER BY order_id LIMIT $2
"""


async def lacking_links(tx: Tx, after_id: int, limit: int) -> list[int]:
    """Orders with items whose links are still to be made, in id order from `after_id` on."""
    return [row["order_id"] for row in await tx.fetch(LACKING_LINKS, after_id, limit)]


READ_HASH = "SELECT claim_password_hash FROM orders WHERE id = $1"


async def password_hash(tx: Tx, order_id: int) -> str | None:
    """The digest that a PROTECTED order's links are opened with."""
    found: str | None = await tx.fetchval(READ_HASH, order_id)
    return found
