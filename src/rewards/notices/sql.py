"""Every statement that writes notices, what became of them, and how far events are read."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from rewards.infra.db import Record, Tx, rows_affected
from rewards.notices.model import (
    ATTEMPT_MAX,
    Attempt,
    Audience,
    NewNotice,
    Notice,
    NoticeKind,
    NoticeState,
    Settled,
)
from rewards.webhooks.service import Place

COLUMNS = """
n.id, n.client_id, n.kind, n.audience, n.address, n.cause, n.order_id, n.facts, n.message_id,
n.resend_of, n.state, n.attempts, n.next_at, n.reason, n.created_at, n.finished_at
"""


def as_notice(row: Record) -> Notice:
    facts = dict(row)
    facts["kind"] = NoticeKind(row["kind"])
    facts["audience"] = Audience(row["audience"])
    facts["state"] = NoticeState(row["state"])
    return Notice(**facts)


# One reader at a time; another one has nothing to add.
LOCK_READING = """
SELECT through_xid::text::bigint AS through_xid, after_id FROM notice_reading
FOR UPDATE SKIP LOCKED
"""
MOVE_READING = "UPDATE notice_reading SET through_xid = $1::text::xid8, after_id = $2"


async def lock_reading(tx: Tx) -> Place | None:
    """How far events are read; None while somebody else reads them."""
    row = await tx.fetchrow(LOCK_READING)
    return None if row is None else Place(row["through_xid"], row["after_id"])


async def move_reading(tx: Tx, place: Place) -> None:
    await tx.execute(MOVE_READING, str(place.through_xid), place.after_id)


INSERT = """
INSERT INTO notices (
    client_id, kind, audience, address, cause, order_id, facts, message_id, resend_of, next_at,
    created_at
)
SELECT client_id, kind, audience, address, cause, order_id, facts::jsonb,
    '<' || gen_random_uuid() || '@' || $2 || '>', resend_of, now(), $1
FROM unnest($3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[],
    $9::text[], $10::bigint[])
    AS new (client_id, kind, audience, address, cause, order_id, facts, resend_of)
ON CONFLICT DO NOTHING RETURNING id
"""


async def insert(
    tx: Tx, new: Sequence[NewNotice], facts: Sequence[str], domain: str, at: datetime
) -> list[int]:
    """Queue what is not there yet, `facts` as JSON; the ids of what is new."""
    rows = await tx.fetch(
        INSERT,
        *(at, domain),
        [each.client_id for each in new],
        [each.kind for each in new],
        [each.audience for each in new],
        [each.address for each in new],
        [each.cause for each in new],
        [each.order_id for each in new],
        list(facts),
        [each.resend_of for each in new],
    )
    return [row["id"] for row in rows]


# What was taken as often as may be and never settled: whoever took it died of it, every time.
GIVE_UP = """
UPDATE notices SET state = 'FAILED', reason = 'NEVER_SETTLED', lease = NULL, leased_until = NULL,
    finished_at = $1
WHERE id = ANY(ARRAY(
    SELECT id FROM notices WHERE state = 'QUEUED' AND attempts >= $2 AND leased_until < now()
    ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED))
"""

TAKE = f"""
UPDATE notices AS n
SET lease = $1, leased_until = now() + make_interval(secs => $2), attempts = n.attempts + 1
WHERE n.id = ANY(ARRAY(
    SELECT id FROM notices
    WHERE state = 'QUEUED' AND next_at <= now() AND attempts < $3
        AND (leased_until IS NULL OR leased_until < now())
    ORDER BY next_at, id LIMIT $4 FOR UPDATE SKIP LOCKED))
RETURNING {COLUMNS}
"""


async def take(tx: Tx, lease: UUID, lease_s: float, limit: int, at: datetime) -> list[Notice]:
    """What is due, leased by the database's clock; each take counts as an attempt."""
    await tx.execute(GIVE_UP, at, ATTEMPT_MAX, limit)
    rows = await tx.fetch(TAKE, lease, lease_s, ATTEMPT_MAX, limit)
    return sorted(map(as_notice, rows), key=lambda notice: notice.id)


SETTLE = """
UPDATE notices SET state = $3, reason = $4, next_at = now() + make_interval(secs => $5),
    lease = NULL, leased_until = NULL,
    finished_at = CASE WHEN $3 = 'QUEUED' THEN NULL ELSE $6::timestamptz END
WHERE id = $1 AND lease = $2
"""


async def settle(
    tx: Tx, lease: UUID, notice_id: int, settled: Settled, wait_s: float, at: datetime
) -> bool:
    """Put down how it went; False where the lease was lost, and nothing is changed."""
    done = await tx.execute(
        *(SETTLE, notice_id, lease, settled.state, settled.reason, wait_s, at),
    )
    return rows_affected(done) == 1


# Nothing was tried: it is as if it had not been taken.
RELEASE = """
UPDATE notices SET lease = NULL, leased_until = NULL, attempts = attempts - 1,
    next_at = now() + make_interval(secs => $3)
WHERE id = ANY($1::bigint[]) AND lease = $2
"""


async def release(tx: Tx, lease: UUID, notice_ids: Sequence[int], wait_s: float) -> None:
    await tx.execute(RELEASE, list(notice_ids), lease, wait_s)


ADD_ATTEMPT = """
INSERT INTO notice_attempts (
    notice_id, number, outcome, stage, reply_code, reply, started_at, took_ms
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""


async def add_attempt(tx: Tx, notice_id: int, attempt: Attempt) -> None:
    reply = attempt.reply
    await tx.execute(
        ADD_ATTEMPT,
        *(notice_id, attempt.number, reply.outcome, reply.stage, reply.code, reply.text),
        *(attempt.started_at, attempt.took_ms),
    )


SUPPRESS = """
INSERT INTO suppressed_addresses (address, notice_id, reply_code, at)
VALUES (lower($1), $2, $3, $4) ON CONFLICT (address) DO NOTHING
"""


async def suppress(tx: Tx, address: str, notice_id: int, reply_code: int, at: datetime) -> None:
    """Send nothing there any more: its server says that there is no such mailbox."""
    await tx.execute(SUPPRESS, address, notice_id, reply_code, at)


IS_SUPPRESSED = "SELECT EXISTS (SELECT FROM suppressed_addresses WHERE address = lower($1))"


async def is_suppressed(tx: Tx, address: str) -> bool:
    return bool(await tx.fetchval(IS_SUPPRESSED, address))


LIFT = "DELETE FROM suppressed_addresses WHERE address = lower($1)"


async def lift(tx: Tx, address: str) -> bool:
    """Whether it was suppressed; it no longer is."""
    return rows_affected(await tx.execute(LIFT, address)) == 1


FORGET = """
DELETE FROM notices WHERE id = ANY(ARRAY(
    SELECT id FROM notices WHERE finished_at < $1 ORDER BY finished_at LIMIT $2))
"""


async def forget(tx: Tx, before: datetime, limit: int) -> int:
    """Drop at most `limit` notices that ended before then, with their attempts; how many."""
    return rows_affected(await tx.execute(FORGET, before, limit))
