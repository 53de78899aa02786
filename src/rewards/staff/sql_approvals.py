"""Every statement that touches approvals."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from rewards.infra.db import Record, Tx
from rewards.staff.model_approvals import Approval, ApprovalAsk, ApprovalKind, ApprovalState

ITEMS_LISTED_MAX = 20

COLUMNS = """
a.id, a.kind, a.subject_kind, a.subject_id, a.amount_minor, a.currency, a.details, a.state,
a.requested_by, a.reason, a.requested_at, a.expires_at, a.decided_by, a.note, a.decided_at,
a.carried_out_at, a.reference, a.withdrawn_at, a.refused, a.transfer_id
"""

# Whoever asks for the same at the same moment waits here, and finds it asked.
ADD = f"""
INSERT INTO approvals AS a (
    kind, subject_kind, subject_id, amount_minor, currency, details, requested_by, reason,
    reference, requested_at, expires_at
)
SELECT kind, subject_kind, subject_id, amount_minor, currency, details::jsonb, requested_by, reason,
    reference, $10, $11
FROM unnest(
    $1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::bigint[],
    $8::text[], $9::text[]
) AS ask (
    kind, subject_kind, subject_id, amount_minor, currency, details, requested_by, reason, reference
)
ORDER BY kind, subject_kind, subject_id, reference
ON CONFLICT (kind, subject_kind, subject_id, reference)
    WHERE state IN ('REQUESTED', 'APPROVED') DO NOTHING
RETURNING {COLUMNS}
"""

LOCK = f"SELECT {COLUMNS} FROM approvals AS a WHERE a.id = ANY($1) ORDER BY a.id FOR NO KEY UPDATE"

READ = f"SELECT {COLUMNS} FROM approvals AS a WHERE a.id = ANY($1)"

# A cancel may name ten thousand items, and a page has hundreds of lines: of each the first few.
_SHORT = f"""
CASE jsonb_typeof(a.details -> 'item_ids') WHEN 'array' THEN a.details || jsonb_build_object(
    'item_ids', jsonb_path_query_array(a.details, '$.item_ids[0 to {ITEMS_LISTED_MAX - 1}]'),
    'items', jsonb_array_length(a.details -> 'item_ids')
) ELSE a.details END AS details
"""
LIST = f"""
SELECT {COLUMNS.replace("a.details", _SHORT)} FROM approvals AS a
WHERE ($1::text IS NULL OR a.state = $1) AND ($2::text IS NULL OR a.kind = $2)
    AND ($3::bigint IS NULL OR a.requested_by = $3) AND a.id < $4
ORDER BY a.id DESC LIMIT $5
"""

LAST_OF = f"""
SELECT {COLUMNS} FROM approvals AS a
WHERE a.kind = $1 AND a.subject_kind = $2 AND a.subject_id = $3 ORDER BY a.id DESC LIMIT 1
"""

OPEN_OF = f"""
SELECT {COLUMNS} FROM approvals AS a
WHERE a.state IN ('REQUESTED', 'APPROVED') AND a.subject_kind = $1
    AND a.subject_id = ANY($2::bigint[])
ORDER BY a.id
"""

COUNT_REQUESTED = """
SELECT kind, count(*) AS requests, min(expires_at) AS expires_at FROM approvals
WHERE state = 'REQUESTED' AND expires_at > $1 GROUP BY kind ORDER BY kind
"""

OF_SUBJECT = f"""
SELECT {COLUMNS} FROM approvals AS a
WHERE a.subject_kind = $1 AND a.subject_id = $2 ORDER BY a.id DESC LIMIT $3
"""

# Compare-and-set: a request that is not in `source` any more stays as it is.
MOVE = """
UPDATE approvals AS a
SET state = ask.state, decided_by = ask.decided_by, note = ask.note, decided_at = ask.decided_at,
    carried_out_at = ask.carried_out_at, withdrawn_at = ask.withdrawn_at, refused = ask.refused,
    transfer_id = ask.transfer_id
