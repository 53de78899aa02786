"""A client's people: their roles, what each role may do, and who may change whom; pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from rewards.clients.model import ALL_SCOPES, Scope
from rewards.core.errors import Conflict, Forbidden, InvalidField, NotFound, Refusal

# People of one client, whether they may still log in or not.
MEMBERS_MAX = 200


class MemberRole(StrEnum):
    OWNER = "owner"
    DEVELOPER = "developer"
    FINANCE = "finance"
    VIEWER = "viewer"


_VIEWER = frozenset(
    {
        Scope.ORDERS_READ.value,
        Scope.PRODUCTS_READ.value,
        Scope.WALLETS_READ.value,
        Scope.WEBHOOKS_READ.value,
        Scope.REQUESTS_READ.value,
        Scope.MEMBERS_READ.value,
        Scope.SETTINGS_READ.value,
    }
)
# Who looks after money sets who is told of it; who builds has keys and tries them. Neither lets
# people in. Codes are money: only who may place orders, and so spend it, sees them.
ROLE_SCOPES: Mapping[MemberRole, frozenset[str]] = MappingProxyType(
    {
        MemberRole.OWNER: ALL_SCOPES,
        MemberRole.DEVELOPER: _VIEWER
        | {
            Scope.ORDERS_WRITE.value,
            Scope.VOUCHERS_READ.value,
            Scope.WEBHOOKS_WRITE.value,
            Scope.CREDENTIALS_READ.value,
            Scope.CREDENTIALS_WRITE.value,
        },
        MemberRole.FINANCE: _VIEWER | {Scope.SETTINGS_WRITE.value},
        MemberRole.VIEWER: _VIEWER,
    }
)
assert ROLE_SCOPES.keys() == set(MemberRole), "every role says what it may"


@dataclass(frozen=True, slots=True)
class ClientLogin:
    """One person of a client."""

    id: int
    client_id: int
    username: str
    role: MemberRole
    active: bool
    created_at: datetime

    @property
    def scopes(self) -> frozenset[str]:
        return ROLE_SCOPES[self.role] if self.active else frozenset()


@dataclass(frozen=True, slots=True)
class NewLogin:
    """Somebody to let in; the password was checked and is kept as its digest alone."""

    client_id: int
    username: str
    password_hash: str = field(repr=False)
    role: MemberRole


@dataclass(frozen=True, slots=True)
class MemberChange:
    """What to change about one person; None leaves it. Deactivation and another password end their
    sessions."""

    login_id: int
    role: MemberRole | None = None
    active: bool | None = None
    password_hash: str | None = field(default=None, repr=False)


class LoginNotFound(NotFound):
    code = "LOGIN_NOT_FOUND"
    default_message = "Login not found"


class MemberNotFound(NotFound):
    """Also for a member of another client (D13)."""

    code = "MEMBER_NOT_FOUND"
    default_message = "Member not found"


class UsernameTaken(Conflict):
    code = "USERNAME_TAKEN"
    default_message = "Username is already in use"


class LastOwner(Conflict):
    """Nobody would be left who may let people in."""

    code = "LAST_OWNER"
    default_message = "The last active owner cannot be deactivated or demoted"


class MembersFull(Conflict):
    code = "MEMBERS_FULL"
    default_message = "No more members can be added"


class WrongPassword(Forbidden):
    """Who is signed in did not prove it again."""

    code = "WRONG_PASSWORD"
    default_message = "Your password is wrong"


def role_of(text: str) -> MemberRole:
    """A role by its name, in any case (D12)."""
    try:
        return MemberRole(text.lower())
    except ValueError:
        raise InvalidField("Role", "oneof", details={"allowed": list(MemberRole)}) from None


def decide_change(people: Mapping[int, ClientLogin], ask: MemberChange) -> ClientLogin | Refusal:
    """The person as the change leaves them, or why it may not be; `people`: the client's, by id."""
    person = people.get(ask.login_id)
    if person is None:
        return MemberNotFound()
    after = replace(
        person,
        role=ask.role or person.role,
        active=person.active if ask.active is None else ask.active,
    )
    others = [other for other in people.values() if other.id != person.id]
    if _is_owner(person) and not any(map(_is_owner, [after, *others])):
        return LastOwner()
    return after


def _is_owner(person: ClientLogin) -> bool:
    return person.active and person.role is MemberRole.OWNER
