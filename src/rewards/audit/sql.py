"""The statements of the audit trail: it is only ever added to, and read."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

import msgspec

from rewards.audit.model import AuditEntry, AuditFact, AuditFilter
from rewards.core.actor import Actor, ActorKind
from rewards.infra.db import Record, Tx

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


# Newest first. A subject comes by its index, everything else by walking back from the end.
READ = """
SELECT id, at, actor_kind, actor_id, client_id, action, subject_kind, subject_id, facts, reason,
    request_id, address
FROM audit_entries
WHERE id < $1
    AND ($2::text IS NULL OR subject_kind = $2) AND ($3::bigint IS NULL OR subject_id = $3)
    AND ($4::text IS NULL OR action = $4) AND ($5::bigint IS NULL OR client_id = $5)
    AND ($6::bigint IS NULL OR (actor_kind = 'STAFF' AND actor_id = $6))
ORDER BY id DESC LIMIT $7
"""


async def read(tx: Tx, narrow: AuditFilter, before_id: int, limit: int) -> list[AuditEntry]:
    rows = await tx.fetch(
        READ,
        before_id,
        narrow.subject_kind,
        narrow.subject_id,
        narrow.action,
        narrow.client_id,
        narrow.staff_id,
        limit,
    )
    return [AuditEntry(row["id"], row["at"], _fact(row)) for row in rows]


def _fact(row: Record) -> AuditFact:
    actor = Actor(ActorKind(row["actor_kind"]), row["actor_id"], row["request_id"], row["address"])
    return AuditFact(
        actor,
        row["client_id"],
        row["action"],
        row["subject_kind"],
        row["subject_id"],
        row["facts"],
        row["reason"],
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
