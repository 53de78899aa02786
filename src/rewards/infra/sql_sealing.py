"""The statements that find which rows became visible since somebody looked last."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from types import MappingProxyType
from typing import Any

from rewards.infra.db import Tx

# A long backlog is found by one look at all of it, once.
BACKLOG_TIMEOUT_S = 300.0

# New is what a snapshot did not see: of transactions that were open then, and of later ones. Each
# part says an order and a limit, so that it is read from the index on xid whatever the planner
# believes of tables that only grow. The upper bound of the second matters after a restore into a
# younger cluster: there old rows are of transactions yet to come.
_LATE = """
    FROM pg_snapshot_xip({snapshot}) AS late (xid) CROSS JOIN LATERAL (
        SELECT {reads} FROM {table}
        WHERE xid BETWEEN late.xid AND late.xid ORDER BY xid LIMIT {limit}
    ) AS e
"""
_LATER = """
    FROM (
        SELECT {reads} FROM {table}
        WHERE xid >= pg_snapshot_xmax({snapshot}) AND xid < pg_snapshot_xmax(pg_current_snapshot())
        ORDER BY xid LIMIT {limit}
    ) AS e
"""

# A row has its place once, whatever is looked at twice.
_SEEN = """
SELECT pg_current_snapshot()::text AS snapshot, count(*) AS seen, max(s.id) AS last_id
    {told}
FROM ({rows}) AS s
LEFT JOIN LATERAL (
    SELECT {place_id} FROM {place} WHERE {place_id} = s.id LIMIT 1
) AS p ON true
"""
_TOLD = """
    , coalesce(array_agg({value} ORDER BY s.id) FILTER (WHERE p.{place_id} IS NULL), '{{}}')
        AS {name}
"""

_DUE = """
SELECT coalesce(
    upto_id IS NOT NULL
    OR pg_snapshot_xmax(sealed) > pg_snapshot_xmax(pg_current_snapshot())
    OR EXISTS ({new}),
    true)
FROM {state}
"""

# Of a backlog the next one by id; else the first that became visible since the last round.
_SINCE = """
SELECT CASE
    WHEN s.upto_id IS NOT NULL THEN (
        SELECT first.{written} FROM {table} AS first
        WHERE first.id > s.after_id ORDER BY first.id LIMIT 1)
    WHEN s.sealed IS NULL OR pg_snapshot_xmax(s.sealed) > pg_snapshot_xmax(pg_current_snapshot())
        THEN (SELECT first.{written} FROM {table} AS first ORDER BY first.id LIMIT 1)
    ELSE (SELECT min(first.{written}) FROM {table} AS first WHERE first.id IN ({new}))
END
FROM {state} AS s
"""

_TAKE_TURN = """
SELECT sealed::text AS sealed, after_id, upto_id,
    coalesce(pg_snapshot_xmax(sealed) > pg_snapshot_xmax(pg_current_snapshot()), true) AS unknown
FROM {state} FOR UPDATE SKIP LOCKED
"""

_BACKLOG = """
    SELECT {reads} FROM {table} WHERE id > $1 AND id <= $2 ORDER BY id LIMIT $3
"""

# One snapshot for all three. The sum keeps the planner from walking all rows in order of id.
_FALL_BEHIND = """
UPDATE {state} SET target = pg_current_snapshot(),
    after_id = coalesce((SELECT min(id + 0) - 1 FROM {table}
        WHERE xid = ANY (ARRAY(SELECT pg_snapshot_xip($1::text::pg_snapshot)))
            OR (xid >= pg_snapshot_xmax($1::text::pg_snapshot)
                AND xid < pg_snapshot_xmax(pg_current_snapshot()))), 0),
    upto_id = coalesce((SELECT max(id) FROM {table}), 0)
RETURNING after_id, upto_id
"""

_MOVE_ON = """
UPDATE {state} SET sealed = coalesce($1::text::pg_snapshot, target),
    target = NULL, after_id = NULL, upto_id = NULL