FROM unnest(
    $1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::timestamptz[],
    $7::timestamptz[], $8::timestamptz[], $9::text[], $10::bigint[]
) AS ask (
    id, source, state, decided_by, note, decided_at, carried_out_at, withdrawn_at, refused,
    transfer_id
)
WHERE a.id = ask.id AND a.state = ask.source
RETURNING a.id
"""

EXPIRE = f"""
UPDATE approvals AS a SET state = 'EXPIRED'
WHERE a.id = ANY(ARRAY(
    SELECT id FROM approvals WHERE state = 'REQUESTED' AND expires_at <= $1
    ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED
))
RETURNING {COLUMNS}
"""


def _as_approval(row: Record) -> Approval:
    facts = dict(row)
    return Approval(
        **(facts | {"kind": ApprovalKind(row["kind"]), "state": ApprovalState(row["state"])})
    )


async def add(
    tx: Tx, asks: Sequence[ApprovalAsk], at: datetime, expires_at: datetime
) -> list[Approval]:
    """Those that nobody has asked for already."""
    rows = await tx.fetch(
        ADD,
        [ask.kind for ask in asks],
        [ask.subject_kind for ask in asks],
        [ask.subject_id for ask in asks],
        [ask.amount_minor for ask in asks],
        [ask.currency for ask in asks],
        [msgspec.json.encode(ask.details).decode() for ask in asks],
        [ask.requested_by for ask in asks],
        [ask.reason for ask in asks],
        [ask.reference for ask in asks],
        at,
        expires_at,
    )
    return [_as_approval(row) for row in rows]


async def lock(tx: Tx, approval_ids: Sequence[int]) -> dict[int, Approval]:
    return {row["id"]: _as_approval(row) for row in await tx.fetch(LOCK, list(approval_ids))}


async def read(tx: Tx, approval_ids: Sequence[int]) -> dict[int, Approval]:
    return {row["id"]: _as_approval(row) for row in await tx.fetch(READ, list(approval_ids))}


async def find(
    tx: Tx,
    state: ApprovalState | None,
    kind: ApprovalKind | None,
    requested_by: int | None,
    before_id: int,
    limit: int,
) -> list[Approval]:
    """Newest first."""
    rows = await tx.fetch(LIST, state, kind, requested_by, before_id, limit)
    return [_as_approval(row) for row in rows]


async def last_of(
    tx: Tx, kind: ApprovalKind, subject_kind: str, subject_id: int
) -> Approval | None:
    row = await tx.fetchrow(LAST_OF, kind, subject_kind, subject_id)
    return _as_approval(row) if row else None


async def open_of(tx: Tx, subject_kind: str, subject_ids: Sequence[int]) -> list[Approval]:
    rows = await tx.fetch(OPEN_OF, subject_kind, list(subject_ids))
    return [_as_approval(row) for row in rows]


async def count_requested(tx: Tx, at: datetime) -> list[tuple[ApprovalKind, int, datetime]]:
    rows = await tx.fetch(COUNT_REQUESTED, at)
    return [(ApprovalKind(row["kind"]), row["requests"], row["expires_at"]) for row in rows]


async def of_subject(tx: Tx, subject_kind: str, subject_id: int, limit: int) -> list[Approval]:
    """Newest first."""
    rows = await tx.fetch(OF_SUBJECT, subject_kind, subject_id, limit)
    return [_as_approval(row) for row in rows]


async def move(tx: Tx, moves: Sequence[tuple[Approval, Approval]]) -> None:
    """Apply (before, after) pairs of locked requests."""
    moved = await tx.fetch(
        MOVE,
        [after.id for _, after in moves],
        [before.state for before, _ in moves],
        [after.state for _, after in moves],
        [after.decided_by for _, after in moves],
        [after.note for _, after in moves],
        [after.decided_at for _, after in moves],
        [after.carried_out_at for _, after in moves],
        [after.withdrawn_at for _, after in moves],
        [after.refused for _, after in moves],
        [after.transfer_id for _, after in moves],
    )
    assert len(moved) == len(moves), "approvals move under their lock"


async def expire(tx: Tx, at: datetime, limit: int) -> list[Approval]:
    """Requests whose time has passed, now EXPIRED."""
    return [_as_approval(row) for row in await tx.fetch(EXPIRE, at, limit)]
