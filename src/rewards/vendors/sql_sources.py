"""Where products can be bought: who sells them, what catalogues say, what is left to pay with."""

from collections.abc import Sequence

from rewards.infra.db import Record, Tx
from rewards.vendors.model import Offer, Source

SOURCES = """
SELECT p.vendor_id, v.name AS vendor, p.product_id, p.sku, p.discount_percent, p.fee_minor,
    p.priority, p.active AND v.status = 'ACTIVE' AS active
FROM vendor_products AS p JOIN vendors AS v ON v.id = p.vendor_id
WHERE p.product_id = ANY($1::bigint[])
ORDER BY p.product_id, p.priority, p.vendor_id
"""


async def sources(tx: Tx, product_ids: Sequence[int]) -> dict[int, list[Source]]:
    found: dict[int, list[Source]] = {product_id: [] for product_id in product_ids}
    for row in await tx.fetch(SOURCES, product_ids):
        found[row["product_id"]].append(Source(**row))
    return found


BALANCES = """
SELECT vendor_id, currency, balance_minor, read_at FROM vendor_balances
WHERE vendor_id = ANY($1::bigint[]) AND currency = $2
"""


async def balances(tx: Tx, vendor_ids: Sequence[int], currency: str) -> list[Record]:
    return list(await tx.fetch(BALANCES, vendor_ids, currency))


OFFERS = """
SELECT o.vendor_id, o.sku, o.name, o.currency, o.min_minor, o.max_minor, o.fixed_minor, o.stock,
    o.active
FROM unnest($1::bigint[], $2::text[]) AS ask (vendor_id, sku)
JOIN vendor_offers AS o ON o.vendor_id = ask.vendor_id AND o.sku = ask.sku
"""


async def offers(tx: Tx, pairs: Sequence[tuple[int, str]]) -> dict[tuple[int, str], Offer]:
    rows = await tx.fetch(OFFERS, [vendor for vendor, _ in pairs], [sku for _, sku in pairs])
    return {(row["vendor_id"], row["sku"]): _as_offer(row) for row in rows}


def _as_offer(row: Record) -> Offer:
    facts = dict(row)
    del facts["vendor_id"]
    return Offer(**(facts | {"fixed_minor": tuple(facts["fixed_minor"])}))
