"""Every statement on `vendor_orders`."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from rewards.infra.db import Record, Tx, rows_affected
from rewards.vendors.model import (
    OPEN,
    Cost,
    Line,
    Purchase,
    PurchaseState,
    Purpose,
    Reason,
)

OPEN_STATES = tuple(sorted(OPEN))

COLUMNS = """
    v.id, v.vendor_id, v.key, v.purpose, v.subject_id, v.position, v.sku, v.face_minor, v.currency,
    v.quantity, v.remaining, v.mobile, v.state, v.vendor_ref, v.reason, v.message,
    v.received, v.quarantined, v.cost_minor, v.cost_currency, v.batch_id, v.calls, v.next_at,
    v.window_ends_at, v.case_at, v.asked_by, v.created_at, v.sent_at, v.settled_at
"""


def as_purchase(row: Record) -> Purchase:
    cost = row["cost_minor"]
    return Purchase(
        id=row["id"],
        vendor_id=row["vendor_id"],
        key=row["key"],
        purpose=Purpose(row["purpose"]),
        subject_id=row["subject_id"],
        position=row["position"],
        line=Line(
            row["sku"],
            row["face_minor"],
            row["currency"],
            row["quantity"],
            row["mobile"],
        ),
        remaining=row["remaining"],
        state=PurchaseState(row["state"]),
        vendor_ref=row["vendor_ref"],
        reason=None if row["reason"] is None else Reason(row["reason"]),
        message=row["message"],
        received=row["received"],
        quarantined=row["quarantined"],
        cost=None if cost is None else Cost(cost, row["cost_currency"]),
        batch_id=row["batch_id"],
        calls=row["calls"],
        next_at=row["next_at"],
        window_ends_at=row["window_ends_at"],
        case_at=row["case_at"],
        asked_by=row["asked_by"],
        created_at=row["created_at"],
        sent_at=row["sent_at"],
        settled_at=row["settled_at"],
    )


# One purchase at a time for whatever it is for: the second finds the first and adds nothing.
INSERT = f"""
INSERT INTO vendor_orders AS v (
    vendor_id, key, purpose, subject_id, position, sku, face_minor, currency, quantity, remaining,
    mobile, state, next_at, window_ends_at, asked_by, created_at
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::jsonb, 'READY', $12, $13, $14, $12)
ON CONFLICT (purpose, subject_id, position)
    WHERE state IN ('READY', 'SENDING', 'UNKNOWN', 'ACCEPTED') DO NOTHING
