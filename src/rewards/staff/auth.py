"""Who of the staff is calling, and whether they may: the guard that every staff route carries."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias, cast

from litestar.connection import ASGIConnection
from litestar.openapi.spec import Components, SecurityScheme
from litestar.types import Scope

from rewards.clients.limits import Limiter
from rewards.clients.windows import Window
from rewards.core.actor import Actor, ActorKind
from rewards.core.clock import Clock
from rewards.core.errors import Forbidden, Unauthorized
from rewards.infra.address import Proxies, origin_of
from rewards.infra.changes import ChangeFeed
from rewards.infra.crypto import Vault
from rewards.infra.db import Database
from rewards.infra.passwords import Passwords
from rewards.infra.tokens import Signer
from rewards.staff import service
from rewards.staff.model import CHANGES_TOPIC, Permission, Session, Staff

Connection: TypeAlias = ASGIConnection[Any, Any, Any, Any]

# Its own audience and its own key: a client's token says nothing here, nor ours there.
AUDIENCE = "staff"
TOKEN_KEY = "staff-token"  # noqa: S105
SCHEME = "bearer "
# A working day: deactivation, a new role and a new password count at once, whatever a token says.
SESSION_LIFETIME = timedelta(hours=10)
LOGIN_WINDOWS = (Window(10, 60),)
LOGIN_ADDRESS = "staff-login-address"
LOGIN_USER = "staff-login-user"

SECURITY_COMPONENTS = Components(
    security_schemes={
        "staff": SecurityScheme(
            type="http",
            scheme="bearer",
            bearer_format="JWT",
            description="Access token of a member of staff, from POST /admin/auth/login.",
        )
    }
)
SECURITY: list[dict[str, list[str]]] = [{"staff": []}]


class StaffDirectory:
    """Staff by id, in memory; what changed is read again within a second."""

    def __init__(self, db: Database, feed: ChangeFeed) -> None:
        self._db = db
        self._feed = feed
        self._known: dict[int, Staff] = {}
        self._drops = 0
        feed.subscribe(CHANGES_TOPIC, self._drop)

    async def _drop(self, staff_ids: list[int]) -> None:
        self._drops += 1
        for staff_id in staff_ids:
            self._known.pop(staff_id, None)

    async def find(self, staff_id: int) -> Staff | None:
        """The person as of less than a second ago. Raises Unavailable without a database."""
        if not self._feed.fresh:
            await self._feed.ensure_fresh()
        known = self._known.get(staff_id)
        if known is not None:
            return known
        drops = self._drops
        async with self._db.connection() as connection:
            [person] = await service.read_staff(connection, [staff_id])
        # A change that came in while we read may be newer than what we read.
        if person is not None and drops == self._drops:
            self._known[staff_id] = person
        return person

    def expire(self) -> None:
        """Poll before the next look-up: what this process just committed then counts at once."""
        self._feed.expire()


@dataclass(frozen=True, slots=True)
class Caller:
    """An admitted member of staff, and the same as the actor of history and audit rows."""

    staff: Staff
    actor: Actor


class StaffGate:
    """Lets staff in: by password once, then by token. One a process, at `app.state.staff_gate`."""

    def __init__(
        self,
        *,
        db: Database,
        feed: ChangeFeed,
        vault: Vault,
        clock: Clock,
        passwords: Passwords,
        proxies: Proxies,
        limiter: Limiter,
    ) -> None:
        self._db = db
        self._directory = StaffDirectory(db, feed)
        self._signer = Signer(vault.mac_key(TOKEN_KEY), AUDIENCE)
        self._clock = clock
        self._passwords = passwords
        self._proxies = proxies
        self._limiter = limiter

    async def limit_address(self, scope: Scope) -> dict[str, str]:
        """Count a login from this address; X-RateLimit-* headers, or raises TooManyRequests."""
        address = self._proxies.address(scope)
        return await self._limiter.spend(LOGIN_ADDRESS, origin_of(address), LOGIN_WINDOWS)

    async def log_in(self, scope: Scope, username: str, password: str) -> Session:
        """A session for the right password.

        Raises Unauthorized for an unknown name, a wrong password and somebody deactivated alike,
        and as late; TooManyRequests when this name was tried too often. An address where the person
        logged in before has a count of its own, so that a stranger's guesses lock nobody out.
        """
        origin = self._origin(scope)
        found = await service.find_login(self._db, username, origin.address)
        name = f"{found.username} {origin.address}" if found.known_address else found.username
        await self._limiter.spend(LOGIN_USER, name, LOGIN_WINDOWS)
        # No connection is held while the digest is made.
        right = await self._passwords.matches(found.password_hash, password)
        if found.staff is None or not right or not found.staff.active:
            raise Unauthorized
        person, at = found.staff, self._clock.now()
        who = Actor(ActorKind.STAFF, person.id, origin.request_id, origin.address)
        async with self._db.transaction() as tx:
            await service.note_login(tx, person, who, at)
        token = self._signer.issue(person.id, person.token_epoch, at, SESSION_LIFETIME)
        return Session(person, token, at.replace(microsecond=0) + SESSION_LIFETIME)

    async def admit(self, connection: Connection) -> Caller:
        """Who calls, by the bearer token. Raises Unauthorized for nobody we know."""
        shown = [value for name, value in connection.scope["headers"] if name == b"authorization"]
        # Two proxies may disagree about which of two counts.
        if len(shown) != 1 or shown[0][: len(SCHEME)].lower() != SCHEME.encode():
            raise Unauthorized
        token = shown[0][len(SCHEME) :].decode("latin-1")
        claims = self._signer.read(token, self._clock.now())
        person = await self._directory.find(claims.subject_id)
        if person is None or not person.active or person.token_epoch != claims.epoch:
            raise Unauthorized
        origin = self._origin(connection.scope)
        actor = Actor(ActorKind.STAFF, person.id, origin.request_id, origin.address)
        return Caller(person, actor)

    def expire(self) -> None:
        """What this process just committed about staff counts from its next request on."""
        self._directory.expire()

    def _origin(self, scope: Scope) -> Actor:
        address = self._proxies.address(scope)
        return Actor(
            ActorKind.SYSTEM,
            None,
            cast("dict[str, Any]", scope).get("rewards_request_id"),
            None if address is None else str(address),
        )


class Requires:
    """A guard: admits staff whose role has the permission, refuses the rest with 401 and 403.

    It stands on the route object, so no spelling of a path can walk around it. Before it has
    admitted the caller nothing of the request but its headers is looked at.
    """

    def __init__(self, permission: Permission | None) -> None:
        self.permission = permission

    async def __call__(self, connection: Connection, _handler: object = None) -> None:
        gate: StaffGate = connection.scope["litestar_app"].state.staff_gate
        who = await gate.admit(connection)
        if self.permission is not None and not who.staff.may(self.permission):
            raise Forbidden(details={"permission": self.permission})
        cast("dict[str, Any]", connection.scope)["rewards_staff"] = who


def requires(permission: Permission) -> Requires:
    """The guard of a route that needs this permission: `guards=[requires(Permission.X)]`."""
    return Requires(permission)


# For what every member of staff may do: nothing but ending their own session.
ANY_STAFF = Requires(None)


def caller(connection: Connection) -> Caller:
    """Who was admitted to this request."""
    who: Caller = cast("dict[str, Any]", connection.scope)["rewards_staff"]
    return who
