"""Every statement on the request log. Rows in, rows out."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeAlias

from rewards.infra.db import Record, Tx
from rewards.traffic.model import SLOTS, STATUSES, Line, LineFilter

# In the order of COLUMNS.
Row: TypeAlias = tuple[
    int,
    int,
    datetime,
    str,
    str,
    str,
    int,
    str | None,
    int,
    int | None,
    int | None,
    str | None,
    int | None,
]
COLUMNS = (
    *("slot", "client_id", "at", "request_id", "method", "route", "status", "code", "took_us"),
    *("credential_id", "login_id", "address", "order_id"),
)
# Only the conditions asked for are written: `$2 IS NULL OR …` would hide indexes from the planner.
READ = """
SELECT id, at, request_id, method, route, status, code, took_us, credential_id, login_id, address,
       order_id
FROM client_requests WHERE client_id = $1 AND at >= $2{}
ORDER BY at DESC, id DESC LIMIT ${}
"""
HOLDS_ANY = [f"SELECT EXISTS (SELECT FROM client_requests_{slot:02})" for slot in range(SLOTS)]
EMPTY = [f"TRUNCATE client_requests_{slot:02}" for slot in range(SLOTS)]


async def append(tx: Tx, rows: Sequence[Row]) -> None:
    await tx.copy_records_to_table("client_requests", records=rows, columns=COLUMNS)


async def read(tx: Tx, wanted: LineFilter, since: datetime, limit: int) -> list[Line]:
    """Newest first."""
    values: list[object] = [wanted.client_id, since]
    conditions = ""

    def narrow(condition: str, *given: object) -> None:
        nonlocal conditions
        values.extend(given)
        places = [f"${len(values) - len(given) + turn + 1}" for turn in range(len(given))]
        conditions += " AND " + condition.format(*places)

    if wanted.until is not None:
        narrow("at < {}", wanted.until)
    if wanted.status is not None:
        low, high = STATUSES[wanted.status]
        narrow("status BETWEEN {} AND {}", low, high)
        if low >= 400:
            # As the index of what went wrong is told.
            narrow("status >= 400")
    if wanted.route is not None:
        narrow("route = {}", wanted.route)
    if wanted.request_id is not None:
        narrow("request_id = {}", wanted.request_id)
    if wanted.before is not None:
        narrow("(at, id) < ({}, {})", *wanted.before)
    values.append(limit)
    rows = await tx.fetch(READ.format(conditions, len(values)), *values)
    return [_line(row) for row in rows]


def _line(row: Record) -> Line:
    return Line(**dict(row))


async def holds_any(tx: Tx, slot: int) -> bool:
    return bool(await tx.fetchval(HOLDS_ANY[slot]))


async def empty(tx: Tx, slot: int) -> None:
    await tx.execute(EMPTY[slot])
