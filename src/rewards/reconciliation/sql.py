"""Every statement on runs, drift and what was read of a vendor's books."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec

from rewards.infra.db import Record, Tx
from rewards.reconciliation.model import (
    Drift,
    DriftFilter,
    DriftState,
    Finding,
    Kind,
    Phase,
    Run,
    RunState,
    SubjectKind,
)

RUN_COLUMNS = """
    r.id, r.day, r.vendor_id, r.state, r.phase, r.round, r.position, r.upto, r.purchases, r.orders,
    r.reconciled, r.units, r.unread, r.problem, r.next_at, r.started_at, r.ended_at,
    (SELECT count(*) FROM drifts AS d WHERE d.run_id = r.id AND d.state = 'OPEN') AS drifts
"""


def as_run(row: Record) -> Run:
    fields = dict(row)
    fields["state"] = RunState(fields["state"])
    fields["phase"] = Phase(fields["phase"])
    return Run(**fields)


OPEN_RUNS = """
INSERT INTO reconciliation_runs (day, vendor_id, state, phase, next_at, started_at)
SELECT $1, ask.vendor_id, 'RUNNING', ask.phase, $4, $4
FROM unnest($2::bigint[], $3::text[]) AS ask (vendor_id, phase)
ON CONFLICT ON CONSTRAINT reconciliation_runs_key DO NOTHING
"""

RUNS_OF = f"""
SELECT {RUN_COLUMNS} FROM reconciliation_runs AS r
WHERE r.day = $1 AND ($2::bigint IS NULL OR r.vendor_id = $2)
ORDER BY r.vendor_id NULLS LAST
"""


async def open_runs(
    tx: Tx, day: date, wanted: Sequence[tuple[int | None, Phase]], at: datetime
) -> None:
    """A run for each (vendor or our own books, first phase) that has none for the day."""
    vendor_ids = [vendor_id for vendor_id, _ in wanted]
    await tx.execute(OPEN_RUNS, day, vendor_ids, [phase for _, phase in wanted], at)


async def runs_of(tx: Tx, day: date, vendor_id: int | None) -> list[Run]:
    """The runs of a day, or of one vendor of it; our own books come last."""
    return [as_run(row) for row in await tx.fetch(RUNS_OF, day, vendor_id)]


REOPEN = """
UPDATE reconciliation_runs AS r
SET state = 'RUNNING', round = r.round + 1, position = 0, upto = NULL, purchases = 0, orders = 0,
    reconciled = 0, units = 0, unread = 0, problem = NULL, next_at = $2,
    started_at = $2, ended_at = NULL,
    phase = CASE WHEN r.vendor_id IS NULL THEN 'ORDERS' ELSE 'LISTING' END
WHERE r.id = ANY($1::bigint[]) AND r.state = 'DONE'
"""


async def reopen(tx: Tx, run_ids: Sequence[int], at: datetime) -> None:
    """Another round for those that are done; what still runs goes on."""
    await tx.execute(REOPEN, list(run_ids), at)


LAST_DAY = "SELECT max(day) FROM reconciliation_runs WHERE vendor_id IS NULL"


async def last_day(tx: Tx) -> date | None:
    day: date | None = await tx.fetchval(LAST_DAY)
    return day


# Leases go by the database's clock alone, whoever's clock is wrong.
LEASE = f"""
UPDATE reconciliation_runs AS r
SET lease = $2, leased_until = now() + make_interval(secs => $3)
WHERE r.id = $1 AND r.state = 'RUNNING' AND (r.leased_until IS NULL OR r.leased_until < now())
RETURNING {RUN_COLUMNS}
"""


async def lease(tx: Tx, run_id: int, token: UUID, lease_s: float) -> Run | None:
    """The run under a new lease; None when it is done, or somebody else's."""
    row = await tx.fetchrow(LEASE, run_id, token, lease_s)
    return None if row is None else as_run(row)


