"""What others may do with the request log: add to it, read it, forget what is old."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

from rewards.infra.db import Tx
from rewards.traffic import sql
from rewards.traffic.model import Line, LineFilter, forgotten_slots
from rewards.traffic.sql import Row as Row


async def append(tx: Tx, rows: Sequence[Row]) -> None:
    """Add lines, by COPY."""
    await sql.append(tx, rows)


async def find(tx: Tx, wanted: LineFilter, today: date, days_kept: int, limit: int) -> list[Line]:
    """A client's lines that fit, newest first; none older than `days_kept` days."""
    oldest = datetime.combine(today - timedelta(days=days_kept - 1), time(), UTC)
    since = max(oldest, wanted.since) if wanted.since else oldest
    return await sql.read(tx, wanted, since, limit)


async def old_slots(tx: Tx, today: date, days_kept: int) -> list[int]:
    """Slots with lines that nobody may read any more."""
    found = forgotten_slots(today, days_kept)
    return [slot for slot in found if await sql.holds_any(tx, slot)]


async def forget(tx: Tx, slot: int) -> None:
    """Empty one of `old_slots`, however many lines it has."""
    await sql.empty(tx, slot)
