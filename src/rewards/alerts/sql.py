"""Every statement on `alerts`, `alert_tellings` and `alert_watch`."""

import json
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from rewards.alerts.model import (
    Alert,
    AlertFilter,
    AlertKind,
    Channel,
    Reading,
    Target,
    Telling,
    TellingState,
    What,
)
from rewards.infra.db import Record, Tx

COLUMNS = """
a.id, a.kind, a.subject, a.level, a.facts, a.raised_at, a.seen_at, a.cleared_at,
a.acknowledged_at, a.acknowledged_by, a.note
"""
# Of a version that knows more kinds others may stand there too, and are its alone to tell of.
KINDS = list(AlertKind)

# Leases are by the database's clock: whoever comes first in a minute has the turn.
TAKE_TURN = """
UPDATE alert_watch SET turn = $1, turns = turns + 1, next_at = now() + make_interval(secs => $2)
WHERE next_at <= now() RETURNING turns
"""
HOLD_TURN = "SELECT FROM alert_watch WHERE turn = $1 FOR UPDATE"
END_LOOK = "UPDATE alert_watch SET looked_at = now()"
LOOKED_AT = "SELECT looked_at FROM alert_watch"


async def take_turn(tx: Tx, turn: UUID, lasts_s: float) -> int | None:
    """Which turn it is, counted from 1; None: somebody has looked, or looks."""
    number: int | None = await tx.fetchval(TAKE_TURN, turn, lasts_s)
    return number


async def hold_turn(tx: Tx, turn: UUID) -> bool:
    """Whether nobody has begun another look since; nobody can until this transaction ends."""
    return bool(await tx.fetch(HOLD_TURN, turn))


async def end_look(tx: Tx) -> None:
    await tx.execute(END_LOOK)


async def looked_at(tx: Tx) -> datetime | None:
    """When a look last came to its end."""
    at: datetime | None = await tx.fetchval(LOOKED_AT)
    return at


LOCK_OPEN = f"""
SELECT {COLUMNS} FROM alerts AS a
WHERE a.cleared_at IS NULL AND a.kind = ANY ($1::text[]) ORDER BY a.id FOR NO KEY UPDATE
"""
RAISE = f"""
INSERT INTO alerts AS a (kind, subject, level, facts, raised_at, seen_at)
SELECT kind, subject, level, facts::jsonb, $5, $5
FROM unnest($1::text[], $2::text[], $3::numeric[], $4::text[]) AS new (kind, subject, level, facts)
ON CONFLICT (kind, subject) WHERE cleared_at IS NULL DO NOTHING
RETURNING {COLUMNS}
"""
SEE = """
UPDATE alerts AS a SET level = new.level, facts = new.facts::jsonb,
    seen_at = greatest(a.seen_at, $4)
FROM unnest($1::bigint[], $2::numeric[], $3::text[]) AS new (id, level, facts)
WHERE a.id = ANY ($1) AND a.id = new.id AND a.cleared_at IS NULL
"""
CLEAR = """
UPDATE alerts SET cleared_at = greatest(raised_at, $2)
WHERE id = ANY ($1::bigint[]) AND cleared_at IS NULL RETURNING id
"""


async def lock_open(tx: Tx, kinds: Sequence[AlertKind]) -> list[Alert]:
    """The alerts of these kinds that are not cleared, locked."""
    return [as_alert(row) for row in await tx.fetch(LOCK_OPEN, list(kinds))]


async def raise_alerts(
    tx: Tx, new: Sequence[tuple[AlertKind, Reading]], at: datetime
) -> list[Alert]:
    """What was added; where one is open for a subject none is."""
    rows = await tx.fetch(
        RAISE,
        [kind for kind, _ in new],
        [reading.subject for _, reading in new],
        [reading.level for _, reading in new],
        [json.dumps(reading.facts) for _, reading in new],
        at,
    )
    return [as_alert(row) for row in rows]


async def see(tx: Tx, seen: Sequence[tuple[Alert, Reading]], at: datetime) -> None:
    """Keep how it stands now."""
    await tx.execute(
        SEE,
        [alert.id for alert, _ in seen],
        [reading.level for _, reading in seen],
        [json.dumps(reading.facts) for _, reading in seen],
        at,
    )


async def clear(tx: Tx, alert_ids: Sequence[int], at: datetime) -> list[int]:
    """The ids of those that were open until now."""
    return [row["id"] for row in await tx.fetch(CLEAR, alert_ids, at)]


