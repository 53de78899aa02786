"""Which shelves there are, and how much stands on each, looking only at what is told of them.

Grouping would walk over every unit in stock. A shelf is found by one look into each index instead,
and counted no further than up to what its asker wants to know.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from rewards.catalog.model import ShelfKey
from rewards.infra.db import Tx
from rewards.inventory.sql import OF_SHELF, columns, end_read

# Before every shelf: ids and values are above zero.
FIRST = ShelfKey(0, 0, "")
PRODUCT_LAST = 2**63 - 1

# `loaded` is written out because each form is the condition of one partial index.
LOADED, WAITING, BLOCKED = (
    "shelf AS s WHERE s.loaded",
    "shelf AS s WHERE NOT s.loaded",
    ("blocked_units AS s WHERE true"),
)


def _walk(*places: str) -> str:
    """Shelves behind one, up to a product, in order: each found from the one before it."""
    following = " UNION ALL ".join(
        f"""(
            SELECT s.product_id, s.denomination_minor, s.currency FROM {place}
            AND (s.product_id, s.denomination_minor, s.currency)
                > (walk.product_id, walk.denomination_minor, walk.currency)
            AND s.product_id <= $4::bigint
            ORDER BY s.product_id, s.denomination_minor, s.currency LIMIT 1
        )"""
        for place in places
    )
    return f"""
WITH RECURSIVE walk AS (
    SELECT $1::bigint AS product_id, $2::bigint AS denomination_minor, $3::text AS currency
    UNION ALL
    SELECT following.* FROM walk CROSS JOIN LATERAL (
        SELECT * FROM ({following}) AS each_first
        ORDER BY product_id, denomination_minor, currency LIMIT 1
    ) AS following
)
SELECT product_id, denomination_minor, currency FROM walk OFFSET 1 LIMIT $5::bigint
"""


IN_POOL = _walk(LOADED)
FOR_SALE = _walk(LOADED, WAITING)
IN_STOCK = _walk(LOADED, WAITING, BLOCKED)


async def find(
    tx: Tx,
    walk: str,
    limit: int,
    after: ShelfKey | None = None,
    product_ids: tuple[int, int] | None = None,
) -> list[ShelfKey]:
    """The first `limit` shelves of a walk behind `after`, by product, value and currency.

    `product_ids`: the first and the last product that count.
    """
    first, last = product_ids or (0, PRODUCT_LAST)
    begin = max(after or FIRST, ShelfKey(first, 0, ""))
    return [ShelfKey(*row) for row in await tx.fetch(walk, *begin, last, limit)]


class Counted(NamedTuple):
    """Units on one shelf; `next_expiry_at` is of those in the pool."""

    loaded: int
    waiting: int
    blocked: int
    next_expiry_at: datetime | None


_ASKED = """
FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[])
    WITH ORDINALITY AS ask (product_id, denomination_minor, currency, most, turn)
ORDER BY ask.turn
"""
_POOL = f"FROM {LOADED} AND {OF_SHELF} AND s.expires_at > $5::timestamptz"
# In the order of the index: or a planner may look at all of a shelf and then count no further.
_UP_TO = "ORDER BY s.expires_at LIMIT ask.most"
COUNT_UNITS = f"""
SELECT (SELECT count(*) FROM (SELECT {_POOL} {_UP_TO}) AS s),
    (SELECT count(*) FROM (SELECT FROM {WAITING} AND {OF_SHELF} {_UP_TO}) AS s),
    (SELECT count(*) FROM (SELECT FROM {BLOCKED} AND {OF_SHELF} LIMIT ask.most) AS s),
    (SELECT s.expires_at {_POOL} ORDER BY s.expires_at LIMIT 1)
{_ASKED}
"""


async def count_units(
    tx: Tx, keys: Sequence[ShelfKey], most: Sequence[int | None], now: datetime
) -> list[Counted]:
    """What stands on each shelf; each number is counted up to `most`, without one to the end."""
    rows = await tx.fetch(COUNT_UNITS, *columns(keys), most, now)
    return [
        Counted(loaded, waiting, blocked, None if ends is None else end_read(ends))
        for loaded, waiting, blocked, ends in rows
    ]


COUNT_FOR_SALE = f"""
SELECT (
    SELECT count(*) FROM (
        (SELECT 1 {_POOL} {_UP_TO})
        UNION ALL (SELECT 1 FROM {WAITING} AND {OF_SHELF} {_UP_TO}) LIMIT ask.most
    ) AS s
)
{_ASKED}
"""


async def count_for_sale(
    tx: Tx, keys: Sequence[ShelfKey], most: Sequence[int], now: datetime
) -> list[int]:
    """Units that can be sold now or after a pump, each shelf counted up to its own `most`."""
    return [count for (count,) in await tx.fetch(COUNT_FOR_SALE, *columns(keys), most, now)]
