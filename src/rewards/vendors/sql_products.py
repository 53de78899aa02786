"""Every statement on which vendor sells which product of ours."""

from rewards.core.page import PageAsk
from rewards.infra.db import Record, Tx
from rewards.vendors.kept import Mapped

COLUMNS = """s.vendor_id, s.product_id, s.sku, s.discount_percent, s.priority, s.active,
    s.fee_minor"""
LOCK = f"""
SELECT {COLUMNS} FROM vendor_products AS s WHERE s.vendor_id = $1 AND s.product_id = $2 FOR UPDATE
"""
SET = f"""
INSERT INTO vendor_products AS s (
    vendor_id, product_id, sku, discount_percent, priority, active, fee_minor
) VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT ON CONSTRAINT vendor_products_pk DO UPDATE
SET sku = excluded.sku, discount_percent = excluded.discount_percent,
    priority = excluded.priority, active = excluded.active, fee_minor = excluded.fee_minor
RETURNING {COLUMNS}
"""
LIST = f"""
SELECT {COLUMNS} FROM vendor_products AS s WHERE s.vendor_id = $1
ORDER BY s.product_id LIMIT $2 OFFSET $3
"""
COUNT = "SELECT count(*) FROM vendor_products WHERE vendor_id = $1"


def _mapped(row: Record) -> Mapped:
    return Mapped(**row)


async def lock_product(tx: Tx, vendor_id: int, product_id: int) -> Mapped | None:
    row = await tx.fetchrow(LOCK, vendor_id, product_id)
    return _mapped(row) if row else None


async def set_product(tx: Tx, mapped: Mapped) -> Mapped:
    row = await tx.fetchrow(
        SET,
        mapped.vendor_id,
        mapped.product_id,
        mapped.sku,
        mapped.discount_percent,
        mapped.priority,
        mapped.active,
        mapped.fee_minor,
    )
    assert row is not None
    return _mapped(row)


async def list_products(tx: Tx, vendor_id: int, ask: PageAsk) -> tuple[list[Mapped], int]:
    rows = await tx.fetch(LIST, vendor_id, ask.size, ask.offset)
    return [_mapped(row) for row in rows], int(await tx.fetchval(COUNT, vendor_id))