QUEUE = """
INSERT INTO alert_tellings (alert_id, what, channel, target, next_at)
SELECT alert_id, $2, channel, target, now()
FROM unnest($1::bigint[]) AS a (alert_id),
    unnest($3::text[], $4::text[]) AS t (channel, target)
ORDER BY alert_id ON CONFLICT DO NOTHING
"""
# Nobody hears that something is over before they heard of it.
_DUE = """
    JOIN alerts AS a ON a.id = t.alert_id AND a.kind = ANY ($5::text[])
    WHERE t.state = 'QUEUED' AND t.next_at <= now() AND coalesce(t.leased_until <= now(), true)
        AND (t.what = 'RAISED' OR NOT EXISTS (
            SELECT FROM alert_tellings AS before
            WHERE before.alert_id = t.alert_id AND before.channel = t.channel
                AND before.target = t.target AND before.what = 'RAISED' AND before.state = 'QUEUED'
        ))
    ORDER BY t.next_at, t.id
"""
# With the first that is due whatever else is to be told there: one mail has all of it.
TAKE = f"""
WITH first AS (
    SELECT t.what, t.channel, t.target FROM alert_tellings AS t
    {_DUE} LIMIT 1 FOR UPDATE OF t SKIP LOCKED
), due AS (
    SELECT t.id FROM first JOIN alert_tellings AS t USING (what, channel, target)
    {_DUE} LIMIT (SELECT CASE channel WHEN 'MAIL' THEN $4::bigint ELSE $3::bigint END FROM first)
    FOR UPDATE OF t SKIP LOCKED
), leased AS (
    UPDATE alert_tellings AS t SET lease = $1, attempts = t.attempts + 1,
        leased_until = now() + make_interval(secs => $2)
    FROM due WHERE t.id = due.id
    RETURNING t.id AS telling_id, t.alert_id, t.what, t.channel, t.target, t.attempts
)
SELECT l.telling_id, l.what, l.channel, l.target, l.attempts, {COLUMNS}
FROM leased AS l JOIN alerts AS a ON a.id = l.alert_id ORDER BY l.telling_id
"""
SETTLE = """
UPDATE alert_tellings AS t SET state = done.state, reason = $4, lease = NULL, leased_until = NULL,
    next_at = now() + make_interval(secs => done.again_s),
    finished_at = CASE WHEN done.state <> 'QUEUED' THEN $6::timestamptz END
FROM unnest($1::bigint[], $3::text[], $5::float8[]) AS done (id, state, again_s)
WHERE t.id = done.id AND t.lease = $2
"""


async def queue(tx: Tx, alert_ids: Sequence[int], what: What, targets: Sequence[Target]) -> None:
    """Have all of these told to all of those, each once."""
    await tx.execute(
        QUEUE,
        *(alert_ids, what),
        [target.channel for target in targets],
        [target.address for target in targets],
    )


async def take(
    tx: Tx, lease: UUID, lease_s: float, posts_max: int, together_max: int
) -> list[Telling]:
    """Lease what is to be told now, of one kind to one target: posts, or the alerts of one mail."""
    rows = await tx.fetch(TAKE, lease, lease_s, posts_max, together_max, KINDS)
    return [
        Telling(
            *(row["telling_id"], lease, What(row["what"])),
            Target(Channel(row["channel"]), row["target"]),
            row["attempts"],
            as_alert(row),
        )
        for row in rows
    ]


async def settle(
    tx: Tx,
    ended: Sequence[tuple[Telling, TellingState, float]],
    reason: str | None,
    at: datetime,
) -> None:
    """How an attempt ended for each that it told of, under one lease, and in how many seconds the
    next one begins; nothing where somebody else has it by now."""
    await tx.execute(
        SETTLE,
        [telling.id for telling, _, _ in ended],
        ended[0][0].lease,
        [state for _, state, _ in ended],
        reason,
        [again_s for _, _, again_s in ended],
        at,
    )


FIND = f"""
SELECT {COLUMNS} FROM alerts AS a
WHERE a.id < $1 AND a.kind = ANY ($2::text[])
    AND ($3::boolean IS NULL OR (a.cleared_at IS NULL) = $3)
ORDER BY a.id DESC LIMIT $4
"""
LOCK = f"""
SELECT {COLUMNS} FROM alerts AS a WHERE a.id = $1 AND a.kind = ANY ($2::text[]) FOR NO KEY UPDATE
"""
ACKNOWLEDGE = """
UPDATE alerts SET acknowledged_at = $2, acknowledged_by = $3, note = $4 WHERE id = $1
"""
COUNT_OPEN = """
SELECT kind, count(*) AS alerts FROM alerts WHERE cleared_at IS NULL AND kind = ANY ($1::text[])
GROUP BY kind
"""
FORGET = """
DELETE FROM alerts WHERE id = ANY (ARRAY(
    SELECT id FROM alerts WHERE cleared_at < $1 ORDER BY id LIMIT $2))
"""


async def find(tx: Tx, narrow: AlertFilter, before_id: int, limit: int) -> list[Alert]:
    """Newest first."""
    kinds = KINDS if narrow.kind is None else [narrow.kind]
    rows = await tx.fetch(FIND, before_id, kinds, narrow.open, limit)
    return [as_alert(row) for row in rows]


async def lock(tx: Tx, alert_id: int) -> Alert | None:
    row = await tx.fetchrow(LOCK, alert_id, KINDS)
    return None if row is None else as_alert(row)


async def acknowledge(tx: Tx, alert_id: int, staff_id: int, note: str, at: datetime) -> None:
    await tx.execute(ACKNOWLEDGE, alert_id, at, staff_id, note)


async def count_open(tx: Tx) -> dict[AlertKind, int]:
    return {AlertKind(row["kind"]): row["alerts"] for row in await tx.fetch(COUNT_OPEN, KINDS)}


async def forget(tx: Tx, before: datetime, limit: int) -> None:
    """Drop at most `limit` that were cleared before then, and whom they were told."""
    await tx.execute(FORGET, before, limit)


def as_alert(row: Record) -> Alert:
    fields = {name: row[name] for name in Alert.__dataclass_fields__}
    return Alert(**(fields | {"kind": AlertKind(row["kind"])}))
