"""How staff prove who they are: at a login, again within a session, and before they change it."""

import hmac

import structlog
from litestar.types import Scope

from rewards.clients.limits import Limiter
from rewards.clients.windows import Window
from rewards.core.actor import Actor, ActorKind
from rewards.core.clock import Clock
from rewards.core.errors import Unauthorized
from rewards.infra.address import Proxies, origin_of
from rewards.infra.crypto import Vault
from rewards.infra.db import Database, Tx
from rewards.infra.passwords import Passwords
from rewards.staff import refused_logins, second_factor, service, sessions
from rewards.staff.auth import Caller, StaffGate
from rewards.staff.model import Login
from rewards.staff.model_sessions import (
    USER_AGENT_CHARS_MAX,
    CodeRefused,
    Given,
    LoggedIn,
    NewSession,
    Person,
    Proof,
    ProofRefused,
    SecondFactorOff,
    SecondFactorRequired,
    StaffSession,
)

log = structlog.get_logger()

LOGIN_WINDOWS = (Window(10, 60),)
LOGIN_ADDRESS = "staff-login-address"
LOGIN_USER = "staff-login-user"
# A guess of a code hits with three in a million, and a day lets few through.
PROOF_WINDOWS = (Window(5, 300), Window(30, 86_400))
PROOF = "staff-proof"


