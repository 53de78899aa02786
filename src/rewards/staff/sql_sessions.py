"""Every statement that touches sessions of staff."""

from collections.abc import Sequence
from datetime import datetime

from rewards.infra.db import Record, Tx, rows_affected
from rewards.staff.model_sessions import (
    SEEN_EVERY,
    SESSION_LIFETIME,
    EndReason,
    NewSession,
    Proof,
    SessionState,
    SignedIn,
    StaffSession,
)
from rewards.staff.sql import COLUMNS as STAFF_COLUMNS
from rewards.staff.sql import as_staff

COLUMNS = (
    "e.id AS session_id, e.staff_id, e.proof, e.proven_at, e.created_at AS begun_at,"
    " e.last_seen_at, e.expires_at, e.address, e.user_agent, e.ended_at, e.ended_by, e.end_reason"
)

ADD = f"""
INSERT INTO staff_sessions AS e
    (staff_id, proof, proven_at, created_at, last_seen_at, expires_at, address, user_agent)
VALUES ($1, $2, $3, $3, $3, $4, $5, $6)
RETURNING {COLUMNS}
"""

READ = f"""
SELECT {STAFF_COLUMNS}, {COLUMNS}, EXISTS (
    SELECT FROM staff_second_factors AS f
    WHERE f.staff_id = s.id AND f.confirmed_at IS NOT NULL) AS second_factor
FROM staff_sessions AS e JOIN staff_users AS s ON s.id = e.staff_id
WHERE e.id = $1
"""

# `state` follows StaffSession.state.
FIND = f"""
SELECT {COLUMNS}
FROM (
    SELECT *, CASE
        WHEN ended_at IS NOT NULL THEN 'ENDED'
        WHEN expires_at <= $4 OR last_seen_at <= $5 THEN 'EXPIRED'
        ELSE 'LIVE' END AS state
    FROM staff_sessions WHERE staff_id = $1 AND id < $2
) AS e
WHERE $3::text IS NULL OR e.state = $3
ORDER BY e.id DESC LIMIT $6
"""

# What is over by itself stays as it was: nobody ended it.
END = f"""
UPDATE staff_sessions AS e SET ended_at = $2, ended_by = $3, end_reason = $4
WHERE e.staff_id = ANY($1::bigint[]) AND e.ended_at IS NULL AND e.expires_at > $2
    AND ($5::bigint IS NULL OR e.id = $5) AND ($6::bigint IS NULL OR e.id <> $6)
RETURNING {COLUMNS}
"""

SEE = """
UPDATE staff_sessions SET last_seen_at = $2
WHERE id = $1 AND ended_at IS NULL AND last_seen_at <= $3
"""

# A password proves no less than what the session has shown before.
PROVE = """
UPDATE staff_sessions SET proven_at = $2, proof = coalesce($3, proof)
WHERE id = $1 AND ended_at IS NULL
"""

FORGET = "DELETE FROM staff_sessions WHERE expires_at < $1"


def as_session(row: Record) -> StaffSession:
    return StaffSession(
        id=row["session_id"],
        staff_id=row["staff_id"],
        proof=Proof(row["proof"]),
        proven_at=row["proven_at"],
        created_at=row["begun_at"],
        last_seen_at=row["last_seen_at"],
        expires_at=row["expires_at"],
        address=row["address"],
        user_agent=row["user_agent"],
        ended_at=row["ended_at"],
        ended_by=row["ended_by"],
        end_reason=None if row["end_reason"] is None else EndReason(row["end_reason"]),
    )


async def add(tx: Tx, new: NewSession, at: datetime) -> StaffSession:
    until = at.replace(microsecond=0) + SESSION_LIFETIME
    row = await tx.fetchrow(ADD, new.staff_id, new.proof, at, until, new.address, new.user_agent)
    assert row is not None, "an insert answers its row"
    return as_session(row)


async def read(tx: Tx, session_id: int) -> SignedIn | None:
    """The session with its owner, in any state."""
    row = await tx.fetchrow(READ, session_id)
    return None if row is None else SignedIn(as_staff(row), as_session(row), row["second_factor"])


async def find(
    tx: Tx,
    staff_id: int,
    state: SessionState | None,
    at: datetime,
    *,
    idle_since: datetime,
    before_id: int,
    limit: int,
) -> list[StaffSession]:
    """Of one person, newest first; None for any state."""
    rows = await tx.fetch(FIND, staff_id, before_id, state, at, idle_since, limit)
    return [as_session(row) for row in rows]


async def end(
    tx: Tx,
    staff_ids: Sequence[int],
    at: datetime,
    *,
    by: int | None,
    reason: EndReason,
    only: int | None,
    keep: int | None,
) -> list[StaffSession]:
    """End what is not over: all of these people's, or `only` one, or all but `keep`; by id."""
    rows = await tx.fetch(END, staff_ids, at, by, reason, only, keep)
    return sorted(map(as_session, rows), key=lambda session: session.id)


async def see(tx: Tx, session_id: int, at: datetime) -> None:
    await tx.execute(SEE, session_id, at, at - SEEN_EVERY)


async def prove(tx: Tx, session_id: int, at: datetime, proof: Proof | None) -> bool:
    """Whether the session was still there. `proof`: what it has shown altogether; None as was."""
    return rows_affected(await tx.execute(PROVE, session_id, at, proof)) == 1


async def forget(tx: Tx, before: datetime) -> int:
    return rows_affected(await tx.execute(FORGET, before))
