"""Runs named checks: SELECTs of the rows that break a rule, each on a snapshot of its own."""

import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType

import asyncpg

from rewards.infra.migrate import APPEND_ONLY

SUBJECTS_MAX = 20
CONNECT_TIMEOUT_S = 10
# A scan of everything may take its time; it must not take all day.
STATEMENT_TIMEOUT_S = 300

# The window counts every breach, the limit keeps the answer small.
COUNTED = "SELECT count(*) OVER () AS breaches, q.* FROM ({check}) AS q LIMIT {limit}"

ROW_ESTIMATES = """
SELECT s.relname AS name, greatest(s.n_live_tup, c.reltuples::bigint, 0) AS rows
FROM pg_stat_user_tables AS s JOIN pg_class AS c ON c.oid = s.relid
"""

_NAMES = ", ".join(f"'{name}'" for name in APPEND_ONLY)

APPEND_ONLY_IS_GUARDED = f"""
SELECT name AS subject
FROM unnest(ARRAY[{_NAMES}]) AS name
WHERE NOT EXISTS (
    SELECT FROM pg_trigger AS t
    JOIN pg_proc AS p ON p.oid = t.tgfoid
    WHERE t.tgrelid = to_regclass(name) AND p.proname = 'refuse_rewrite'
        AND t.tgenabled IN ('O', 'A')
)
"""

NOBODY_MAY_REWRITE = f"""
SELECT g.table_name AS subject, g.grantee, g.privilege_type
FROM information_schema.role_table_grants AS g
JOIN pg_tables AS t ON t.schemaname = g.table_schema AND t.tablename = g.table_name
WHERE g.table_name IN ({_NAMES}) AND g.table_schema = current_schema()
    AND g.privilege_type IN ('UPDATE', 'DELETE', 'TRUNCATE') AND g.grantee <> t.tableowner
"""

# One that was killed, and nobody came in its place since; or processes that serve, and no worker.
NO_WORKER_IS_SILENT = """
SELECT b.id::text AS subject, b.host, b.pid, b.beat_at
FROM process_beats AS b
WHERE b.kind = 'WORKER' AND b.stopped_at IS NULL
    AND b.beat_at BETWEEN now() - interval '24 hours' AND now() - interval '5 minutes'
    AND NOT EXISTS (
        SELECT FROM process_beats AS later
        WHERE later.kind = 'WORKER' AND later.started_at > b.beat_at)
UNION ALL
SELECT 'no worker', min(a.host), count(*)::int, max(a.beat_at)
FROM process_beats AS a
WHERE a.kind = 'API' AND a.stopped_at IS NULL AND a.beat_at > now() - interval '1 minute'
    AND a.started_at < now() - interval '5 minutes'
    AND NOT EXISTS (SELECT FROM process_beats AS w WHERE w.kind = 'WORKER')
HAVING count(*) > 0
"""

CHECKS: Mapping[str, str] = MappingProxyType(
    {
        "i6_append_only_tables_are_guarded": APPEND_ONLY_IS_GUARDED,
        "no_worker_is_silent": NO_WORKER_IS_SILENT,
        "i6_nobody_may_rewrite_history": NOBODY_MAY_REWRITE,
    }
)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check saw. `rows`: the first SUBJECTS_MAX breaches, their subject first."""

    name: str
    breaches: int
    rows: Sequence[Mapping[str, object]]
    # Estimated rows of the table it reads first; None where that is not one table.
    looked_at: int | None
    took_s: float
    # Why it could not run; breaches then says nothing.
    problem: str | None = None


@asynccontextmanager
async def connected(
    dsn: str, timeout_s: float = STATEMENT_TIMEOUT_S
) -> AsyncIterator[asyncpg.Connection]:
    """A connection that reads, for statements that take `timeout_s` at most.

    Raises what asyncpg raises when nobody answers.
    """
    connection = await asyncpg.connect(
        dsn,
        timeout=CONNECT_TIMEOUT_S,
        server_settings={
            "application_name": "rewards doctor",
            "timezone": "UTC",
            "statement_timeout": str(int(timeout_s * 1000)),
            "default_transaction_read_only": "on",
        },
    )
    try:
        yield connection
    finally:
        await connection.close()


async def run(
    dsn: str, checks: Mapping[str, str], timeout_s: float = STATEMENT_TIMEOUT_S
) -> list[Finding]:
    """Run each check in a read-only transaction of its own, one finding each, in order.

    A check that fails or takes too long is a finding with a problem. Raises what asyncpg raises
    when nobody answers.
    """
    async with connected(dsn, timeout_s) as connection:
        sizes = {row["name"]: row["rows"] for row in await connection.fetch(ROW_ESTIMATES)}
        return [await _run_one(connection, name, sql, sizes) for name, sql in checks.items()]


async def _run_one(
    connection: asyncpg.Connection, name: str, sql: str, sizes: Mapping[str, int]
) -> Finding:
    start = time.perf_counter()
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            rows = await connection.fetch(COUNTED.format(check=sql, limit=SUBJECTS_MAX))
    except asyncpg.PostgresError as bad:
        return Finding(name, 0, [], None, time.perf_counter() - start, str(bad))
    took_s = time.perf_counter() - start
    breaches = rows[0]["breaches"] if rows else 0
    told = [{key: value for key, value in row.items() if key != "breaches"} for row in rows]
    return Finding(name, breaches, told, _looked_at(sql, sizes), took_s)


def _looked_at(sql: str, sizes: Mapping[str, int]) -> int | None:
    named = re.search(r"\bFROM\s+(\w+)", sql)
    return sizes.get(named[1]) if named else None
