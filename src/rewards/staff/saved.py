"""Keeps searches for those who make them again."""

from collections.abc import Mapping
from datetime import datetime

from rewards.audit import service as audit
from rewards.audit.model import AuditFact
from rewards.core.actor import Actor
from rewards.core.errors import Refusal
from rewards.infra.db import Tx
from rewards.staff import sql_saved
from rewards.staff.auth import Caller
from rewards.staff.model_saved import (
    SAVED_MAX,
    SavedSearch,
    SavedSearchNameTaken,
    TooManySavedSearches,
    refusal_to_delete,
)

# Their own and what all others share.
LIST_MAX = 1_000


async def keep(
    tx: Tx, who: Caller, name: str, query: Mapping[str, str], *, shared: bool, at: datetime
) -> SavedSearch | Refusal:
    """Keep a search that was read already.

    Refused (409): the person has one of that name, or SAVED_MAX of them.
    """
    if await sql_saved.count(tx, who.staff.id) >= SAVED_MAX:
        return TooManySavedSearches()
    added = await sql_saved.add(tx, who.staff.id, name, query, shared=shared, at=at)
    if added is None:
        return SavedSearchNameTaken()
    saved = await sql_saved.read(tx, added)
    assert saved is not None
    await audit.record(tx, [_fact(who.actor, "saved_search.created", saved)], at)
    return saved


async def of_person(tx: Tx, staff_id: int) -> list[SavedSearch]:
    """What one person keeps, by name, then what others share."""
    return await sql_saved.of_person(tx, staff_id, LIST_MAX)


async def delete(tx: Tx, who: Caller, saved_id: int, at: datetime) -> Refusal | None:
    """Delete it. Refused: unknown or somebody else's (404), shared by somebody else (403)."""
    saved = await sql_saved.read(tx, saved_id)
    refusal = refusal_to_delete(saved, who.staff)
    if refusal is not None or saved is None:
        return refusal
    await sql_saved.delete(tx, saved_id)
    await audit.record(tx, [_fact(who.actor, "saved_search.deleted", saved)], at)
    return None


def _fact(actor: Actor, action: str, saved: SavedSearch) -> AuditFact:
    """What is searched for may be somebody's address: the trail has the names of the fields."""
    facts = {"fields": sorted(saved.query), "shared": saved.shared, "owner_id": saved.staff_id}
    return AuditFact(actor, None, action, "saved_search", saved.id, facts)
