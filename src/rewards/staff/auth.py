"""Who of the staff is calling, and whether they may: the guard that every staff route carries."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeAlias, cast

from litestar.connection import ASGIConnection
from litestar.openapi.spec import Components, SecurityScheme
from litestar.types import Scope

from rewards.core.actor import Actor, ActorKind
from rewards.core.clock import Clock
from rewards.core.errors import Forbidden, Refusal, Unauthorized
from rewards.infra.address import Proxies, text_of
from rewards.infra.changes import ChangeFeed
from rewards.infra.crypto import Vault
from rewards.infra.db import Database
from rewards.infra.settings import Settings
from rewards.infra.tokens import Claims, Signer
from rewards.staff import sessions
from rewards.staff.directory import StaffDirectory
from rewards.staff.model import Permission, Staff
from rewards.staff.model_sessions import (
    SEEN_EVERY,
    SESSION_LIFETIME,
    ProofNeeded,
    SecondFactorNeeded,
    SessionRules,
    SessionState,
    SignedIn,
    StaffSession,
)

Connection: TypeAlias = ASGIConnection[Any, Any, Any, Any]

# Its own audience and its own key: a client's token says nothing here, nor ours there.
AUDIENCE = "staff"
TOKEN_KEY = "staff-token"  # noqa: S105
# What a token names beside its owner; one of before there were sessions has none, and says nothing.
SESSION_CLAIM = "session"
SCHEME = "bearer "

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


@dataclass(frozen=True, slots=True)
class Caller:
    """An admitted member of staff in a session, and the same as the actor of audit rows."""

    staff: Staff
    actor: Actor
    session: StaffSession
    second_factor: bool


def rules_of(settings: Settings) -> SessionRules:
    """What the settings say of sessions."""
    minutes = settings.staff_proof_minutes
    return SessionRules(
        idle_max=timedelta(minutes=settings.staff_idle_minutes),
        proof_for=timedelta(minutes=minutes) if minutes else None,
        second_factor_required=settings.staff_second_factor == "required",
    )


class Requires:
    """A guard: admits staff whose role has the permission, refuses the rest with 401 and 403.

    It stands on the route object, so no spelling of a path can walk around it. Before it has
    admitted the caller nothing of the request but its headers is looked at. `permission` None:
    what everybody may do with what is their own. `proof`: the caller must have shown who they are
    a short while ago. `enrolling`: open also to who must still set up a second factor.
    """

    def __init__(
        self, permission: Permission | None, *, proof: bool = False, enrolling: bool = False
    ) -> None:
        self.permission = permission
        self.proof = proof
        self.enrolling = enrolling

    async def __call__(self, connection: Connection, _handler: object = None) -> None:
        gate: StaffGate = connection.scope["litestar_app"].state.staff_gate
        who = await gate.admit(connection, self)
        cast("dict[str, Any]", connection.scope)["rewards_staff"] = who

    def refusal(self, held: SignedIn, rules: SessionRules, at: datetime) -> Refusal | None:
        """Why this session is not let in here, if it is not."""
        if held.session.state(at, rules.idle_max) is not SessionState.LIVE or not held.staff.active:
            return Unauthorized()
        if rules.second_factor_required and not held.second_factor and not self.enrolling:
            return SecondFactorNeeded()
        if self.permission is not None and not held.staff.may(self.permission):
            return Forbidden(details={"permission": self.permission})
        until = held.session.proven_until(rules)
        if self.proof and until is not None and at >= until:
            return ProofNeeded()
        return None


def requires(permission: Permission, *, proof: bool = False) -> Requires:
    """The guard of a route that needs this permission: `guards=[requires(Permission.X)]`.

    `proof=True` for what hands out a secret or is as dangerous: a stolen session is not enough.
    """
    return Requires(permission, proof=proof)


# What everybody may do with their own session and account, once they are who they must be.
ANY_STAFF = Requires(None)
ANY_STAFF_PROVEN = Requires(None, proof=True)
# The same for who has no second factor yet, where everybody must.
ENROLLING = Requires(None, enrolling=True)
ENROLLING_PROVEN = Requires(None, proof=True, enrolling=True)


class StaffGate:
    """Lets staff in by their token. One a process, at `app.state.staff_gate`."""

    def __init__(
        self,
        db: Database,
        feed: ChangeFeed,
        vault: Vault,
        clock: Clock,
        proxies: Proxies,
        settings: Settings,
    ) -> None:
        self._db = db
        self._directory = StaffDirectory(db, feed)
        self._signer = Signer(vault.mac_key(TOKEN_KEY), AUDIENCE)
        self._clock = clock
        self._proxies = proxies
        self.rules = rules_of(settings)

    async def admit(self, connection: Connection, wants: Requires) -> Caller:
        """Who calls, by the bearer token, if they may do what `wants` guards.

        Raises Unauthorized for nobody we know and for a session that is over; then as
        `Requires.refusal` says. Costs no round trip but once a minute, when the session is seen.
        """
        shown = [value for name, value in connection.scope["headers"] if name == b"authorization"]
        # Two proxies may disagree about which of two counts.
        if len(shown) != 1 or shown[0][: len(SCHEME)].lower() != SCHEME.encode():
            raise Unauthorized
        token = shown[0][len(SCHEME) :].decode("latin-1")
        at = self._clock.now()
        held = await self._let_in(self._signer.read(token, at), wants, at)
        person, session = held.staff, held.session
        if at >= session.last_seen_at + SEEN_EVERY:
            self._directory.saw(held, at)
            await self._see(session.id, at)
        origin = self.origin(connection.scope)
        actor = Actor(ActorKind.STAFF, person.id, origin.request_id, origin.address)
        return Caller(person, actor, session, held.second_factor)

    async def _let_in(self, claims: Claims, wants: Requires, at: datetime) -> SignedIn:
        session_id = claims.extra.get(SESSION_CLAIM)
        if session_id is None:
            raise Unauthorized
        held = await self._directory.find(session_id)
        if held is not None and _worth_another_look(wants.refusal(held, self.rules, at), held, at):
            held = await self._directory.read(session_id)
        if held is None or (held.staff.id, held.staff.token_epoch) != (
            claims.subject_id,
            claims.epoch,
        ):
            raise Unauthorized
        refusal = wants.refusal(held, self.rules, at)
        if refusal is not None:
            raise refusal
        return held

    async def _see(self, session_id: int, at: datetime) -> None:
        async with self._db.transaction() as tx:
            await sessions.see(tx, session_id, at)

    def token_of(self, person: Staff, session: StaffSession) -> str:
        """The bearer token of a fresh session."""
        return self._signer.issue(
            person.id,
            person.token_epoch,
            session.created_at,
            SESSION_LIFETIME,
            {SESSION_CLAIM: session.id},
        )

    def expire(self) -> None:
        """What this process just committed about staff counts from its next request on."""
        self._directory.expire()

    def origin(self, scope: Scope) -> Actor:
        """Where a request comes from, before it is known from whom."""
        return Actor(
            ActorKind.SYSTEM,
            None,
            cast("dict[str, Any]", scope).get("rewards_request_id"),
            text_of(self._proxies.address(scope)),
        )


def _worth_another_look(refusal: Refusal | None, held: SignedIn, at: datetime) -> bool:
    """Whether the database may know better than memory.

    Another process may just have seen the owner of a session that is idle here, or heard a proof.
    """
    if isinstance(refusal, Unauthorized):
        session = held.session
        return held.staff.active and session.ended_at is None and at < session.expires_at
    return isinstance(refusal, ProofNeeded | SecondFactorNeeded)


def caller(connection: Connection) -> Caller:
    """Who was admitted to this request."""
    who: Caller = cast("dict[str, Any]", connection.scope)["rewards_staff"]
    return who
