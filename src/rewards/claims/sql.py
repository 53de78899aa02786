"""Every statement on `claim_links`."""

from collections.abc import Sequence
from datetime import datetime

from rewards.claims.model import TRIES_MAX, TRIES_PER, Link
from rewards.infra.db import Record, Tx

NEXT_IDS = "SELECT nextval('claim_links_id_seq') AS id FROM generate_series(1, $1)"


async def next_ids(tx: Tx, count: int) -> list[int]:
    """Ids for links to come: a token is sealed for its own row."""
    return [row["id"] for row in await tx.fetch(NEXT_IDS, count)]


# The claim of a link that was replaced goes on counting with the one in its place.
INSERT = """
INSERT INTO claim_links
    (id, order_id, position, digest, sealed, claim_before, created_at, claimed_at)
SELECT ask.id, ask.order_id, ask.position, ask.digest, ask.sealed, ask.claim_before, $8,
    ask.claimed_at
FROM unnest(
    $1::bigint[], $2::bigint[], $3::int[], $4::bytea[], $5::bytea[], $6::timestamptz[],
    $7::timestamptz[]
) AS ask (id, order_id, position, digest, sealed, claim_before, claimed_at)
"""


async def insert(
    tx: Tx,
    rows: Sequence[tuple[int, int, int, bytes, bytes, datetime, datetime | None]],
    at: datetime,
) -> None:
    """(id, order, position, digest, sealed, claim before, claimed at) of each new link."""
    if rows:
        await tx.execute(INSERT, *map(list, zip(*rows, strict=True)), at)


FIND_LIVE = """
SELECT id, order_id, position, claim_before, claimed_at, sealed FROM claim_links
WHERE order_id = ANY($1::bigint[]) AND ended_at IS NULL
ORDER BY order_id, position
"""


async def find_live(tx: Tx, order_ids: Sequence[int]) -> list[Record]:
    """The live links of these orders, by order and position."""
    return list(await tx.fetch(FIND_LIVE, list(order_ids)))


_OF_ORDERS = """
SELECT id, order_id, position, claim_before, created_at, claimed_at, ended_at FROM claim_links
WHERE order_id = ANY($1::bigint[]) AND ended_at IS {}
"""
# Live links and dead ones have an index each.
OF_ORDERS = f"""
{_OF_ORDERS.format("NULL")} UNION ALL {_OF_ORDERS.format("NOT NULL")}
ORDER BY order_id, position, id
"""


async def of_orders(tx: Tx, order_ids: Sequence[int]) -> list[Link]:
    """Every link that these orders ever had, without its key."""
    return [Link(**dict(row)) for row in await tx.fetch(OF_ORDERS, list(order_ids))]


FIND = """
SELECT id, order_id, position, claim_before, created_at, claimed_at, ended_at FROM claim_links
WHERE digest = $1
"""


async def find(tx: Tx, digest: bytes) -> Link | None:
    row = await tx.fetchrow(FIND, digest)
    return None if row is None else Link(**dict(row))


# Counted before the password is looked at, so that many at once are no more than so many.
SPEND_TRY = """
UPDATE claim_links
SET tries = CASE WHEN tries_since > $2::timestamptz - $3::interval THEN tries + 1 ELSE 1 END,
    tries_since = CASE
        WHEN tries_since > $2::timestamptz - $3::interval THEN tries_since ELSE $2
    END
WHERE id = $1 AND ended_at IS NULL
    AND (tries < $4 OR tries_since IS NULL OR tries_since <= $2::timestamptz - $3::interval)
RETURNING tries
"""


async def spend_try(tx: Tx, link_id: int, at: datetime) -> bool:
    """Count a password tried on this link; False when it may not be tried now."""
    return await tx.fetchval(SPEND_TRY, link_id, at, TRIES_PER, TRIES_MAX) is not None


# After the order was locked. Used for the first time only in time, and no more once it ended.
USE = """
UPDATE claim_links SET claimed_at = coalesce(claimed_at, $2), tries = 0, tries_since = NULL
WHERE id = $1 AND ended_at IS NULL AND (claimed_at IS NOT NULL OR claim_before > $2)
RETURNING claimed_at
"""


async def use(tx: Tx, link_id: int, at: datetime) -> datetime | None:
    """When the link was first used, which may be now; None where it may not be used."""
    found: datetime | None = await tx.fetchval(USE, link_id, at)
    return found


END = """
UPDATE claim_links AS l SET ended_at = greatest($3, l.created_at)
FROM unnest($1::bigint[], $2::int[]) AS ask (order_id, position)
WHERE l.order_id = ask.order_id AND l.position = ask.position AND l.ended_at IS NULL
RETURNING l.order_id, l.position, l.claim_before, l.claimed_at
"""


async def end(tx: Tx, items: Sequence[tuple[int, int]], at: datetime) -> list[Record]:
    """End the live links of these (order, position); what they were, as far as there were any."""
    return list(await tx.fetch(END, [item[0] for item in items], [item[1] for item in items], at))


DUE_ORDERS = """
SELECT DISTINCT order_id FROM claim_links
WHERE claimed_at IS NULL AND ended_at IS NULL AND claim_before <= $1 AND order_id > $2
ORDER BY order_id LIMIT $3
"""


async def due_orders(tx: Tx, now: datetime, after_id: int, limit: int) -> list[int]:
    """Orders with links that were not used in time, in id order from `after_id` on."""
    return [row["order_id"] for row in await tx.fetch(DUE_ORDERS, now, after_id, limit)]


DUE = """
SELECT order_id, position FROM claim_links
WHERE order_id = ANY($1::bigint[]) AND claimed_at IS NULL AND ended_at IS NULL
    AND claim_before <= $2
ORDER BY order_id, position
"""


async def due(tx: Tx, order_ids: Sequence[int], now: datetime) -> list[tuple[int, int]]:
    """(order, position) of these locked orders' links that were not used in time."""
    rows = await tx.fetch(DUE, list(order_ids), now)
    return [(row["order_id"], row["position"]) for row in rows]
