"""Where the navigation leads, for whom: what a role may not read is not offered to it."""

import re
from collections.abc import Sequence

from rewards.core.errors import Forbidden, NotFound
from rewards.infra.pages.room import Place
from rewards.infra.pages.sessions import Session
from rewards.staff.model import PERMISSIONS, Permission, Role

PREFIX = "/console"
ME = "/console/me"
API = "/admin/api/v1"
_PART = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_PLACES: tuple[tuple[str, tuple[tuple[Permission, Place], ...]], ...] = (
    (
        "",
        (
            (Permission.ORDERS_READ, Place("Today", "/console", "today")),
            (Permission.ORDERS_READ, Place("Orders", "/console/orders", "orders")),
            (Permission.ORDERS_READ, Place("Waiting", "/console/waiting", "waiting")),
            (Permission.ALERTS_READ, Place("Alerts", "/console/alerts", "alert")),
            (Permission.APPROVALS_READ, Place("Approvals", "/console/approvals", "approvals")),
        ),
    ),
    (
        "Stock",
        (
            (Permission.INVENTORY_READ, Place("Inventory", "/console/inventory", "stock")),
            (Permission.PRODUCTS_READ, Place("Products", "/console/products", "products")),
            (Permission.VENDORS_READ, Place("Vendors", "/console/vendors", "vendors")),
        ),
    ),
    (
        "Customers",
        (
            (Permission.CLIENTS_READ, Place("Clients", "/console/clients", "people")),
            (Permission.WALLETS_READ, Place("Money", "/console/money", "money")),
            (Permission.NOTICES_READ, Place("Mail", "/console/mails", "mail")),
        ),
    ),
    (
        "House",
        (
            (Permission.REPORTS_MAKE, Place("Reports", "/console/reports", "reports")),
            (Permission.AUDIT_READ, Place("Audit", "/console/audit", "audit")),
            (Permission.HEALTH_READ, Place("Health", "/console/health", "health")),
            (Permission.SETTINGS_READ, Place("Settings", "/console/settings", "settings")),
        ),
    ),
)


def api(pattern: str, *parts: str) -> str:
    """A path of the admin API. Raises NotFound for a part that would be more than one."""
    return API + below(pattern, *parts)


def below(pattern: str, *parts: str) -> str:
    """A path below the API's or ours. Raises NotFound for a part that would be more than one."""
    if not all(_PART.fullmatch(part) for part in parts):
        raise NotFound
    return pattern.format(*parts)


def may(session: Session, permission: Permission) -> bool:
    """Whether to offer something. Whether it may be done the API decides, each time it is asked."""
    role = session.facts.get("role", "")
    return role in set(Role) and permission in PERMISSIONS[Role(role)]


def check_may(session: Session, permission: Permission) -> None:
    """Raises Forbidden: nobody is shown a form that the API would refuse."""
    if not may(session, permission):
        raise Forbidden(details={"permission": permission})


def places(session: Session) -> Sequence[tuple[str, Sequence[Place]]]:
    """The navigation of whoever is signed in, in groups."""
    groups = []
    for heading, entries in _PLACES:
        open_to = [place for permission, place in entries if may(session, permission)]
        if open_to:
            groups.append((heading, open_to))
    return groups
