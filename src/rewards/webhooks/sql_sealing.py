"""The statements that number committed events per client and queue their deliveries."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rewards.infra.db import Tx, rows_affected

# A long backlog is found by one look at all of it, once.
BACKLOG_TIMEOUT_S = 300.0

# New is what a snapshot did not see: of transactions that were open then, and of later ones. Each
# part says an order and a limit, so that it is read from the index on xid whatever the planner
# believes of tables that only grow. The upper bound of the second matters after a restore into a
# younger cluster: there old rows are of transactions yet to come.
_LATE = """
    FROM pg_snapshot_xip({snapshot}) AS late (xid) CROSS JOIN LATERAL (
        SELECT id, client_id, type, endpoint_id FROM events
        WHERE xid BETWEEN late.xid AND late.xid ORDER BY xid LIMIT {limit}
    ) AS e
"""
_LATER = """
    FROM (
        SELECT id, client_id, type, endpoint_id FROM events
        WHERE xid >= pg_snapshot_xmax({snapshot}) AND xid < pg_snapshot_xmax(pg_current_snapshot())
        ORDER BY xid LIMIT {limit}
    ) AS e
"""


def _new(snapshot: str, limit: str, columns: str = "e.*") -> str:
    parts = (f"SELECT {columns} {part}" for part in (_LATE, _LATER))
    return " UNION ALL ".join(parts).format(snapshot=snapshot, limit=limit)


# An event has a number once, whatever is looked at twice.
_SEEN = """
SELECT pg_current_snapshot()::text AS snapshot, count(*) AS seen, max(s.id) AS last_id,
    coalesce(array_agg(s.id ORDER BY s.id) FILTER (WHERE f.event_id IS NULL), '{{}}') AS ids,
    coalesce(array_agg(s.client_id ORDER BY s.id) FILTER (WHERE f.event_id IS NULL), '{{}}')
        AS client_ids,
    coalesce(array_agg(s.type ORDER BY s.id) FILTER (WHERE f.event_id IS NULL), '{{}}') AS types,
    coalesce(array_agg(s.endpoint_id ORDER BY s.id) FILTER (WHERE f.event_id IS NULL), '{{}}')
        AS endpoint_ids
FROM ({}) AS s
LEFT JOIN LATERAL (SELECT event_id FROM event_feed WHERE event_id = s.id LIMIT 1) AS f ON true
"""

DUE = f"""
SELECT coalesce(
    upto_id IS NOT NULL
    OR pg_snapshot_xmax(sealed) > pg_snapshot_xmax(pg_current_snapshot())
    OR EXISTS ({_new("sealed", "1", "true")}),
    true)
FROM event_sealing
"""

TAKE_TURN = """
SELECT sealed::text AS sealed, after_id, upto_id,
    coalesce(pg_snapshot_xmax(sealed) > pg_snapshot_xmax(pg_current_snapshot()), true) AS unknown
FROM event_sealing FOR UPDATE SKIP LOCKED
"""

LOOK_AT_NEW = _SEEN.format(_new("$1::text::pg_snapshot", "$2"))

LOOK_AT_BACKLOG = _SEEN.format("""
    SELECT id, client_id, type, endpoint_id FROM events
    WHERE id > $1 AND id <= $2 ORDER BY id LIMIT $3
""")

# One snapshot for all three. The sum keeps the planner from walking all events in order of id.
FALL_BEHIND = """
UPDATE event_sealing SET target = pg_current_snapshot(),
    after_id = coalesce((SELECT min(id + 0) - 1 FROM events
        WHERE xid = ANY (ARRAY(SELECT pg_snapshot_xip($1::text::pg_snapshot)))
            OR (xid >= pg_snapshot_xmax($1::text::pg_snapshot)
                AND xid < pg_snapshot_xmax(pg_current_snapshot()))), 0),
    upto_id = coalesce((SELECT max(id) FROM events), 0)
RETURNING after_id, upto_id
"""

COUNT_ON = """
INSERT INTO event_counters AS c (client_id, last_sequence)
SELECT * FROM unnest($1::bigint[], $2::bigint[])
ON CONFLICT (client_id) DO UPDATE SET last_sequence = c.last_sequence + excluded.last_sequence
RETURNING client_id, last_sequence
"""

FEED = """
INSERT INTO event_feed (event_id, client_id, sequence, sealed_at)
SELECT *, $4 FROM unnest($1::bigint[], $2::bigint[], $3::bigint[])
"""

QUEUE = """
INSERT INTO webhook_deliveries
    (endpoint_id, client_id, event_id, sequence, event_type, next_at, created_at)
