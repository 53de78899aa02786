"""The statements that read the feed."""

from collections.abc import Mapping, Sequence

from rewards.infra.db import Record, Tx

BOUNDS = """
SELECT coalesce(
        (SELECT sequence FROM event_feed WHERE client_id = $1 ORDER BY sequence LIMIT 1),
        last_sequence + 1) AS first,
    last_sequence AS last
FROM event_counters WHERE client_id = $1
"""

# Looks at no more than $3 events of the feed, however few of them are of the types that are wanted.
PAGE = """
WITH near AS MATERIALIZED (
    SELECT sequence, event_id FROM event_feed
    WHERE client_id = $1 AND sequence > $2 ORDER BY sequence LIMIT $3
)
SELECT looked.upto, found.* FROM (SELECT max(sequence) AS upto FROM near) AS looked
LEFT JOIN LATERAL (
    SELECT n.sequence, e.id, e.type, e.created_at, e.data::text AS data
    FROM near AS n JOIN events AS e ON e.id = n.event_id
    WHERE $4::text[] IS NULL OR e.type = ANY ($4)
    ORDER BY n.sequence LIMIT $5
) AS found ON true
ORDER BY found.sequence
"""

LAST = "SELECT client_id, last_sequence FROM event_counters WHERE client_id = ANY ($1::bigint[])"


async def bounds(connection: Tx, client_id: int) -> tuple[int, int]:
    """The first event that is kept, and the last there is; of an empty feed 1 and 0."""
    row = await connection.fetchrow(BOUNDS, client_id)
    return (1, 0) if row is None else (row["first"], row["last"])


async def page(
    connection: Tx, client_id: int, after: int, types: Sequence[str] | None, limit: int, most: int
) -> tuple[list[Record], int]:
    """Events above `after`, and up to where was looked."""
    rows = await connection.fetch(PAGE, client_id, after, most, types, limit)
    upto = rows[0]["upto"]
    return [row for row in rows if row["id"] is not None], after if upto is None else upto


async def last(connection: Tx, client_ids: Sequence[int]) -> Mapping[int, int]:
    """The last event of each of these clients that has one."""
    rows = await connection.fetch(LAST, client_ids)
    return {row["client_id"]: row["last_sequence"] for row in rows}
