"""Every statement on client_discounts."""

from collections.abc import Sequence
from decimal import Decimal

from rewards.core.money import plain
from rewards.core.page import PageAsk
from rewards.infra.db import Tx
from rewards.pricing.model import ClientDiscount

READ_DISCOUNTS = "SELECT product_id, client_id, percent FROM client_discounts"
LIST_DISCOUNTS = """
SELECT client_id, percent FROM client_discounts WHERE product_id = $1
ORDER BY client_id LIMIT $2 OFFSET $3
"""
COUNT_DISCOUNTS = "SELECT count(*) FROM client_discounts WHERE product_id = $1"
LIST_OF_CLIENT = """
SELECT product_id, percent FROM client_discounts WHERE client_id = $1
ORDER BY product_id LIMIT $2 OFFSET $3
"""
COUNT_OF_CLIENT = "SELECT count(*) FROM client_discounts WHERE client_id = $1"
READ_DISCOUNT = "SELECT percent FROM client_discounts WHERE product_id = $1 AND client_id = $2"
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


async def list_discounts(tx: Tx, product_id: int, ask: PageAsk) -> tuple[list[ClientDiscount], int]:
    rows = await tx.fetch(LIST_DISCOUNTS, product_id, ask.size, ask.offset)
    total: int = await tx.fetchval(COUNT_DISCOUNTS, product_id)
    found = [ClientDiscount(row["client_id"], product_id, plain(row["percent"])) for row in rows]
    return found, total


async def list_of_client(tx: Tx, client_id: int, ask: PageAsk) -> tuple[list[ClientDiscount], int]:
    rows = await tx.fetch(LIST_OF_CLIENT, client_id, ask.size, ask.offset)
    total: int = await tx.fetchval(COUNT_OF_CLIENT, client_id)
    found = [ClientDiscount(client_id, row["product_id"], plain(row["percent"])) for row in rows]
    return found, total


async def read_discount(tx: Tx, product_id: int, client_id: int) -> Decimal | None:
    percent = await tx.fetchval(READ_DISCOUNT, product_id, client_id)
    return None if percent is None else plain(percent)


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