SELECT w.id, e.client_id, e.id, e.sequence, e.type, now(), $6
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[])
    AS e (id, client_id, sequence, type, endpoint_id)
JOIN webhook_endpoints AS w ON w.client_id = e.client_id
WHERE w.status = 'ENABLED' AND w.deleted_at IS NULL AND CASE
    WHEN e.endpoint_id IS NOT NULL THEN w.id = e.endpoint_id
    ELSE w.event_types IS NULL OR e.type = ANY (w.event_types)
END
ORDER BY e.id, w.id
"""

MOVE_ON = """
UPDATE event_sealing SET sealed = coalesce($1::text::pg_snapshot, target),
    target = NULL, after_id = NULL, upto_id = NULL
"""

MOVE_ALONG = "UPDATE event_sealing SET after_id = $1"


@dataclass(frozen=True, slots=True)
class Turn:
    """Where sealing stands, for whoever holds its lock until the transaction ends."""

    # The snapshot whose events are all numbered.
    sealed: str | None
    # What is left of a backlog; None: there is none.
    after_id: int | None
    upto_id: int | None
    # Whether that snapshot says nothing here: there is none yet, or it comes from another cluster.
    unknown: bool


@dataclass(frozen=True, slots=True)
class Look:
    """What one look saw: how many events, and of those that have no number, one entry each."""

    snapshot: str
    seen: int
    last_id: int | None
    ids: Sequence[int]
    client_ids: Sequence[int]
    types: Sequence[str]
    endpoint_ids: Sequence[int | None]


async def due(connection: Tx) -> bool:
    """Whether anything became visible since the last round; writes nothing."""
    return bool(await connection.fetchval(DUE))


async def take_turn(tx: Tx) -> Turn | None:
    """Lock the row that says how far sealing has come; None: somebody else has it."""
    row = await tx.fetchrow(TAKE_TURN)
    return None if row is None else Turn(**dict(row))


async def look_at_new(tx: Tx, sealed: str, most: int) -> Look:
    """Events that became visible since that snapshot: all of them if they are no more than most."""
    [row] = await tx.fetch(LOOK_AT_NEW, sealed, most)
    return Look(**dict(row))


async def look_at_backlog(tx: Tx, after_id: int, upto_id: int, most: int) -> Look:
    """The next events by id."""
    [row] = await tx.fetch(LOOK_AT_BACKLOG, after_id, upto_id, most)
    return Look(**dict(row))


async def fall_behind(tx: Tx, sealed: str | None) -> tuple[int, int]:
    """Make a backlog of all that is visible now and was not then; after which id, up to which."""
    [row] = await tx.fetch(FALL_BEHIND, sealed, timeout=BACKLOG_TIMEOUT_S)
    return row["after_id"], row["upto_id"]


async def number(tx: Tx, look: Look, at: datetime) -> int:
    """Give each event the next number of its client, and queue it; how many deliveries."""
    if not look.ids:
        return 0
    added = sorted(Counter(look.client_ids).items())
    rows = await tx.fetch(COUNT_ON, *map(list, zip(*added, strict=True)))
    news = dict(added)
    following = {row["client_id"]: row["last_sequence"] - news[row["client_id"]] for row in rows}
    sequences = []
    for client_id in look.client_ids:
        following[client_id] += 1
        sequences.append(following[client_id])
    await tx.execute(FEED, look.ids, look.client_ids, sequences, at)
    queued = await tx.execute(
        *(QUEUE, look.ids, look.client_ids, sequences, look.types, look.endpoint_ids, at)
    )
    return rows_affected(queued)


async def move_on(tx: Tx, snapshot: str | None) -> None:
    """All that this snapshot saw is numbered; None: the backlog's."""
    await tx.execute(MOVE_ON, snapshot)


async def move_along(tx: Tx, after_id: int) -> None:
    """The backlog is numbered up to there."""
    await tx.execute(MOVE_ALONG, after_id)
