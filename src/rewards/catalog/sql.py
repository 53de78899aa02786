"""Every statement on products, their wording, denominations and visibility, and reference data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Any

from rewards.catalog.model import (
    Classification,
    DeliveryType,
    Denomination,
    LinkType,
    Product,
    ProductFacts,
    ProductType,
    Visibility,
    Wording,
)
from rewards.core.money import plain
from rewards.infra.db import Record, Tx

# A whole catalogue is read in pages: its size must not run into the time one statement may take.
PRODUCTS_A_PAGE = 1_000

# One statement, so that a product is never read half changed.
READ_PRODUCTS = """
SELECT p.*, r.name, r.description, r.terms, r.redemption, c.exponent,
    ARRAY(SELECT d.min_minor FROM denominations AS d WHERE d.product_id = p.id
          ORDER BY d.min_minor) AS least,
    ARRAY(SELECT d.max_minor FROM denominations AS d WHERE d.product_id = p.id
          ORDER BY d.min_minor) AS most,
    ARRAY(SELECT v.client_id FROM product_visibility AS v
          WHERE v.product_id = p.id AND v.visible <> p.visible_by_default) AS exceptions
FROM products AS p
JOIN product_revisions AS r ON r.id = p.revision_id
JOIN currencies AS c ON c.code = p.currency
"""
READ_PRODUCTS_BEHIND = READ_PRODUCTS + " WHERE p.id > $1 ORDER BY p.id LIMIT $2"
READ_THESE_PRODUCTS = READ_PRODUCTS + " WHERE p.id = ANY($1::bigint[]) ORDER BY p.id"


async def read_products(tx: Tx, product_ids: Sequence[int] | None = None) -> list[Product]:
    """Those asked for that exist, or all; by id."""
    if product_ids is not None:
        return [_product(row) for row in await tx.fetch(READ_THESE_PRODUCTS, product_ids)]
    found: list[Product] = []
    more = True
    while more:
        after_id = found[-1].id if found else 0
        rows = await tx.fetch(READ_PRODUCTS_BEHIND, after_id, PRODUCTS_A_PAGE)
        found += [_product(row) for row in rows]
        more = len(rows) == PRODUCTS_A_PAGE
    return found


def _product(row: Record) -> Product:
    given = {name: row[name] for name in PLAIN_COLUMNS}
    link, vendors = row["link_type"], row["vendor_discount_percent"]
    return Product(
        **given,
        tax_percent=plain(row["tax_percent"]),
        vendor_discount_percent=None if vendors is None else plain(vendors),
        type=ProductType(row["type"]),
        delivery_type=DeliveryType(row["delivery_type"]),
        voucher_fields=tuple(row["voucher_fields"]),
        classification=Classification(row["classification"]),
        link_type=None if link is None else LinkType(link),
        id=row["id"],
        revision_id=row["revision_id"],
        exponent=row["exponent"],
        visibility_exceptions=frozenset(row["exceptions"]),
        denominations=tuple(map(Denomination, row["least"], row["most"])),
        created_at=row["created_at"],
    )


_CONVERTED = {
    "type",
    "delivery_type",
    "voucher_fields",
    "classification",
    "link_type",
    "tax_percent",
    "vendor_discount_percent",
}
PLAIN_COLUMNS = [each.name for each in fields(ProductFacts) if each.name not in _CONVERTED]

READ_WORDINGS = """
SELECT id, product_id, name, description, terms, redemption FROM product_revisions
WHERE id = ANY($1::bigint[])
"""


async def read_wordings(tx: Tx, revision_ids: Sequence[int]) -> list[Wording]:
    rows = await tx.fetch(READ_WORDINGS, revision_ids)
    return [Wording(*row) for row in rows]


# Products are added rarely and by hand; one adder at a time lets ids that were chosen and ids from
# the sequence never meet.
LOCK_PRODUCT_IDS = "SELECT pg_advisory_xact_lock(7203114906)"
FIND_PRODUCTS = "SELECT id FROM products WHERE id = ANY($1::bigint[]) ORDER BY id"
NEXT_PRODUCT_IDS = "SELECT nextval('products_id_seq') AS id FROM generate_series(1, $1::int)"
MOVE_PRODUCT_IDS = """
SELECT setval('products_id_seq', $1) FROM products_id_seq WHERE last_value <= $1
"""


async def lock_product_ids(tx: Tx) -> None:
    """Keeps everybody else from adding products until this transaction ends."""
    await tx.execute(LOCK_PRODUCT_IDS)


async def find_products(tx: Tx, product_ids: Sequence[int]) -> set[int]:
    return {row["id"] for row in await tx.fetch(FIND_PRODUCTS, product_ids)}


async def next_product_ids(tx: Tx, count: int) -> list[int]:
    return [row["id"] for row in await tx.fetch(NEXT_PRODUCT_IDS, count)]


async def move_product_ids(tx: Tx, product_id: int) -> None:
    """From now on the sequence gives higher ids than this one."""
    await tx.execute(MOVE_PRODUCT_IDS, product_id)


INSERT_WORDINGS = """
WITH ask AS (
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[])
        WITH ORDINALITY AS a (product_id, name, description, terms, redemption, turn)
)
INSERT INTO product_revisions (product_id, name, description, terms, redemption, created_at)
SELECT product_id, name, description, terms, redemption, $6 FROM ask ORDER BY turn
RETURNING id, product_id
"""


async def insert_wordings(
    tx: Tx, wordings: Mapping[int, ProductFacts], at: datetime
) -> dict[int, int]:
    """A new revision of each product; revision ids by product id."""
    facts = list(wordings.values())
    rows = await tx.fetch(
        INSERT_WORDINGS,
        list(wordings),
        [each.name for each in facts],
        [each.description for each in facts],
        [each.terms for each in facts],
        [each.redemption for each in facts],
        at,
    )
    return {row["product_id"]: row["id"] for row in rows}


WORDING = ("name", "description", "terms", "redemption")
# Column and type of everything in the row of a product that staff decide.
COLUMNS = {
    "category_id": "integer",
    "subcategory_id": "integer",
    "country": "text",
    "currency": "text",
    "type": "text",
    "delivery_type": "text",
    "voucher_fields": "text[]",
    "classification": "text",
    "link_type": "text",
    "active": "boolean",
    "image_url": "text",
    "validity": "text",
    "realtime": "boolean",
    "allow_auto_vendor_fulfill": "boolean",
    "max_quantity": "integer",
    "request_quantity_max": "integer",
    "filled_quantity_max": "integer",
    "pool_target": "integer",
    "minimum_life_days": "integer",
    "handling_fee_minor": "bigint",
    "tax_percent": "numeric",
    "vendor_discount_percent": "numeric",
    "visible_by_default": "boolean",
}
assert set(COLUMNS) | set(WORDING) == {each.name for each in fields(ProductFacts)}
_NAMES = ", ".join(COLUMNS)
# Arrays of different lengths do not fit into unnest, so the rows travel as JSON.
_ASK = "jsonb_to_recordset($1::jsonb) AS ask (id bigint, revision_id bigint, " + (
    ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items()) + ")"
)
INSERT_PRODUCTS = f"""
INSERT INTO products (id, revision_id, {_NAMES}, created_at)
SELECT id, revision_id, {_NAMES}, $2 FROM {_ASK}
"""
UPDATE_PRODUCTS = f"""
UPDATE products AS p SET revision_id = ask.revision_id,
    {", ".join(f"{name} = ask.{name}" for name in COLUMNS)}
