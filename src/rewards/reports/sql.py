"""Every statement that touches reports and their chunks."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from rewards.infra.db import Record, Tx, rows_affected
from rewards.reports.model import Parameters, Report, ReportKind, ReportState

COLUMNS = """
r.id, r.kind, r.parameters, r.asked_by, r.state, r.first_after, r.position, r.upto, r.rows,
r.chunks, r.bytes, r.problem, r.asked_at, r.started_at, r.ended_at, r.expires_at
"""


def as_report(row: Record) -> Report:
    facts = dict(row)
    facts |= {"kind": ReportKind(row["kind"]), "state": ReportState(row["state"])}
    # Times of the database's JSON are text.
    facts["parameters"] = msgspec.convert(row["parameters"], Parameters)
    return Report(**facts)


# The person's open ones are counted behind a lock of the person, so that two asks at once are two.
LOCK_PERSON = "SELECT pg_advisory_xact_lock(hashtextextended('rewards reports ' || $1::bigint, 0))"
COUNT_OPEN = "SELECT count(*) FROM reports WHERE asked_by = $1 AND ended_at IS NULL"
ADD = f"""
INSERT INTO reports AS r (kind, parameters, asked_by, asked_at) VALUES ($1, $2::text::jsonb, $3, $4)
RETURNING {COLUMNS}
"""


async def count_open(tx: Tx, staff_id: int) -> int:
    """The person's open reports; nobody adds one of theirs before the transaction ends."""
    await tx.execute(LOCK_PERSON, staff_id)
    return int(await tx.fetchval(COUNT_OPEN, staff_id))


async def add(
    tx: Tx, kind: ReportKind, parameters: Parameters, staff_id: int, at: datetime
) -> Report:
    given = msgspec.json.encode(parameters).decode()
    row = await tx.fetchrow(ADD, kind, given, staff_id, at)
    assert row is not None, "an insert answers its row"
    return as_report(row)


READ = f"SELECT {COLUMNS} FROM reports AS r WHERE r.id = $1"
LOCK = f"{READ} FOR NO KEY UPDATE"
LIST = f"""
SELECT {COLUMNS} FROM reports AS r
WHERE ($1::bigint IS NULL OR r.asked_by = $1) AND r.id < $2 ORDER BY r.id DESC LIMIT $3
"""


async def read(tx: Tx, report_id: int) -> Report | None:
    row = await tx.fetchrow(READ, report_id)
    return None if row is None else as_report(row)


async def lock(tx: Tx, report_id: int) -> Report | None:
    row = await tx.fetchrow(LOCK, report_id)
    return None if row is None else as_report(row)


async def find(tx: Tx, asked_by: int | None, before_id: int, limit: int) -> list[Report]:
    """Newest first."""
    return [as_report(row) for row in await tx.fetch(LIST, asked_by, before_id, limit)]


# A lease by the database's clock; whoever holds none writes nothing.
LEASE = f"""
UPDATE reports AS r
SET lease = $2, leased_until = now() + make_interval(secs => $3), state = 'RUNNING',
    started_at = coalesce(r.started_at, $4)
WHERE r.id = $1 AND r.ended_at IS NULL AND (r.leased_until IS NULL OR r.leased_until < now())
RETURNING {COLUMNS}
"""
ADVANCE = f"""
UPDATE reports AS r
SET first_after = $3, position = $4, upto = $5, rows = $6, chunks = $7, bytes = $8,
    leased_until = now() + make_interval(secs => $9)
WHERE r.id = $1 AND r.lease = $2
RETURNING {COLUMNS}
"""
RELEASE = """
UPDATE reports SET lease = NULL, leased_until = NULL WHERE id = $1 AND lease = $2
"""
END = f"""
UPDATE reports AS r
SET state = $2, problem = $3, ended_at = $4, expires_at = $5, lease = NULL, leased_until = NULL
WHERE r.id = $1 AND r.ended_at IS NULL
RETURNING {COLUMNS}
"""
ADD_CHUNK = "INSERT INTO report_chunks (report_id, number, content) VALUES ($1, $2, $3)"
READ_CHUNK = "SELECT content FROM report_chunks WHERE report_id = $1 AND number = $2"
DROP_CHUNKS = "DELETE FROM report_chunks WHERE report_id = ANY($1::bigint[])"
DUE = f"""
SELECT {COLUMNS} FROM reports AS r
WHERE r.ended_at IS NULL AND (r.leased_until IS NULL OR r.leased_until < now())
ORDER BY r.id LIMIT $1
"""
EXPIRE = """
UPDATE reports SET state = 'EXPIRED' WHERE id = ANY(ARRAY(
    SELECT id FROM reports WHERE state IN ('DONE', 'FAILED', 'CANCELLED') AND expires_at <= $1
    ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
))
RETURNING id
"""


async def lease(tx: Tx, report_id: int, token: UUID, lease_s: float, at: datetime) -> Report | None:
    """The open report under a new lease; None when it ended, or somebody else is at it."""
    row = await tx.fetchrow(LEASE, report_id, token, lease_s, at)
    return None if row is None else as_report(row)


async def advance(tx: Tx, report: Report, token: UUID, lease_s: float) -> bool:
    """Store how far it is; False when the lease is somebody else's by now, or it was cancelled."""
    row = await tx.fetchrow(
        ADVANCE,
        *(report.id, token, report.first_after, report.position, report.upto),
        *(report.rows, report.chunks, report.bytes, lease_s),
    )
    return row is not None


async def release(tx: Tx, report_id: int, token: UUID) -> None:
    await tx.execute(RELEASE, report_id, token)


async def end(
    tx: Tx,
    report_id: int,
    state: ReportState,
    at: datetime,
    lifetime: timedelta,
    problem: str | None = None,
) -> Report | None:
    """None when it had ended before."""
    row = await tx.fetchrow(END, report_id, state, problem, at, at + lifetime)
    return None if row is None else as_report(row)


async def add_chunk(tx: Tx, report_id: int, number: int, content: bytes) -> None:
    await tx.execute(ADD_CHUNK, report_id, number, content)


async def read_chunk(tx: Tx, report_id: int, number: int) -> bytes | None:
    content: bytes | None = await tx.fetchval(READ_CHUNK, report_id, number)
    return content


async def drop_chunks(tx: Tx, report_ids: Sequence[int]) -> int:
    return rows_affected(await tx.execute(DROP_CHUNKS, list(report_ids)))


async def due(tx: Tx, limit: int) -> list[Report]:
    """Open ones that nobody is at."""
    return [as_report(row) for row in await tx.fetch(DUE, limit)]


async def expire(tx: Tx, at: datetime, limit: int) -> list[int]:
    """Those whose time has passed, now EXPIRED."""
    return [row["id"] for row in await tx.fetch(EXPIRE, at, limit)]
