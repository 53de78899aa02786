"""A breach for each check of the audit trail that is a SELECT; the chain has tests of its own."""

from tests.entry.planting import Plant

ENTRY = """
INSERT INTO audit_entries (at, actor_kind, action, subject_kind, subject_id{more})
VALUES ('2026-11-20', '{kind}', 'pool.drained', 'pool', 0{values})
"""
LAST = "SELECT max(id) FROM audit_entries"

PLANTS_AUDIT = {
    "audit_entry_names_its_actor": Plant(ENTRY.format(kind="STAFF", more="", values=""), LAST),
    "i20_entry_that_was_there_is_sealed": Plant(
        ENTRY.format(kind="SYSTEM", more=", xid", values=", '3'"), LAST
    ),
}
