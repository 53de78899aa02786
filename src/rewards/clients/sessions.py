"""Sessions of client logins: login, refresh with rotation, logout (spec.md §2)."""

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto

from rewards.clients import sql_members
from rewards.clients import sql_sessions as sql
from rewards.clients.limits import Limiter
from rewards.clients.model import CHANGES_TOPIC, ClientStatus, networks_of
from rewards.clients.model_members import WrongPassword
from rewards.clients.passwords import is_username, normal_username
from rewards.clients.tokens import (
    REFRESH_CHARS_MAX,
    REFRESH_LIFETIME,
    AccessTokens,
    new_refresh_token,
    refresh_digest,
)
from rewards.clients.windows import Window
from rewards.core.clock import Clock
from rewards.core.errors import Unauthorized
from rewards.infra.address import Address, origin_of, text_of, within
from rewards.infra.changes import announce
from rewards.infra.db import Database, Tx
from rewards.infra.passwords import Passwords

LOGIN_WINDOWS = (Window(10, 60),)
LOGIN_ADDRESS = "login-address"
LOGIN_USER = "login-user"
CONFIRM = "confirm-password"


@dataclass(frozen=True, slots=True)
class Session:
    """What a login or refresh gives; the tokens are in no repr."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    access_expires_at: datetime
    refresh_expires_at: datetime
    client_id: int


class Fate(Enum):
    """What becomes of a refresh token that is shown."""

    ROTATE = auto()
    REFUSE = auto()
    REVOKE_FAMILY = auto()


def judge(row: sql.RefreshRow | None, address: Address | None, at: datetime) -> Fate:
    """A used token that comes back was stolen, now or then: nobody can tell, so all must go."""
    if row is None or row.family_revoked or row.revoked_at is not None:
        return Fate.REFUSE
    if row.used_at is not None:
        return Fate.REVOKE_FAMILY
    if at >= row.expires_at or row.epoch != row.token_epoch or not row.active:
        return Fate.REFUSE
    if not _welcome(row.status, row.allowed_ips, address):
        return Fate.REFUSE
    return Fate.ROTATE


def _welcome(status: ClientStatus, allowed_ips: tuple[str, ...], address: Address | None) -> bool:
    if status is not ClientStatus.ACTIVE:
        return False
    return not allowed_ips or within(address, networks_of(allowed_ips))


class Sessions:
    """One a process; every method is one unit of work."""

    def __init__(
        self,
        db: Database,
        tokens: AccessTokens,
        passwords: Passwords,
        limiter: Limiter,
        clock: Clock,
    ) -> None:
        self._db = db
        self._tokens = tokens
        self._passwords = passwords
        self._limiter = limiter
        self._clock = clock

    async def limit_address(self, address: Address | None) -> dict[str, str]:
        """Count a login from this address; return X-RateLimit-* or raise TooManyRequests."""
        return await self._limiter.spend(LOGIN_ADDRESS, origin_of(address), LOGIN_WINDOWS)

    async def login(self, username: str, password: str, address: Address | None) -> Session:
        """A new session for the right password.

        Raises Unauthorized for an unknown user, a wrong password, somebody deactivated, a suspended
        client or a foreign address alike, and as late; TooManyRequests when this user was tried too
        often; Unavailable when too many logins wait. An address that the user was at before has a
        count of its own, so that a stranger's guesses do not lock the user out.
        """
        username = normal_username(username)
        where = text_of(address)
        found = None
        # What no username can be is not looked for; the database would not even take all of it.
        if is_username(username):
            async with self._db.connection() as connection:
                found = await sql.find_login(connection, username, where)
        known = found is not None and found.known_address
        await self._limiter.spend(
            LOGIN_USER, f"{username} {where}" if known else username, LOGIN_WINDOWS
        )
        right = await self._passwords.matches(found.password_hash if found else None, password)
        if not right or found is None or not found.active:
            raise Unauthorized
        if not _welcome(found.status, found.allowed_ips, address):
            raise Unauthorized
        async with self._db.transaction() as tx:
            # The password may have been changed while its digest was made.
            if await sql_members.hold_login(tx, found.login_id, found.password_hash) is None:
                raise Unauthorized
            return await self._open(
                tx,
                family=uuid.uuid4(),
                client_id=found.client_id,
                login_id=found.login_id,
                epoch=found.token_epoch,
                address=where,
            )

    async def refresh(self, refresh_token: str, address: Address | None) -> Session:
        """A new session in exchange for an unused refresh token.

        Raises Unauthorized for any other; one that was used before takes its whole family with it,
        which is the one refusal that changes something (spec.md §2): within a second no process
        takes an access token of that family any more. Of two at once one wins, and the other is
        such a reuse.
        """
        if len(refresh_token) > REFRESH_CHARS_MAX:
            raise Unauthorized
        digest = refresh_digest(refresh_token)
        where = text_of(address)

        async def work(tx: Tx) -> Session | None:
            at = self._clock.now()
            row = await sql.lock_refresh(tx, digest)
            fate = judge(row, address, at)
            if row is not None and fate is Fate.REVOKE_FAMILY:
                await sql.mark_revoked(tx, digest, at)
                await announce(tx, CHANGES_TOPIC, [row.client_id])
            if fate is not Fate.ROTATE or row is None:
                return None
            await sql.mark_used(tx, digest, at)
            return await self._open(
                tx,
                family=row.family,
                client_id=row.client_id,
                login_id=row.login_id,
                epoch=row.epoch,
                address=where,
            )

        session = await self._db.run(work)
        if session is None:
            raise Unauthorized
        return session

    async def logout(self, client_id: int, only: int | None = None) -> None:
        """Revoke all of the client's tokens, of all its logins, or of `only` this one; its API keys
        stay valid."""

        async def work(tx: Tx) -> None:
            at = self._clock.now()
            if only is None:
                await sql.revoke_all(tx, client_id, at)
            else:
                await sql.revoke_login(tx, only, at)
            await announce(tx, CHANGES_TOPIC, [client_id])

        await self._db.run(work)

    async def leave(self, client_id: int, family: uuid.UUID) -> None:
        """End one session, with all of its tokens; the client's others go on."""

        async def work(tx: Tx) -> None:
            await sql.revoke_family(tx, family, self._clock.now())
            await announce(tx, CHANGES_TOPIC, [client_id])

        await self._db.run(work)

    async def confirm(self, login_id: int, password: str) -> str:
        """Prove again who is signed in, before something that a found screen must not do (T64).

        Returns the digest the password fits, for `members.hold` in the transaction of the act.
        Raises WrongPassword, also for somebody deactivated; TooManyRequests when it was tried too
        often; Unavailable when too many digests wait.
        """
        await self._limiter.spend(CONFIRM, str(login_id), LOGIN_WINDOWS)
        async with self._db.connection() as connection:
            digest = await sql_members.read_hash(connection, login_id)
        if not await self._passwords.matches(digest, password) or digest is None:
            raise WrongPassword
        return digest

    async def _open(
        self,
        tx: Tx,
        *,
        family: uuid.UUID,
        client_id: int,
        login_id: int,
        epoch: int,
        address: str | None,
    ) -> Session:
        at = self._clock.now()
        access = self._tokens.issue(
            login_id=login_id, client_id=client_id, epoch=epoch, family=family, at=at
        )
        refresh_token = new_refresh_token()
        expires_at = at.replace(microsecond=0) + REFRESH_LIFETIME
        await sql.insert_refresh(
            tx,
            refresh_digest(refresh_token),
            family=family,
            client_id=client_id,
            login_id=login_id,
            epoch=epoch,
            address=address,
            issued_at=at,
            expires_at=expires_at,
        )
        return Session(access.token, refresh_token, access.expires_at, expires_at, client_id)


async def forget_sessions(tx: Tx, before: datetime) -> int:
    """Delete refresh tokens of families that ended before `before`; return how many."""
    return await sql.forget(tx, before)
