"""What others may do with the audit trail: add to it in the transaction it speaks of, read it."""

from collections.abc import Sequence
from datetime import datetime

from rewards.audit import sql, sql_chain, sql_search
from rewards.audit.model import AuditEntry, AuditFact, AuditFilter
from rewards.audit.model_chain import Head
from rewards.infra.db import Tx

# For the doctor: name to the SELECT of the rows that break it.
CHECKS = sql.CHECKS

__all__ = ["AuditEntry", "AuditFact", "AuditFilter", "head", "record", "search", "unsealed_since"]


async def record(tx: Tx, facts: Sequence[AuditFact], at: datetime) -> None:
    """Write the facts, in order, in one statement. They can never be changed (spec.md §8)."""
    if facts:
        await sql.record(tx, facts, at)


async def search(
    tx: Tx, narrow: AuditFilter, *, before: tuple[datetime, int] | None = None, limit: int = 50
) -> list[AuditEntry]:
    """Entries newest first; the next page begins before the last one's time and id."""
    return await sql_search.search(tx, narrow, before, limit)


async def head(tx: Tx) -> Head:
    """Where the chain ends: the last seal."""
    return await sql_chain.head(tx)


async def unsealed_since(tx: Tx) -> datetime | None:
    """When the first entry was written that is in no seal yet; None: all are."""
    return await sql_chain.ENTRIES.since(tx)
