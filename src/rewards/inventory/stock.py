"""What stands on the shelves, as staff are told of it: bounded, however much that is."""

from collections.abc import Sequence
from datetime import datetime

from rewards.catalog.model import ShelfKey
from rewards.infra.db import Tx
from rewards.inventory import sql_shelves
from rewards.inventory.model import Products, ShelfDepth

# A number on a page is counted this far, and up to the target of the pool where that is more; of
# what nobody can have meant no more than the second is counted.
COUNT_MAX, TARGET_MAX = 10_000, 1_000_000
SHELVES_MAX = 10_000


async def depth_report(
    tx: Tx,
    products: Products,
    now: datetime,
    limit: int,
    *,
    after: ShelfKey | None = None,
    product_id: int | None = None,
    exact: bool = False,
) -> list[ShelfDepth]:
    """The first `limit` shelves behind `after` that have units for sale or blocked ones, by
    product, denomination and currency; of one product, or of all.

    `loaded` counts what allocation could take; `target` is None for a product the catalogue does
    not know. Counts each number up to COUNT_MAX, or to the pool's target, so that it is exact
    wherever it says how full the pool is. `exact` counts to the end, every unit: for a file that a
    worker writes, not for a page.
    """
    narrow = None if product_id is None else (product_id, product_id)
    shelves = await sql_shelves.find(tx, sql_shelves.IN_STOCK, limit, after, narrow)
    known = [products.product(shelf.product_id) for shelf in shelves]
    targets = [product.pool_target if product else None for product in known]
    most = [None if exact else _counted_to(target) for target in targets]
    counted = await sql_shelves.count_units(tx, shelves, most, now) if shelves else []
    return [
        ShelfDepth(
            shelf, units.loaded, units.waiting, units.blocked, target, units.next_expiry_at, to
        )
        for shelf, units, target, to in zip(shelves, counted, targets, most, strict=True)
    ]


def _counted_to(target: int | None) -> int:
    return max(COUNT_MAX, min(target or 0, TARGET_MAX))


async def in_stock(tx: Tx, product_ids: Sequence[int] | None = None) -> list[ShelfKey]:
    """Shelves with units for sale or blocked ones, of these products or of all; the first
    SHELVES_MAX. It looks at the shelves between the first of the products and the last."""
    if product_ids is None:
        return await sql_shelves.find(tx, sql_shelves.IN_STOCK, SHELVES_MAX)
    if not product_ids:
        return []
    span = min(product_ids), max(product_ids)
    found = await sql_shelves.find(tx, sql_shelves.IN_STOCK, SHELVES_MAX, product_ids=span)
    wanted = frozenset(product_ids)
    return [shelf for shelf in found if shelf.product_id in wanted]


async def for_sale(
    tx: Tx, shelves: Sequence[ShelfKey], most: Sequence[int], now: datetime
) -> list[int]:
    """Units of each shelf that can be sold now or after the next pump, counted up to its `most`."""
    return await sql_shelves.count_for_sale(tx, shelves, most, now) if shelves else []
