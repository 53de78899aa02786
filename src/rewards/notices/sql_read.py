"""Every statement that reads notices and their attempts for people; nothing here writes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rewards.infra.db import Record, Tx
from rewards.notices.model import Attempt, Notice, NoticeKind, NoticeState, Outcome, Reply
from rewards.notices.sql import COLUMNS, as_notice


@dataclass(frozen=True, slots=True)
class NoticeFilter:
    """What to read; None leaves it open."""

    client_id: int | None = None
    order_id: int | None = None
    state: NoticeState | None = None
    kind: NoticeKind | None = None


LIST = f"""
SELECT {COLUMNS} FROM notices AS n
WHERE n.id < $1
    AND ($2::bigint IS NULL OR n.client_id = $2) AND ($3::bigint IS NULL OR n.order_id = $3)
    AND ($4::text IS NULL OR n.state = $4) AND ($5::text IS NULL OR n.kind = $5)
ORDER BY n.id DESC LIMIT $6
"""


async def find(tx: Tx, narrow: NoticeFilter, before_id: int, limit: int) -> list[Notice]:
    """Newest first."""
    rows = await tx.fetch(
        LIST,
        *(before_id, narrow.client_id, narrow.order_id, narrow.state, narrow.kind, limit),
    )
    return [as_notice(row) for row in rows]


READ = f"SELECT {COLUMNS} FROM notices AS n WHERE n.id = $1"
LOCK = f"{READ} FOR NO KEY UPDATE"


async def read(tx: Tx, notice_id: int) -> Notice | None:
    row = await tx.fetchrow(READ, notice_id)
    return None if row is None else as_notice(row)


async def lock(tx: Tx, notice_id: int) -> Notice | None:
    row = await tx.fetchrow(LOCK, notice_id)
    return None if row is None else as_notice(row)


COUNT_RESENDS = "SELECT count(*) FROM notices WHERE resend_of = $1"


async def resends(tx: Tx, notice_id: int) -> int:
    return int(await tx.fetchval(COUNT_RESENDS, notice_id))


ATTEMPTS = """
SELECT notice_id, number, outcome, stage, reply_code, reply, started_at, took_ms
FROM notice_attempts WHERE notice_id = ANY($1::bigint[]) ORDER BY notice_id, number
"""


async def attempts(tx: Tx, notice_ids: Sequence[int]) -> dict[int, list[Attempt]]:
    """By notice, in order; one that was cut off left none."""
    found: dict[int, list[Attempt]] = {notice_id: [] for notice_id in notice_ids}
    for row in await tx.fetch(ATTEMPTS, list(notice_ids)):
        found[row["notice_id"]].append(_attempt(row))
    return found


def _attempt(row: Record) -> Attempt:
    reply = Reply(Outcome(row["outcome"]), row["stage"], row["reply_code"], row["reply"])
    return Attempt(row["number"], reply, row["started_at"], row["took_ms"])


WAITING = """
SELECT count(*) AS waiting, min(next_at) AS since FROM notices
WHERE state = 'QUEUED' AND next_at <= now()
"""


async def waiting(tx: Tx) -> tuple[int, datetime | None]:
    """Notices that could be sent now, and since when the first of them could."""
    row = (await tx.fetch(WAITING))[0]
    return row["waiting"], row["since"]
