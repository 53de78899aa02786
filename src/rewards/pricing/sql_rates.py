"""Every statement on fx_rates and fx_rates_held."""

from collections.abc import Collection, Sequence
from datetime import datetime

from rewards.core.money import plain
from rewards.infra.db import Record, Tx
from rewards.pricing.model_rates import Channel, HeldRate, HeldState, NewRate, RateRow

# There is no row to lock for a pair that has no rate yet, and whoever sets rates is rare.
LOCK = "SELECT pg_advisory_xact_lock(7203114912)"

COLUMNS = "id, source, target, rate, spread_percent, channel, origin, quoted_at, set_at"

# The table keeps every rate there ever was. This walks its index from pair to pair and reads one
# row of each, however many there are.
READ_RATES = f"""
WITH RECURSIVE newest AS (
    (SELECT {COLUMNS} FROM fx_rates ORDER BY source, target, id DESC LIMIT 1)
    UNION ALL
    SELECT next.*
    FROM newest CROSS JOIN LATERAL (
        SELECT {", ".join(f"f.{name}" for name in COLUMNS.split(", "))} FROM fx_rates AS f
        WHERE (f.source, f.target) > (newest.source, newest.target)
        ORDER BY f.source, f.target, f.id DESC LIMIT 1
    ) AS next
)
SELECT {COLUMNS} FROM newest
"""


async def lock(tx: Tx) -> None:
    """Until the transaction ends nobody else sets rates or decides about held ones."""
    await tx.execute(LOCK)


def _row_of(row: Record) -> RateRow:
    return RateRow(
        row["id"],
        row["source"],
        row["target"],
        plain(row["rate"]),
        plain(row["spread_percent"]),
        Channel(row["channel"]),
        row["origin"],
        row["quoted_at"],
        row["set_at"],
    )


async def read_rates(tx: Tx) -> list[RateRow]:
    """The rate in force for each pair."""
    return [_row_of(row) for row in await tx.fetch(READ_RATES)]


READ_HISTORY = f"""
SELECT {COLUMNS} FROM fx_rates
WHERE source = $1 AND target = $2 AND id < $3 ORDER BY id DESC LIMIT $4
"""


async def read_history(
    tx: Tx, source: str, target: str, before_id: int, limit: int
) -> list[RateRow]:
    """Rates of a pair, the newest first, older than the row `before_id`."""
    return [_row_of(row) for row in await tx.fetch(READ_HISTORY, source, target, before_id, limit)]


ASKED = """unnest(
        $1::text[], $2::text[], $3::numeric[], $4::numeric[], $5::text[], $6::text[],
        $7::timestamptz[]
    )"""
INSERT_RATES = f"""
INSERT INTO fx_rates (source, target, rate, spread_percent, channel, origin, quoted_at, set_at)
SELECT source, target, rate, spread_percent, channel, origin, quoted_at, $8
FROM {ASKED} WITH ORDINALITY AS ask
    (source, target, rate, spread_percent, channel, origin, quoted_at, turn)
ORDER BY turn
RETURNING id
"""


def _columns(rates: Sequence[NewRate]) -> tuple[list[object], ...]:
    return (
        [each.source for each in rates],
        [each.target for each in rates],
        [each.rate for each in rates],
        [each.spread_percent for each in rates],
        [each.channel for each in rates],
        [each.origin for each in rates],
        [each.quoted_at for each in rates],
    )


async def insert_rates(tx: Tx, rates: Sequence[NewRate], at: datetime) -> list[int]:
    """Their ids, in order; of one pair the highest is in force."""
    rows = await tx.fetch(INSERT_RATES, *_columns(rates), at)
    return [row["id"] for row in rows]


HELD_COLUMNS = """id, source, target, rate, spread_percent, channel, origin, quoted_at,
    charged_before, held_at, state, decided_at"""