RETURNING {COLUMNS}
"""


async def insert(
    tx: Tx,
    *,
    vendor_id: int,
    key: str,
    purpose: Purpose,
    subject_id: int,
    position: int,
    line: Line,
    remaining: int,
    at: datetime,
    window_ends_at: datetime,
    asked_by: int | None,
) -> Purchase | None:
    mobile = None if line.mobile is None else dict(line.mobile)
    row = await tx.fetchrow(
        INSERT,
        *(vendor_id, key, purpose, subject_id, position),
        *(line.sku, line.face_minor, line.currency, line.quantity, remaining, mobile),
        *(at, window_ends_at, asked_by),
    )
    return None if row is None else as_purchase(row)


# Leases go by the database's clock alone, whoever's clock is wrong.
LEASE = f"""
WITH due AS (
    SELECT id FROM vendor_orders
    WHERE id = $1 AND state = ANY($2::text[]) AND (leased_until IS NULL OR leased_until < now())
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE vendor_orders AS v
SET lease = $3, leased_until = now() + make_interval(secs => $4), calls = v.calls + 1,
    state = CASE WHEN v.state = 'READY' THEN 'SENDING' ELSE v.state END,
    sent_at = CASE WHEN v.state = 'READY' THEN $5 ELSE v.sent_at END
FROM due, vendor_orders AS old
WHERE v.id = due.id AND old.id = v.id
RETURNING {COLUMNS}, old.state = 'READY' AS fresh
"""


async def lease(
    tx: Tx, purchase_id: int, token: UUID, lease_s: float, at: datetime
) -> tuple[Purchase, bool] | None:
    """The open purchase under a new lease, and whether it is to be placed now; None: not ours."""
    row = await tx.fetchrow(LEASE, purchase_id, OPEN_STATES, token, lease_s, at)
    return None if row is None else (as_purchase(row), row["fresh"])


RENEW = """
UPDATE vendor_orders SET leased_until = now() + make_interval(secs => $3)
WHERE id = $1 AND lease = $2
"""


async def renew(tx: Tx, purchase_id: int, token: UUID, lease_s: float) -> bool:
    """Whether the lease was still ours; then it lasts that much longer."""
    return rows_affected(await tx.execute(RENEW, purchase_id, token, lease_s)) == 1


LOCK_LEASED = f"""
SELECT {COLUMNS} FROM vendor_orders AS v WHERE v.id = $1 AND v.lease = $2 FOR NO KEY UPDATE
"""


async def lock_leased(tx: Tx, purchase_id: int, token: UUID) -> Purchase | None:
    row = await tx.fetchrow(LOCK_LEASED, purchase_id, token)
    return None if row is None else as_purchase(row)


READ = f"SELECT {COLUMNS} FROM vendor_orders AS v WHERE v.id = $1"

MADE_BOUNDS = """
SELECT min(id) AS first_id, max(id) AS last_id FROM vendor_orders
WHERE created_at >= $1 AND created_at < $2
"""

MADE = f"""
SELECT {COLUMNS} FROM vendor_orders AS v
WHERE v.id > $1 AND v.id <= $2 AND v.created_at >= $3 AND v.created_at < $4
    AND ($5::bigint IS NULL OR v.vendor_id = $5)
ORDER BY v.id
"""


async def made_bounds(tx: Tx, since: datetime, until: datetime) -> tuple[int, int] | None:
    row = await tx.fetchrow(MADE_BOUNDS, since, until)
    return None if row is None or row["first_id"] is None else (row["first_id"], row["last_id"])


async def made(
    tx: Tx, after_id: int, upto_id: int, since: datetime, until: datetime, vendor_id: int | None
) -> list[Purchase]:
    rows = await tx.fetch(MADE, after_id, upto_id, since, until, vendor_id)
    return [as_purchase(row) for row in rows]


async def read(tx: Tx, purchase_id: int) -> Purchase | None:
    row = await tx.fetchrow(READ, purchase_id)
    return None if row is None else as_purchase(row)


LOCK = f"""
SELECT {COLUMNS} FROM vendor_orders AS v WHERE v.id = $1 FOR NO KEY UPDATE
"""


async def lock(tx: Tx, purchase_id: int) -> Purchase | None:
    row = await tx.fetchrow(LOCK, purchase_id)
    return None if row is None else as_purchase(row)


# Compare-and-set under the row's lock, and the end of the lease.
WRITE = """
UPDATE vendor_orders SET
    state = $3, vendor_ref = $4, reason = $5, message = $6, received = $7, quarantined = $8,
    cost_minor = $9, cost_currency = $10, batch_id = $11, next_at = $12, case_at = $13,
    settled_at = $14, lease = NULL, leased_until = NULL
WHERE id = $1 AND state = $2
"""


async def write(tx: Tx, before: Purchase, after: Purchase) -> None:
    """Store what changed of a purchase that this transaction has locked."""
    done = await tx.execute(
        WRITE,
        *(before.id, before.state, after.state, after.vendor_ref, after.reason, after.message),
        *(after.received, after.quarantined),
        after.cost.amount_minor if after.cost else None,
        after.cost.currency if after.cost else None,
        *(after.batch_id, after.next_at, after.case_at, after.settled_at),
    )
    assert done == "UPDATE 1", "a purchase moves under its lock"


# What was never sent, and is not about to be. No position: all of its subject.
WITHDRAW = f"""
UPDATE vendor_orders AS v
SET state = 'REFUSED', reason = 'OTHER', message = $4, settled_at = $5
WHERE v.id = ANY(ARRAY(
    SELECT o.id FROM vendor_orders AS o
    JOIN unnest($2::bigint[], $3::int[]) AS ask (subject_id, position)
        ON o.subject_id = ask.subject_id AND o.position = coalesce(ask.position, o.position)
    WHERE o.purpose = ANY($1::text[]) AND o.state = 'READY'
    ORDER BY o.id FOR NO KEY UPDATE OF o
)) AND v.state = 'READY'
RETURNING {COLUMNS}
"""


async def withdraw(
    tx: Tx,
    purposes: Sequence[Purpose],
    parts: Sequence[tuple[int, int | None]],
    why: str,
    at: datetime,
) -> list[Purchase]:
    """Each part is a subject and a position of it, or None for all of them."""
    subjects, positions = [part[0] for part in parts], [part[1] for part in parts]
    rows = await tx.fetch(WITHDRAW, purposes, subjects, positions, why, at)
    return [as_purchase(row) for row in rows]


# Locked as what is withdrawn: a call that is about to be made is waited for, and then goes on.
NARROW = """
UPDATE vendor_orders AS v
SET quantity = least(v.quantity, ask.wanted),
    remaining = least(v.quantity + v.remaining, ask.wanted) - least(v.quantity, ask.wanted)
FROM unnest($2::bigint[], $3::int[]) AS ask (subject_id, wanted)
WHERE v.id = ANY(ARRAY(
    SELECT id FROM vendor_orders
    WHERE purpose = $1 AND subject_id = ANY($2::bigint[]) AND state = 'READY'
    ORDER BY id FOR NO KEY UPDATE
)) AND v.state = 'READY' AND v.subject_id = ask.subject_id
    AND v.quantity + v.remaining > ask.wanted
"""


async def narrow(tx: Tx, purpose: Purpose, wanted: Sequence[tuple[int, int]]) -> None:
    """Each is a subject, and how many units are still wanted for it."""
    subjects, units = [one[0] for one in wanted], [one[1] for one in wanted]
    await tx.execute(NARROW, purpose, subjects, units)


LOCK_OPEN = f"""
SELECT {COLUMNS} FROM vendor_orders AS v
WHERE v.purpose = $1 AND v.subject_id = ANY($2::bigint[])
    AND v.state IN ('READY', 'SENDING', 'UNKNOWN', 'ACCEPTED')
ORDER BY v.id FOR NO KEY UPDATE
"""


async def lock_open(tx: Tx, purpose: Purpose, subject_ids: Sequence[int]) -> list[Purchase]:
    return [as_purchase(row) for row in await tx.fetch(LOCK_OPEN, purpose, subject_ids)]


OPEN_OF = f"""
SELECT {COLUMNS} FROM vendor_orders AS v
WHERE v.purpose = ANY($1::text[]) AND v.subject_id = ANY($2::bigint[])
    AND v.state IN ('READY', 'SENDING', 'UNKNOWN', 'ACCEPTED')
ORDER BY v.id
"""


async def open_of(
    tx: Tx, purposes: Sequence[Purpose], subject_ids: Sequence[int]
) -> list[Purchase]:
    rows = await tx.fetch(OPEN_OF, purposes, subject_ids)
    return [as_purchase(row) for row in rows]


OPEN_SUBJECTS = """
SELECT DISTINCT subject_id FROM vendor_orders
WHERE purpose = ANY($1::text[]) AND subject_id = ANY($2::bigint[])
    AND state IN ('READY', 'SENDING', 'UNKNOWN', 'ACCEPTED')
"""


async def open_subjects(
    tx: Tx, purposes: Sequence[Purpose], subject_ids: Iterable[int]
) -> set[int]:
    rows = await tx.fetch(OPEN_SUBJECTS, purposes, list(subject_ids))
    return {row["subject_id"] for row in rows}


EVER = """
SELECT DISTINCT subject_id FROM vendor_orders
WHERE purpose = ANY($1::text[]) AND subject_id = ANY($2::bigint[])
"""


async def ever(tx: Tx, purposes: Sequence[Purpose], subject_ids: Iterable[int]) -> set[int]:
    rows = await tx.fetch(EVER, purposes, list(subject_ids))
    return {row["subject_id"] for row in rows}


DUE = """
SELECT id FROM vendor_orders
WHERE state IN ('READY', 'SENDING', 'UNKNOWN', 'ACCEPTED') AND next_at <= $1
    AND (leased_until IS NULL OR leased_until < now())
ORDER BY next_at, id LIMIT $2
"""


async def due(tx: Tx, at: datetime, limit: int) -> list[int]:
    return [row["id"] for row in await tx.fetch(DUE, at, limit)]


OF_SUBJECT = f"""
SELECT {COLUMNS} FROM vendor_orders AS v
WHERE v.purpose = ANY($1::text[]) AND v.subject_id = $2 ORDER BY v.id LIMIT $3
"""


async def of_subject(
    tx: Tx, purposes: Sequence[Purpose], subject_id: int, limit: int
) -> list[Purchase]:
    return [as_purchase(row) for row in await tx.fetch(OF_SUBJECT, purposes, subject_id, limit)]


CASES = f"""
SELECT {COLUMNS} FROM vendor_orders AS v
WHERE v.case_at IS NOT NULL AND v.settled_at IS NULL AND v.id > $1 ORDER BY v.id LIMIT $2
"""


async def cases(tx: Tx, after_id: int, limit: int) -> list[Purchase]:
    return [as_purchase(row) for row in await tx.fetch(CASES, after_id, limit)]


# How a vendor did lately: of what was settled, how much was delivered, and how long it took.
RECORD = """
SELECT vendor_id, count(*) AS settled, count(*) FILTER (WHERE state = 'FULFILLED') AS fulfilled,
    percentile_disc(0.5) WITHIN GROUP (ORDER BY settled_at - created_at)
        FILTER (WHERE state = 'FULFILLED') AS usual
FROM vendor_orders
WHERE vendor_id = ANY($1::bigint[]) AND created_at >= $2 AND settled_at IS NOT NULL
GROUP BY vendor_id
"""


async def record(tx: Tx, vendor_ids: Sequence[int], since: datetime) -> list[Record]:
    return list(await tx.fetch(RECORD, vendor_ids, since))
