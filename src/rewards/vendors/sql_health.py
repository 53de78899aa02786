"""Reads how every vendor is doing, in one statement."""

from dataclasses import dataclass
from datetime import datetime

from rewards.infra.db import Tx
from rewards.vendors.account import AccountStatus
from rewards.vendors.kept import Call


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """One vendor: what is under way there, what waits for a person, and what could not be read.

    `unread_since`: when reading its balance or catalogue last went well, where it fails now.
    """

    vendor_id: int
    name: str
    status: AccountStatus
    open: int
    unknown: int
    cases: int
    problem: str | None
    unread_since: datetime | None


# The open purchases have an index of their own.
HEALTH = """
SELECT v.id AS vendor_id, v.name, v.status, coalesce(p.open, 0) AS open,
    coalesce(p.unknown, 0) AS unknown, coalesce(p.cases, 0) AS cases, r.problem,
    r.read_at AS unread_since
FROM (
    SELECT * FROM vendors WHERE $2::bigint IS NULL OR id = $2 ORDER BY id LIMIT $1
) AS v
LEFT JOIN (
    SELECT vendor_id, count(*) AS open, count(*) FILTER (WHERE state = 'UNKNOWN') AS unknown,
        count(*) FILTER (WHERE case_at IS NOT NULL) AS cases
    FROM vendor_orders WHERE state IN ('READY', 'SENDING', 'UNKNOWN', 'ACCEPTED')
    GROUP BY vendor_id
) AS p ON p.vendor_id = v.id
LEFT JOIN LATERAL (
    SELECT problem, read_at FROM vendor_reads
    WHERE vendor_id = v.id AND problem IS NOT NULL ORDER BY tried_at DESC LIMIT 1
) AS r ON true
ORDER BY v.id
"""


async def health(tx: Tx, limit: int, vendor_id: int | None = None) -> list[Health]:
    """By id; vendors are a few. With a `vendor_id` of that one."""
    return [
        Health(**(dict(row) | {"status": AccountStatus(row["status"])}))
        for row in await tx.fetch(HEALTH, limit, vendor_id)
    ]


LAST_CALLS = """
SELECT at, problem IS NULL AS answered FROM vendor_exchanges WHERE vendor_id = $1
ORDER BY id DESC LIMIT $2
"""


async def last_calls(tx: Tx, vendor_id: int, limit: int) -> list[Call]:
    """The newest first."""
    return [Call(*row) for row in await tx.fetch(LAST_CALLS, vendor_id, limit)]
