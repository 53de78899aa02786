"""Staff, their roles, and what each role may do; pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from rewards.core.errors import Conflict, NotFound, Refusal

CHANGES_TOPIC = "staff"
# A person who may move money and stock needs more than a client's machine does.
PASSWORD_CHARS_MIN = 12


class Permission(StrEnum):
    """One for each thing a person can be trusted with; every staff route asks for exactly one."""

    ORDERS_READ = "orders:read"
    ORDERS_RETRY = "orders:retry"
    ORDERS_CANCEL = "orders:cancel"
    ORDERS_REFUND = "orders:refund_retry"
    ORDERS_NOTE = "orders:note"
    # A code in the clear, for a reason that is kept.
    CODES_REVEAL = "codes:reveal"
    LINKS_RESEND = "links:resend"
    LINKS_REISSUE = "links:reissue"
    INVENTORY_READ = "inventory:read"
    INVENTORY_IMPORT = "inventory:import"
    INVENTORY_PUMP = "inventory:pump"
    INVENTORY_RECALL = "inventory:recall"
    INVENTORY_ORDER = "inventory:order"
    APPROVALS_READ = "approvals:read"
    APPROVALS_DECIDE = "approvals:decide"
    WALLETS_READ = "wallets:read"
    WALLETS_OPEN = "wallets:open"
    WALLETS_TOP_UP = "wallets:top_up"
    WALLETS_ADJUST = "wallets:adjust"
    WALLETS_CHANGE = "wallets:change"
    PRODUCTS_READ = "products:read"
    PRODUCTS_WRITE = "products:write"
    # Fee, tax and discount: what it costs, beside its face value.
    PRODUCTS_PRICE = "products:price"
    DISCOUNTS_READ = "discounts:read"
    DISCOUNTS_WRITE = "discounts:write"
    FX_READ = "fx:read"
    FX_WRITE = "fx:write"
    CLIENTS_READ = "clients:read"
    CLIENTS_WRITE = "clients:write"
    # Whatever shows a secret that a client signs or is signed to with.
    CREDENTIALS_ISSUE = "credentials:issue"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_SEND = "webhooks:send"
    WEBHOOKS_WRITE = "webhooks:write"
    VENDORS_READ = "vendors:read"
    VENDORS_WRITE = "vendors:write"
    # Where money and codes flow: accounts, their addresses, their secrets.
    VENDORS_SECRETS = "vendors:secrets"
    VENDORS_APPROVE = "vendors:approve"
    RECONCILIATION_READ = "reconciliation:read"
    RECONCILIATION_EXPLAIN = "reconciliation:explain"
    NOTICES_READ = "notices:read"
    NOTICES_RESEND = "notices:resend"
    ALERTS_READ = "alerts:read"
    ALERTS_ACKNOWLEDGE = "alerts:acknowledge"
    HEALTH_READ = "health:read"
    STAFF_READ = "staff:read"
    STAFF_WRITE = "staff:write"
    AUDIT_READ = "audit:read"
    JOBS_READ = "jobs:read"
    JOBS_REVIVE = "jobs:revive"
    SETTINGS_READ = "settings:read"
    REPORTS_MAKE = "reports:make"


class Role(StrEnum):
    VIEWER = "viewer"
    SUPPORT = "support"
    OPERATIONS = "operations"
    FINANCE = "finance"
    ADMIN = "admin"


_VIEWER = frozenset(
    {
        Permission.ORDERS_READ,
        Permission.INVENTORY_READ,
        Permission.WALLETS_READ,
        Permission.CLIENTS_READ,
        Permission.PRODUCTS_READ,
        Permission.DISCOUNTS_READ,
        Permission.JOBS_READ,
        Permission.APPROVALS_READ,
        Permission.FX_READ,
        Permission.VENDORS_READ,
        Permission.RECONCILIATION_READ,
        Permission.WEBHOOKS_READ,
        Permission.NOTICES_READ,
        Permission.ALERTS_READ,
        Permission.HEALTH_READ,
    }
)
_SUPPORT = _VIEWER | {
    Permission.ORDERS_RETRY,
    Permission.ORDERS_NOTE,
    Permission.LINKS_RESEND,
    Permission.WEBHOOKS_SEND,
    Permission.NOTICES_RESEND,
    Permission.ALERTS_ACKNOWLEDGE,
    Permission.REPORTS_MAKE,
}
_OPERATIONS = _SUPPORT | {
    Permission.ORDERS_CANCEL,
    Permission.ORDERS_REFUND,
    Permission.LINKS_REISSUE,
    Permission.INVENTORY_IMPORT,
    Permission.INVENTORY_PUMP,
    Permission.PRODUCTS_WRITE,
    Permission.JOBS_REVIVE,
    Permission.INVENTORY_RECALL,
    Permission.INVENTORY_ORDER,
    Permission.VENDORS_WRITE,
    Permission.VENDORS_APPROVE,
    Permission.WEBHOOKS_WRITE,
    Permission.SETTINGS_READ,
}
# Money comes in through one role and stock through another: no single one but admin has both. What
# operations ask for costs money, so finance decides; nobody decides what they asked for themselves.
_FINANCE = _VIEWER | {
    Permission.ORDERS_NOTE,
    Permission.WALLETS_OPEN,
    Permission.WALLETS_TOP_UP,
    Permission.ORDERS_REFUND,
    Permission.WALLETS_ADJUST,
    Permission.WALLETS_CHANGE,
    Permission.DISCOUNTS_WRITE,
    Permission.PRODUCTS_PRICE,
    Permission.APPROVALS_DECIDE,
    Permission.ALERTS_ACKNOWLEDGE,
    Permission.FX_WRITE,
    Permission.RECONCILIATION_EXPLAIN,
    Permission.AUDIT_READ,
    Permission.SETTINGS_READ,
    Permission.REPORTS_MAKE,
}

PERMISSIONS: Mapping[Role, frozenset[Permission]] = MappingProxyType(
    {
        Role.VIEWER: _VIEWER,
        Role.SUPPORT: _SUPPORT,
        Role.OPERATIONS: _OPERATIONS,
        Role.FINANCE: _FINANCE,
        Role.ADMIN: frozenset(Permission),
    }
)
assert PERMISSIONS.keys() == set(Role), "every role says what it may"


@dataclass(frozen=True, slots=True)
class Staff:
    """One person. `token_epoch`: tokens of an earlier one are void."""

    id: int
    username: str
    role: Role
    active: bool
    token_epoch: int
    created_at: datetime

    def may(self, permission: Permission) -> bool:
        return self.active and permission in PERMISSIONS[self.role]


@dataclass(frozen=True, slots=True)
class NewStaff:
    """Somebody to let in. The password is 12 to 128 characters, kept only as its digest."""

    username: str
    role: Role
    password: str = field(repr=False)
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class StaffChange:
    """What to change about one person; None leaves it. Deactivation ends every session at once."""

    staff_id: int
    role: Role | None = None
    active: bool | None = None
    password: str | None = field(default=None, repr=False)
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Login:
    """What is known of somebody who tries to log in; nothing but the name when there is nobody."""

    username: str
    staff: Staff | None
    password_hash: str | None = field(repr=False)
    # They logged in from there before.
    known_address: bool


class StaffNotFound(NotFound):
    code = "STAFF_NOT_FOUND"
    default_message = "Staff user not found"


class UsernameTaken(Conflict):
    code = "STAFF_USERNAME_TAKEN"
    default_message = "Username is already in use"


class LastAdmin(Conflict):
    """Nobody would be left who may let people in."""

    code = "LAST_ADMIN"
    default_message = "The last active admin cannot be deactivated or demoted"


def decide_change(people: Mapping[int, Staff], ask: StaffChange) -> Staff | Refusal:
    """The person as the change leaves them, or why it may not be; `people` is everybody, by id."""
    person = people.get(ask.staff_id)
    if person is None:
        return StaffNotFound()
    active = person.active if ask.active is None else ask.active
    ends = ask.password is not None or (person.active and not active)
    after = replace(
        person,
        role=ask.role or person.role,
        active=active,
        token_epoch=person.token_epoch + ends,
    )
    others = [other for other in people.values() if other.id != person.id]
    if _is_admin(person) and not any(map(_is_admin, [after, *others])):
        return LastAdmin()
    return after


def _is_admin(person: Staff) -> bool:
    return person.active and person.role is Role.ADMIN
