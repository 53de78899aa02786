"""What others may do with the audit trail: add to it, in the transaction it speaks of."""

from collections.abc import Sequence
from datetime import datetime

from rewards.audit import sql
from rewards.audit.model import AuditFact
from rewards.infra.db import Tx

# For the doctor: name to the SELECT of the rows that break it.
CHECKS = sql.CHECKS

__all__ = ["AuditFact", "record"]


async def record(tx: Tx, facts: Sequence[AuditFact], at: datetime) -> None:
    """Write the facts, in order, in one statement. They can never be changed (spec.md §8)."""
    if facts:
        await sql.record(tx, facts, at)
