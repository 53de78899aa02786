"""A breach for each check of what two people agreed to, and of reports."""

from tests.entry.books import DELIVERED_ID
from tests.entry.planting import Plant

STAFF = """
INSERT INTO staff_users (username, role, password_hash, created_at)
VALUES ('olga', 'admin', 'none', now()), ('fred', 'admin', 'none', now());
"""


def agreed(kind: str, subject_kind: str, subject_id: int, transfer_id: str = "NULL") -> str:
    """A request of one person that another agreed to, for 1.00, carried out."""
    return f"""
INSERT INTO approvals (kind, subject_kind, subject_id, amount_minor, currency, state, requested_by,
    reason, requested_at, expires_at, decided_by, decided_at, carried_out_at, transfer_id)
VALUES ('{kind}', '{subject_kind}', {subject_id}, 100, 'USD', 'CARRIED_OUT', 1, 'why', now(), now(),
    2, now(), now(), {transfer_id});
"""


def report(state: str, *, chunks: int, kept: int) -> str:
    """A report of so many chunks, the first of which are there."""
    return f"""
INSERT INTO reports (kind, parameters, asked_by, state, first_after, position, upto, chunks,
    asked_at, ended_at, expires_at)
VALUES ('ORDERS', '{{}}', 1, '{state}', 0, 1, 1, {chunks}, now(), now(), now() + interval '7 days');
INSERT INTO report_chunks (report_id, number, content)
SELECT 1, number, 'x' FROM generate_series(1, {kept}) AS number;
"""


PLANTS_MONEY = {
    "approval_moved_the_money_that_was_agreed_to": Plant(
        STAFF + agreed("TOPUP", "wallet", 1, transfer_id="1"), 1
    ),
    "approval_took_back_what_was_agreed_to": Plant(
        STAFF + agreed("LATE_CANCEL", "order", DELIVERED_ID), 1
    ),
    "report_file_is_whole": Plant(STAFF + report("DONE", chunks=2, kept=1), 1),
    "report_without_a_file_keeps_no_chunk": Plant(STAFF + report("CANCELLED", chunks=1, kept=1), 1),
}
