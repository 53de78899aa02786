"""Which shelves there are, found by one look into the index for each."""

from rewards.catalog.model import ShelfKey
from rewards.infra.db import Tx

# Grouping would walk over every unit of the pool.
LOADED = """
WITH RECURSIVE walk AS (
    (SELECT product_id, denomination_minor, currency FROM shelf WHERE loaded
    ORDER BY product_id, denomination_minor, currency LIMIT 1)
    UNION ALL
    SELECT following.* FROM walk CROSS JOIN LATERAL (
        SELECT s.product_id, s.denomination_minor, s.currency FROM shelf AS s
        WHERE s.loaded AND (s.product_id, s.denomination_minor, s.currency)
            > (walk.product_id, walk.denomination_minor, walk.currency)
        ORDER BY s.product_id, s.denomination_minor, s.currency LIMIT 1
    ) AS following
)
SELECT product_id, denomination_minor, currency FROM walk LIMIT $1
"""


async def loaded(tx: Tx, limit: int) -> list[ShelfKey]:
    """Shelves with units in the pool, the first `limit` by product, value and currency."""
    return [ShelfKey(*row) for row in await tx.fetch(LOADED, limit)]