class SignIn:
    """One a process. A refusal changes nothing but how often somebody may still try.

    At a login it is kept in the trail, too.
    """

    def __init__(
        self,
        db: Database,
        vault: Vault,
        clock: Clock,
        passwords: Passwords,
        proxies: Proxies,
        limiter: Limiter,
        gate: StaffGate,
    ) -> None:
        self._db = db
        self._vault = vault
        self._clock = clock
        self._passwords = passwords
        self._proxies = proxies
        self._limiter = limiter
        self._gate = gate

    async def limit_address(self, scope: Scope) -> dict[str, str]:
        """Count a login from this address; X-RateLimit-* headers, or raises TooManyRequests."""
        address = self._proxies.address(scope)
        return await self._limiter.spend(LOGIN_ADDRESS, origin_of(address), LOGIN_WINDOWS)

    async def log_in(self, scope: Scope, username: str, password: str, given: Given) -> LoggedIn:
        """A new session for the right password, and the right code where a factor is on.

        Raises Unauthorized for an unknown name, a wrong password and somebody deactivated alike,
        and as late. Only who has the right password hears SecondFactorRequired or CodeRefused.
        TooManyRequests when this name was tried too often; an address where the person logged in
        before has a count of its own, so that a stranger's guesses lock nobody out.
        """
        origin = self._gate.origin(scope)
        found = await service.find_login(self._db, username, origin.address)
        name = f"{found.username} {origin.address}" if found.known_address else found.username
        await self._limiter.spend(LOGIN_USER, name, LOGIN_WINDOWS)
        try:
            return await self._let_in(scope, found, name, origin, password, given)
        except (Unauthorized, CodeRefused) as refused:
            code = isinstance(refused, CodeRefused)
            at = self._clock.now()
            await refused_logins.keep(self._db, self._limiter, found, origin, at, code=code)
            raise

    async def _let_in(
        self,
        scope: Scope,
        found: Login,
        name: str,
        origin: Actor,
        password: str,
        given: Given,
    ) -> LoggedIn:
        # No connection is held while the digest is made.
        right = await self._passwords.matches(found.password_hash, password)
        if found.staff is None or not right or not found.staff.active:
            raise Unauthorized
        if given:
            await self._limiter.spend(PROOF, f"login {name}", PROOF_WINDOWS)
        staff_id, agent, at = found.staff.id, user_agent_of(scope), self._clock.now()
        who = Actor(ActorKind.STAFF, staff_id, origin.request_id, origin.address)

        async def work(tx: Tx) -> tuple[Person, StaffSession]:
            person = await second_factor.lock(tx, staff_id)
            # Whoever set another password meanwhile ended every session; this one would outlive it.
            if person is None or not person.staff.active or not same(person, found.password_hash):
                raise Unauthorized
            proof = Proof.PASSWORD
            if person.has_factor:
                proof = await self._second_proof(tx, person, given)
            new = NewSession(staff_id, proof, origin.address, agent)
            return person, await service.begin_session(tx, new, who, at)

        person, session = await self._db.run(work)
        return LoggedIn(person.staff, session, self._gate.token_of(person.staff, session))

    async def _second_proof(self, tx: Tx, person: Person, given: Given) -> Proof:
        if not given:
            raise SecondFactorRequired
        proof = await second_factor.take(tx, self._vault, person, given, self._clock.now())
        if proof is None:
            # Somebody knows the password: worth a line where people look.
            log.warning("staff_code_refused", staff_id=person.staff.id)
            raise CodeRefused
        return proof

    async def prove(self, who: Caller, password: str | None, given: Given) -> None:
        """Show again who one is, by password or code; counts for a while in this session.

        Raises ProofRefused for a wrong one, SecondFactorOff for a code where no factor is on.
        """
        await self._limit(who)
        shown = None if password is None else await self._right(who, password)

        async def work(tx: Tx) -> None:
            person, at = await self._locked(tx, who, shown), self._clock.now()
            proof = await self._taken(tx, person, given) if given else None
            if not await sessions.prove(tx, who.session, who.actor, at, proof):
                raise Unauthorized

        await self._db.run(work)

    async def change_password(self, who: Caller, old: str, new: str) -> None:
        """Set another password; every other session ends.

        Raises ProofRefused for a wrong old one, InvalidField for a new one that breaks a rule.
        """
        service.check_password_of(who.staff.username, new)
        await self._limit(who)
        shown = await self._right(who, old)
        digest = await self._passwords.digest(new)

        async def work(tx: Tx) -> None:
            person, at = await self._locked(tx, who, shown), self._clock.now()
            await service.change_own_password(
                tx, person.staff, digest, who.session.id, at, who.actor
            )

        await self._db.run(work)

    async def begin_factor(self, who: Caller) -> bytes:
        """A secret for an authenticator, to be shown once; nothing is asked for it until it is
        confirmed. Raises SecondFactorOn."""

        async def work(tx: Tx) -> bytes:
            person = await self._locked(tx, who)
            at = self._clock.now()
            return await second_factor.begin(tx, self._vault, person, who.actor, at)

        return await self._db.run(work)

    async def confirm_factor(self, who: Caller, code: str) -> list[str]:
        """Switch it on with its first code; the recovery codes, to be shown once.

        Raises NoPendingFactor, and ProofRefused for a wrong code.
        """
        await self._limit(who)

        async def work(tx: Tx) -> list[str]:
            person, at = await self._locked(tx, who), self._clock.now()
            return await second_factor.confirm(
                tx, self._vault, person, code, who.session, who.actor, at
            )

        return await self._db.run(work)

    async def remove_factor(self, who: Caller, password: str | None, given: Given) -> None:
        """Switch one's own factor off by a code, or by password and recovery code.

        Raises SecondFactorOff, and ProofRefused for a wrong one.
        """
        await self._limit(who)
        shown = None if password is None else await self._right(who, password)

        async def work(tx: Tx) -> None:
            person, at = await self._locked(tx, who, shown), self._clock.now()
            await self._taken(tx, person, given)
            await second_factor.remove(tx, person, who.actor, at, keep=who.session.id)

        await self._db.run(work)

    async def _limit(self, who: Caller) -> None:
        """By the session: who has stolen one keeps its owner out of no login."""
        await self._limiter.spend(PROOF, f"session {who.session.id}", PROOF_WINDOWS)

    async def _right(self, who: Caller, password: str) -> str:
        """The digest that the password fits."""
        found = await service.find_login(self._db, who.staff.username, None)
        right = await self._passwords.matches(found.password_hash, password)
        if not right or found.password_hash is None:
            raise ProofRefused
        return found.password_hash

    async def _locked(self, tx: Tx, who: Caller, digest: str | None = None) -> Person:
        """The caller's row; refuses when the password is not the one any more that was right."""
        person = await second_factor.lock(tx, who.staff.id)
        if person is None:
            raise Unauthorized
        if digest is not None and not same(person, digest):
            raise ProofRefused
        return person

    async def _taken(self, tx: Tx, person: Person, given: Given) -> Proof:
        if not person.has_factor:
            raise SecondFactorOff
        proof = await second_factor.take(tx, self._vault, person, given, self._clock.now())
        if proof is None:
            raise ProofRefused
        return proof


def same(person: Person, digest: str | None) -> bool:
    """Whether the password is still the one that made this digest."""
    return digest is not None and hmac.compare_digest(person.password_hash, digest)


def user_agent_of(scope: Scope) -> str | None:
    """The beginning of what the caller's program says of itself."""
    said = next((value for name, value in scope["headers"] if name == b"user-agent"), b"")
    text = "".join(filter(str.isprintable, said.decode("latin-1")))
    return text[:USER_AGENT_CHARS_MAX].strip() or None
