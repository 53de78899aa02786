"""The statement that adds to the audit trail, and the checks of what is in it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

import msgspec

from rewards.audit.model import AuditFact
from rewards.infra.db import Tx

# Decimals stay the numbers they are, with their digits.
_FACTS = msgspec.json.Encoder(decimal_format="number")

RECORD = """
INSERT INTO audit_entries (
    at, actor_kind, actor_id, client_id, action, subject_kind, subject_id, facts, reason,
    request_id, address
)
SELECT $1, actor_kind, actor_id, client_id, action, subject_kind, subject_id, facts::jsonb, reason,
    request_id, address
FROM unnest(
    $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::bigint[], $8::text[],
    $9::text[], $10::text[], $11::text[]
) AS a (
    actor_kind, actor_id, client_id, action, subject_kind, subject_id, facts, reason,
    request_id, address
)
"""


async def record(tx: Tx, facts: Sequence[AuditFact], at: datetime) -> None:
    await tx.execute(
        RECORD,
        at,
        [fact.actor.kind for fact in facts],
        [fact.actor.id for fact in facts],
        [fact.client_id for fact in facts],
        [fact.action for fact in facts],
        [fact.subject_kind for fact in facts],
        [fact.subject_id for fact in facts],
        [_FACTS.encode(fact.facts).decode() for fact in facts],
        [fact.reason for fact in facts],
        [fact.actor.request_id for fact in facts],
        [fact.actor.address for fact in facts],
    )


# Whatever the snapshot saw that was sealed last: an entry without a place was slipped in behind it.
# Transactions are counted anew after a restore elsewhere; what is yet to come there is of no use.
SEEN_ENTRY_IS_SEALED = """
SELECT s.id AS subject, s.at, s.action
FROM audit_entries AS s
JOIN audit_sealing AS t ON t.target IS NULL AND t.sealed IS NOT NULL
    AND pg_snapshot_xmax(t.sealed) <= pg_snapshot_xmax(pg_current_snapshot())
WHERE (pg_visible_in_snapshot(s.xid, t.sealed)
        OR s.xid >= pg_snapshot_xmax(pg_current_snapshot()))
    AND NOT EXISTS (SELECT FROM audit_chain AS a WHERE a.entry_id = s.id)
"""

# Each answers the rows that break a rule, their id first; `rewards doctor` runs them.
CHECKS: Mapping[str, str] = MappingProxyType(
    {
        "audit_entry_names_its_actor": """
            SELECT id AS subject, actor_kind, action FROM audit_entries
            WHERE (actor_id IS NULL) <> (actor_kind IN ('SYSTEM', 'HOLDER'))""",
        "i20_entry_that_was_there_is_sealed": SEEN_ENTRY_IS_SEALED,
    }
)