"""

_MOVE_ALONG = "UPDATE {state} SET after_id = $1"


@dataclass(frozen=True, slots=True)
class Turn:
    """Where sealing stands, for whoever holds its lock until the transaction ends."""

    # The snapshot whose rows are all sealed.
    sealed: str | None
    # What is left of a backlog; None: there is none.
    after_id: int | None
    upto_id: int | None
    # Whether that snapshot says nothing here: there is none yet, or it comes from another cluster.
    unknown: bool


@dataclass(frozen=True, slots=True)
class Look:
    """What one look saw: how many rows, and of those that have no place yet what was asked for."""

    snapshot: str
    seen: int
    last_id: int | None
    ids: Sequence[int]
    # One entry for each id: by the names of `Rows.told`.
    told: Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Rows:
    """Rows that are sealed in the order they became visible in, and where it stands how far.

    `table` has `id` and `xid`, with an index on xid. `state` has one row: `sealed` and `target`,
    snapshots, and `after_id`, `upto_id`. `place` has a row for each that is sealed, which
    `place_id` names. A look reads the columns `reads`, and tells the expressions `told` of `s`.
    `written` is when a row was.
    """

    table: str
    state: str
    place: str
    place_id: str
    reads: str = "id"
    told: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    written: str = "created_at"

    def _new(self, snapshot: str, limit: str, columns: str = "e.*") -> str:
        parts = (f"SELECT {columns} {part}" for part in (_LATE, _LATER))
        return " UNION ALL ".join(parts).format(
            snapshot=snapshot, limit=limit, reads=self.reads, table=self.table
        )

    def _seen(self, rows: str) -> str:
        values = {"ids": "s.id", **self.told}
        told = "".join(
            _TOLD.format(value=value, name=name, place_id=self.place_id)
            for name, value in values.items()
        )
        return _SEEN.format(told=told, rows=rows, place=self.place, place_id=self.place_id)

    @cached_property
    def due_statement(self) -> str:
        return _DUE.format(state=self.state, new=self._new("sealed", "1", "true"))

    @cached_property
    def turn_statement(self) -> str:
        return _TAKE_TURN.format(state=self.state)

    @cached_property
    def new_statement(self) -> str:
        return self._seen(self._new("$1::text::pg_snapshot", "$2"))

    @cached_property
    def backlog_statement(self) -> str:
        return self._seen(_BACKLOG.format(reads=self.reads, table=self.table))

    async def due(self, connection: Tx) -> bool:
        """Whether anything became visible since the last round; writes nothing."""
        return bool(await connection.fetchval(self.due_statement))

    async def since(self, connection: Tx) -> datetime | None:
        """When the first row was written that has no place yet; None: all have one."""
        new = self._new("s.sealed", "1", "e.id")
        at: datetime | None = await connection.fetchval(
            _SINCE.format(state=self.state, table=self.table, written=self.written, new=new)
        )
        return at

    async def take_turn(self, tx: Tx) -> Turn | None:
        """Lock the row that says how far sealing has come; None: somebody else has it."""
        row = await tx.fetchrow(self.turn_statement)
        return None if row is None else Turn(**dict(row))

    async def look_at_new(self, tx: Tx, sealed: str, most: int) -> Look:
        """Rows that became visible since that snapshot: all if they are no more than most."""
        return self._look(await tx.fetchrow(self.new_statement, sealed, most))

    async def look_at_backlog(self, tx: Tx, after_id: int, upto_id: int, most: int) -> Look:
        """The next rows by id."""
        return self._look(await tx.fetchrow(self.backlog_statement, after_id, upto_id, most))

    def _look(self, row: Any) -> Look:
        told = {name: row[name] for name in self.told}
        return Look(row["snapshot"], row["seen"], row["last_id"], row["ids"], told)

    async def fall_behind(self, tx: Tx, sealed: str | None) -> tuple[int, int]:
        """Make a backlog of all that is visible now and was not then; after which id, up to which.

        None: of everything.
        """
        statement = _FALL_BEHIND.format(state=self.state, table=self.table)
        [row] = await tx.fetch(statement, sealed, timeout=BACKLOG_TIMEOUT_S)
        return row["after_id"], row["upto_id"]

    async def move_on(self, tx: Tx, snapshot: str | None) -> None:
        """All that this snapshot saw is sealed; None: the backlog's."""
        await tx.execute(_MOVE_ON.format(state=self.state), snapshot)

    async def move_along(self, tx: Tx, after_id: int) -> None:
        """The backlog is sealed up to there."""
        await tx.execute(_MOVE_ALONG.format(state=self.state), after_id)
