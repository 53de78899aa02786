"""Every statement that touches what one person did without a second."""

from collections.abc import Collection, Sequence
from datetime import datetime

from rewards.infra.db import Tx, rows_affected
from rewards.staff.model_approvals import LoneAct, Scope

# Two acts of one person at the same time: the second one sees the first.
LOCK_PERSON = "SELECT id FROM staff_users WHERE id = $1 FOR NO KEY UPDATE"

SPENT = """
SELECT scope_id, currency, sum(amount_minor)::bigint AS amount_minor FROM staff_lone_acts
WHERE staff_id = $1 AND scope = $2 AND scope_id = ANY($3::bigint[]) AND at > $4
GROUP BY scope_id, currency ORDER BY scope_id, currency
"""

ADD = """
INSERT INTO staff_lone_acts (staff_id, scope, scope_id, amount_minor, currency, at)
SELECT staff_id, scope, scope_id, amount_minor, currency, $6
FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::text[])
    AS ask (staff_id, scope, scope_id, amount_minor, currency)
"""

FORGET = """
DELETE FROM staff_lone_acts WHERE id = ANY(ARRAY(
    SELECT id FROM staff_lone_acts WHERE at < $1 ORDER BY id LIMIT $2
))
"""


async def lock_person(tx: Tx, staff_id: int) -> None:
    await tx.execute(LOCK_PERSON, staff_id)


async def spent(
    tx: Tx, staff_id: int, scope: Scope, scope_ids: Collection[int], since: datetime
) -> dict[int, list[tuple[int, str]]]:
    """The sums (minor units, currency) of each of these."""
    found: dict[int, list[tuple[int, str]]] = {number: [] for number in scope_ids}
    for row in await tx.fetch(SPENT, staff_id, scope, list(scope_ids), since):
        found[row["scope_id"]].append((row["amount_minor"], row["currency"]))
    return found


async def add(tx: Tx, acts: Sequence[LoneAct], at: datetime) -> None:
    await tx.execute(
        ADD,
        [act.staff_id for act in acts],
        [act.scope for act in acts],
        [act.scope_id for act in acts],
        [act.amount_minor for act in acts],
        [act.currency for act in acts],
        at,
    )


async def forget(tx: Tx, before: datetime, limit: int) -> int:
    return rows_affected(await tx.execute(FORGET, before, limit))