# Nobody writes without the lease, and every write prolongs it.
ADVANCE = """
UPDATE reconciliation_runs SET
    state = $3, phase = $4, position = $5, upto = $6, purchases = $7, orders = $8, reconciled = $9,
    units = $10, unread = $11, problem = $12, next_at = $13, ended_at = $14,
    leased_until = now() + make_interval(secs => $15)
WHERE id = $1 AND lease = $2
"""


async def advance(tx: Tx, run: Run, token: UUID, lease_s: float) -> bool:
    """Store how far the run is; False when the lease is somebody else's by now."""
    done = await tx.execute(
        ADVANCE,
        *(run.id, token, run.state, run.phase, run.position, run.upto, run.purchases, run.orders),
        *(run.reconciled, run.units, run.unread, run.problem, run.next_at),
        *(run.ended_at, lease_s),
    )
    return str(done) == "UPDATE 1"


RELEASE = """
UPDATE reconciliation_runs SET lease = NULL, leased_until = NULL WHERE id = $1 AND lease = $2
"""


async def release(tx: Tx, run_id: int, token: UUID) -> None:
    await tx.execute(RELEASE, run_id, token)


DUE = """
SELECT id FROM reconciliation_runs
WHERE state = 'RUNNING' AND next_at <= $1 AND (leased_until IS NULL OR leased_until < now())
ORDER BY next_at, id LIMIT $2
"""


async def due(tx: Tx, at: datetime, limit: int) -> list[int]:
    return [row["id"] for row in await tx.fetch(DUE, at, limit)]


KEEP_READ = """
INSERT INTO reconciled_purchases AS known (purchase_id, run_id, round, matched, read_at)
SELECT purchase_id, $1, $2, matched, $5
FROM unnest($3::bigint[], $4::bool[]) AS ask (purchase_id, matched)
ORDER BY purchase_id
ON CONFLICT (purchase_id) DO UPDATE
SET run_id = $1, round = $2, matched = excluded.matched, read_at = $5
"""


async def keep_read(tx: Tx, run: Run, read: Sequence[tuple[int, bool]], at: datetime) -> None:
    """Remember of each purchase whether its vendor's books agreed in this round."""
    if read:
        ids, matched = [one for one, _ in read], [agreed for _, agreed in read]
        await tx.execute(KEEP_READ, run.id, run.round, ids, matched, at)


READ_IN_ROUND = """
SELECT purchase_id FROM reconciled_purchases
WHERE purchase_id = ANY($1::bigint[]) AND run_id = $2 AND round = $3
"""


async def read_in_round(tx: Tx, run: Run, purchase_ids: Sequence[int]) -> set[int]:
    rows = await tx.fetch(READ_IN_ROUND, list(purchase_ids), run.id, run.round)
    return {row["purchase_id"] for row in rows}


MATCHED = """
SELECT purchase_id, matched FROM reconciled_purchases WHERE purchase_id = ANY($1::bigint[])
"""


async def matched(tx: Tx, purchase_ids: Sequence[int]) -> dict[int, bool]:
    """Of these purchases those whose vendor was asked, and whether it agreed."""
    rows = await tx.fetch(MATCHED, list(purchase_ids))
    return {row["purchase_id"]: row["matched"] for row in rows}


READ_BY = """
SELECT purchase_id FROM reconciled_purchases
WHERE run_id = $1 AND purchase_id > $2 ORDER BY purchase_id LIMIT $3
"""


async def read_by(tx: Tx, run_id: int, after_id: int, limit: int) -> list[int]:
    return [row["purchase_id"] for row in await tx.fetch(READ_BY, run_id, after_id, limit)]


LIST_FINDINGS = """
INSERT INTO drifts
    (run_id, day, vendor_id, kind, subject_kind, subject, ours, theirs, found_at)
SELECT $1, $2, vendor_id, kind, subject_kind, subject, ours::jsonb, theirs::jsonb, $3
FROM unnest($4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[])
    AS f (vendor_id, kind, subject_kind, subject, ours, theirs)
ON CONFLICT ON CONSTRAINT drifts_key DO NOTHING
RETURNING id
"""


