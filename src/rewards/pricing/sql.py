"""Every statement on fx_rates and client_discounts."""

from collections.abc import Sequence
from decimal import Decimal

from rewards.core.money import plain
from rewards.infra.db import Tx
from rewards.pricing.model import ClientDiscount, NewRate

# The table keeps every rate there ever was. This walks its index from pair to pair and reads one
# row of each, however many there are.
READ_RATES = """
WITH RECURSIVE newest AS (
    (SELECT source, target, rate FROM fx_rates ORDER BY source, target, id DESC LIMIT 1)
    UNION ALL
    SELECT next.source, next.target, next.rate
    FROM newest CROSS JOIN LATERAL (
        SELECT f.source, f.target, f.rate FROM fx_rates AS f
        WHERE (f.source, f.target) > (newest.source, newest.target)
        ORDER BY f.source, f.target, f.id DESC LIMIT 1
    ) AS next
)
SELECT source, target, rate FROM newest
"""


async def read_rates(tx: Tx) -> dict[tuple[str, str], Decimal]:
    """The rate in force for each pair."""
    rows = await tx.fetch(READ_RATES)
    return {(row["source"], row["target"]): plain(row["rate"]) for row in rows}


INSERT_RATES = """
INSERT INTO fx_rates (source, target, rate, origin, quoted_at)
SELECT source, target, rate, origin, quoted_at
FROM unnest($1::text[], $2::text[], $3::numeric[], $4::text[], $5::timestamptz[])
    WITH ORDINALITY AS ask (source, target, rate, origin, quoted_at, turn)
ORDER BY turn
"""


async def insert_rates(tx: Tx, rates: Sequence[NewRate]) -> None:
    await tx.execute(
        INSERT_RATES,
        [each.source for each in rates],
        [each.target for each in rates],
        [each.rate for each in rates],
        [each.origin for each in rates],
        [each.quoted_at for each in rates],
    )


READ_DISCOUNTS = "SELECT product_id, client_id, percent FROM client_discounts"
READ_THESE_DISCOUNTS = READ_DISCOUNTS + " WHERE product_id = ANY($1::bigint[])"


async def read_discounts(
    tx: Tx, product_ids: Sequence[int] | None = None
) -> dict[int, dict[int, Decimal]]:
    """Percent by client, by product: of these products, or of all. No entry where there is none."""
    if product_ids is None:
        rows = await tx.fetch(READ_DISCOUNTS)
    else:
        rows = await tx.fetch(READ_THESE_DISCOUNTS, product_ids)
    found: dict[int, dict[int, Decimal]] = {}
    for product_id, client_id, percent in rows:
        found.setdefault(product_id, {})[client_id] = plain(percent)
    return found


DELETE_DISCOUNTS = """
DELETE FROM client_discounts AS d
USING unnest($1::bigint[], $2::bigint[]) AS ask (product_id, client_id)
WHERE d.product_id = ask.product_id AND d.client_id = ask.client_id
"""
UPSERT_DISCOUNTS = """
INSERT INTO client_discounts (product_id, client_id, percent)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::numeric[])
    AS ask (product_id, client_id, percent)
ORDER BY ask.product_id, ask.client_id
ON CONFLICT (product_id, client_id) DO UPDATE SET percent = excluded.percent
"""


async def write_discounts(tx: Tx, wanted: Sequence[ClientDiscount]) -> None:
    """Each pair of product and client at most once."""
    gone = [each for each in wanted if each.percent is None]
    kept = [each for each in wanted if each.percent is not None]
    await tx.execute(
        DELETE_DISCOUNTS, [each.product_id for each in gone], [each.client_id for each in gone]
    )
    await tx.execute(
        UPSERT_DISCOUNTS,
        [each.product_id for each in kept],
        [each.client_id for each in kept],
        [each.percent for each in kept],
    )
