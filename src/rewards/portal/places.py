"""Where the portal's navigation leads, for whom: what a role may not read is not offered to it."""

import re
from collections.abc import Sequence

from rewards.clients.model import Scope
from rewards.clients.model_members import ROLE_SCOPES, MemberRole
from rewards.core.errors import NotFound
from rewards.infra.pages.room import Place
from rewards.infra.pages.sessions import Session

PREFIX = "/portal"
API = "/api/v1"
_PART = re.compile(r"[0-9]{1,16}", re.ASCII)
_PLACES: tuple[tuple[str, tuple[tuple[Scope, Place], ...]], ...] = (
    ("", ((Scope.ORDERS_READ, Place("Home", PREFIX, "today")),)),
    (
        "Business",
        (
            (Scope.ORDERS_READ, Place("Orders", f"{PREFIX}/orders", "orders")),
            (Scope.WALLETS_READ, Place("Money", f"{PREFIX}/money", "money")),
        ),
    ),
    (
        "Developers",
        (
            (Scope.CREDENTIALS_READ, Place("API keys", f"{PREFIX}/keys", "key")),
            (Scope.WEBHOOKS_READ, Place("Webhooks", f"{PREFIX}/webhooks", "hook")),
            (Scope.REQUESTS_READ, Place("Request log", f"{PREFIX}/requests", "log")),
        ),
    ),
    (
        "Company",
        (
            (Scope.MEMBERS_READ, Place("Team", f"{PREFIX}/team", "people")),
            (Scope.SETTINGS_READ, Place("Settings", f"{PREFIX}/settings", "settings")),
        ),
    ),
)


def api(pattern: str, *parts: str) -> str:
    """A path of the clients' API. Raises NotFound for a part that is no id."""
    if not all(_PART.fullmatch(part) for part in parts):
        raise NotFound
    return API + pattern.format(*parts)


def may(session: Session, scope: Scope) -> bool:
    """Whether to offer something. Whether it may be done the API decides, each time it is asked."""
    role = session.facts.get("role", "")
    return role in set(MemberRole) and scope in ROLE_SCOPES[MemberRole(role)]


def places(session: Session) -> Sequence[tuple[str, Sequence[Place]]]:
    """The navigation of whoever is signed in, in groups."""
    groups = []
    for heading, entries in _PLACES:
        open_to = [place for scope, place in entries if may(session, scope)]
        if open_to:
            groups.append((heading, open_to))
    return groups