LAST_HELD = f"""
SELECT DISTINCT ON (source, target) {HELD_COLUMNS} FROM fx_rates_held
WHERE (source, target) IN (SELECT * FROM unnest($1::text[], $2::text[]))
ORDER BY source, target, id DESC
"""
LIST_HELD = f"""
SELECT {HELD_COLUMNS} FROM fx_rates_held
WHERE ($1::text IS NULL OR state = $1) AND id < $2 ORDER BY id DESC LIMIT $3
"""
READ_HELD = f"SELECT {HELD_COLUMNS} FROM fx_rates_held WHERE id = $1"


def _held_of(row: Record) -> HeldRate:
    return HeldRate(
        row["id"],
        NewRate(
            row["source"],
            row["target"],
            plain(row["rate"]),
            row["origin"],
            row["quoted_at"],
            Channel(row["channel"]),
            plain(row["spread_percent"]),
        ),
        plain(row["charged_before"]),
        row["held_at"],
        HeldState(row["state"]),
        row["decided_at"],
    )


async def last_held(tx: Tx, pairs: Collection[tuple[str, str]]) -> dict[tuple[str, str], HeldRate]:
    """The newest held rate of each of these pairs, decided or not."""
    rows = await tx.fetch(LAST_HELD, [pair[0] for pair in pairs], [pair[1] for pair in pairs])
    return {held.rate.pair: held for held in map(_held_of, rows)}


async def list_held(tx: Tx, state: HeldState | None, before_id: int, limit: int) -> list[HeldRate]:
    """Held rates, the newest first; of one state, or (None) of all."""
    return [_held_of(row) for row in await tx.fetch(LIST_HELD, state, before_id, limit)]


async def read_held(tx: Tx, held_id: int) -> HeldRate | None:
    row = await tx.fetchrow(READ_HELD, held_id)
    return _held_of(row) if row else None


INSERT_HELD = f"""
INSERT INTO fx_rates_held (
    source, target, rate, spread_percent, channel, origin, quoted_at, charged_before, held_at
)
SELECT ask.source, ask.target, ask.rate, ask.spread_percent, ask.channel, ask.origin,
    ask.quoted_at, before.charged, $8
FROM {ASKED} WITH ORDINALITY AS ask
    (source, target, rate, spread_percent, channel, origin, quoted_at, turn)
JOIN unnest($9::numeric[]) WITH ORDINALITY AS before (charged, turn) USING (turn)
ORDER BY turn
RETURNING id
"""


async def insert_held(tx: Tx, held: Sequence[tuple[NewRate, object]], at: datetime) -> list[int]:
    """Hold each rate, beside what is charged without it; their ids, in order."""
    rows = await tx.fetch(
        INSERT_HELD, *_columns([rate for rate, _ in held]), at, [before for _, before in held]
    )
    return [row["id"] for row in rows]


SUPERSEDE = """
UPDATE fx_rates_held AS h SET state = 'SUPERSEDED', decided_at = $3
FROM unnest($1::text[], $2::text[]) AS pair (source, target)
WHERE h.source = pair.source AND h.target = pair.target AND h.state = 'OPEN'
"""
# Compare-and-set: who comes second finds no open one.
DECIDE_HELD = f"""
UPDATE fx_rates_held SET state = $2, decided_at = $3 WHERE id = $1 AND state = 'OPEN'
RETURNING {HELD_COLUMNS}
"""


async def supersede_held(tx: Tx, pairs: Collection[tuple[str, str]], at: datetime) -> None:
    """Nobody needs to decide about these pairs any more: something newer came."""
    await tx.execute(SUPERSEDE, [pair[0] for pair in pairs], [pair[1] for pair in pairs], at)


async def decide_held(tx: Tx, held_id: int, state: HeldState, at: datetime) -> HeldRate | None:
    """The open one as it is now; None when there is no open one of this id."""
    row = await tx.fetchrow(DECIDE_HELD, held_id, state, at)
    return _held_of(row) if row else None