async def list_findings(tx: Tx, run: Run, findings: Sequence[Finding], at: datetime) -> int:
    """List what is not listed yet; how many that were."""
    if not findings:
        return 0
    fresh = await tx.fetch(
        LIST_FINDINGS,
        *(run.id, run.day, at),
        [one.vendor_id for one in findings],
        [one.kind for one in findings],
        [one.subject_kind for one in findings],
        [one.subject for one in findings],
        [msgspec.json.encode(one.ours).decode() for one in findings],
        [msgspec.json.encode(one.theirs).decode() for one in findings],
    )
    return len(fresh)


LIST_RUNS = f"""
SELECT {RUN_COLUMNS} FROM reconciliation_runs AS r
WHERE ($1::date IS NULL OR r.day = $1) AND ($2::bigint IS NULL OR r.id < $2)
ORDER BY r.id DESC LIMIT $3
"""


async def list_runs(tx: Tx, day: date | None, before_id: int | None, limit: int) -> list[Run]:
    return [as_run(row) for row in await tx.fetch(LIST_RUNS, day, before_id, limit)]


DRIFT_COLUMNS = """
    d.id, d.run_id, d.day, d.vendor_id, d.kind, d.subject_kind, d.subject, d.ours, d.theirs,
    d.state, d.found_at, d.explained_by, d.explained_at, d.note
"""


def as_drift(row: Record) -> Drift:
    finding = Finding(
        Kind(row["kind"]),
        SubjectKind(row["subject_kind"]),
        row["subject"],
        row["ours"],
        row["theirs"],
        row["vendor_id"],
    )
    return Drift(
        row["id"],
        row["run_id"],
        row["day"],
        finding,
        DriftState(row["state"]),
        row["found_at"],
        row["explained_by"],
        row["explained_at"],
        row["note"],
    )


LIST_DRIFTS = f"""
SELECT {DRIFT_COLUMNS} FROM drifts AS d
WHERE ($1::text IS NULL OR d.state = $1) AND ($2::text IS NULL OR d.kind = $2)
    AND ($3::bigint IS NULL OR d.vendor_id = $3) AND ($4::date IS NULL OR d.day = $4)
    AND ($5::bigint IS NULL OR d.id < $5)
ORDER BY d.id DESC LIMIT $6
"""


async def list_drifts(
    tx: Tx, narrow: DriftFilter, before_id: int | None, limit: int
) -> list[Drift]:
    rows = await tx.fetch(
        LIST_DRIFTS, narrow.state, narrow.kind, narrow.vendor_id, narrow.day, before_id, limit
    )
    return [as_drift(row) for row in rows]


LOCK_DRIFT = f"SELECT {DRIFT_COLUMNS} FROM drifts AS d WHERE d.id = $1 FOR NO KEY UPDATE"


async def lock_drift(tx: Tx, drift_id: int) -> Drift | None:
    row = await tx.fetchrow(LOCK_DRIFT, drift_id)
    return None if row is None else as_drift(row)


EXPLAIN_DRIFT = """
UPDATE drifts SET state = 'EXPLAINED', explained_by = $2, explained_at = $3, note = $4
WHERE id = $1 AND state = 'OPEN'
"""


async def explain_drift(tx: Tx, drift_id: int, staff_id: int, at: datetime, note: str) -> None:
    done = await tx.execute(EXPLAIN_DRIFT, drift_id, staff_id, at, note)
    assert done == "UPDATE 1", "a drift is explained under its lock"


COUNT_OPEN = """
SELECT vendor_id, count(*) AS drifts FROM drifts WHERE state = 'OPEN' GROUP BY vendor_id
"""


async def count_open(tx: Tx) -> dict[int | None, int]:
    """Drift that nobody has explained, by vendor; None: our own books."""
    return {row["vendor_id"]: row["drifts"] for row in await tx.fetch(COUNT_OPEN)}
