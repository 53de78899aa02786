"""Searches that are kept to be made again, and who may do away with one; pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from rewards.core.errors import Conflict, Forbidden, NotFound, Refusal
from rewards.staff.model import Permission, Staff

SAVED_MAX = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedSearch:
    """A search by its name; `shared`: everybody has it in their list."""

    id: int
    staff_id: int
    username: str
    name: str
    query: Mapping[str, str]
    shared: bool
    created_at: datetime


class SavedSearchNotFound(NotFound):
    """Also the answer for what somebody else keeps for themselves."""

    code = "SAVED_SEARCH_NOT_FOUND"
    default_message = "Saved search not found"


class SavedSearchNameTaken(Conflict):
    code = "SAVED_SEARCH_NAME_TAKEN"
    default_message = "You keep a search of that name already"


class TooManySavedSearches(Conflict):
    code = "TOO_MANY_SAVED_SEARCHES"
    default_message = f"You keep {SAVED_MAX} searches already; delete one first"


class NotYourSavedSearch(Forbidden):
    code = "NOT_YOUR_SAVED_SEARCH"
    default_message = "A shared search is deleted by whoever made it, or by an admin"


def refusal_to_delete(saved: SavedSearch | None, person: Staff) -> Refusal | None:
    """Why this person may not delete it; None when they may."""
    if saved is None:
        return SavedSearchNotFound()
    if saved.staff_id == person.id:
        return None
    if not saved.shared:
        return SavedSearchNotFound()
    # What somebody shared who has left would stay for good.
    return None if person.may(Permission.STAFF_WRITE) else NotYourSavedSearch()