FROM {_ASK}
WHERE p.id = ask.id
"""


@dataclass(frozen=True, slots=True)
class ProductRow:
    product_id: int
    revision_id: int
    facts: ProductFacts

    def as_json(self) -> dict[str, Any]:
        row: dict[str, Any] = {"id": self.product_id, "revision_id": self.revision_id}
        for name in COLUMNS:
            value = getattr(self.facts, name)
            row[name] = str(value) if isinstance(value, Decimal) else value
        return row


async def insert_products(tx: Tx, rows: Sequence[ProductRow], at: datetime) -> None:
    await tx.execute(INSERT_PRODUCTS, [row.as_json() for row in rows], at)


async def update_products(tx: Tx, rows: Sequence[ProductRow]) -> None:
    """Write products whose rows this transaction has locked."""
    await tx.execute(UPDATE_PRODUCTS, [row.as_json() for row in rows])


LOCK_PRODUCTS = FIND_PRODUCTS + " FOR UPDATE"


async def lock_products(tx: Tx, product_ids: Sequence[int]) -> dict[int, Product]:
    """Lock in id order, then read: what another transaction wrote while we waited is seen."""
    await tx.execute(LOCK_PRODUCTS, product_ids)
    return {product.id: product for product in await read_products(tx, product_ids)}


DELETE_DENOMINATIONS = "DELETE FROM denominations WHERE product_id = ANY($1::bigint[])"
INSERT_DENOMINATIONS = """
INSERT INTO denominations (product_id, min_minor, max_minor)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[])
"""


async def replace_denominations(tx: Tx, wanted: Mapping[int, Sequence[Denomination]]) -> None:
    """Give each product, whose row this transaction has locked or made, these and no others."""
    rows = [(product_id, *each) for product_id, ranges in wanted.items() for each in ranges]
    await tx.execute(DELETE_DENOMINATIONS, list(wanted))
    await tx.execute(
        INSERT_DENOMINATIONS,
        [row[0] for row in rows],
        [row[1] for row in rows],
        [row[2] for row in rows],
    )


DELETE_VISIBILITY = """
DELETE FROM product_visibility AS v USING unnest($1::bigint[], $2::bigint[])
    AS ask (product_id, client_id)
WHERE v.product_id = ask.product_id AND v.client_id = ask.client_id
"""
UPSERT_VISIBILITY = """
INSERT INTO product_visibility (product_id, client_id, visible)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::boolean[])
    AS ask (product_id, client_id, visible)
ORDER BY ask.product_id, ask.client_id
ON CONFLICT (product_id, client_id) DO UPDATE SET visible = excluded.visible
"""


async def write_visibility(tx: Tx, wanted: Sequence[Visibility]) -> None:
    """Each pair of product and client at most once."""
    gone = [each for each in wanted if each.visible is None]
    kept = [each for each in wanted if each.visible is not None]
    await tx.execute(
        DELETE_VISIBILITY, [each.product_id for each in gone], [each.client_id for each in gone]
    )
    await tx.execute(
        UPSERT_VISIBILITY,
        [each.product_id for each in kept],
        [each.client_id for each in kept],
        [each.visible for each in kept],
    )
