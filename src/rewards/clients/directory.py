"""Who a key or token belongs to, from memory: no slow hash and no database round trip a request.

Every answer rests on a poll of the change feed that is less than a second old, so that suspension,
revocation, logout and a changed allow-list count within a second in every process.
"""

import hashlib
import hmac
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Generic, TypeVar
from uuid import UUID

from rewards.clients import sql, sql_members
from rewards.clients.model import (
    API_SECRET_CHARS_MAX,
    CHANGES_TOPIC,
    Client,
    ClientStatus,
    Principal,
    looks_like_api_key,
    networks_of,
)
from rewards.clients.model_members import ROLE_SCOPES, MemberRole
from rewards.clients.service import SIGNING_SECRET_PLACE
from rewards.clients.tokens import AccessTokens, TokenClaims
from rewards.core.clock import Clock
from rewards.core.errors import Unauthorized, Unavailable
from rewards.infra.changes import ChangeFeed
from rewards.infra.crypto import Vault
from rewards.infra.db import Database
from rewards.infra.desk import Desk

Key = TypeVar("Key")
Value = TypeVar("Value")

CREDENTIALS_MAX = 50_000
CLIENTS_MAX = 50_000
TOKENS_MAX = 50_000
UNKNOWN_MAX = 10_000
UNKNOWN_S = 5.0
# Keys looked for in one statement, and callers that may wait for theirs. One statement at a time:
# a flood of made-up keys costs the database no more than that.
LOOKUP_BATCH_MAX = 256
LOOKUP_QUEUE_MAX = 2_000
# A load that a change overtakes is thrown away and made again this often.
LOAD_MAX = 3


@dataclass(frozen=True, slots=True)
class Held:
    """An API credential as it is kept in memory."""

    principal: Principal
    secret_digest: bytes = field(repr=False)
    # None: requests need no signature.
    signing_key: bytes | None = field(repr=False)


class Found(Enum):
    """What came of a look into the database."""

    KEPT = auto()
    NOTHING = auto()
    # A change came while we looked, and what we saw may be stale.
    OVERTAKEN = auto()


class Bounded(dict[Key, Value], Generic[Key, Value]):
    """A dict that forgets its oldest entry when it is full."""

    def __init__(self, size_max: int) -> None:
        super().__init__()
        self._size_max = size_max

    def keep(self, key: Key, value: Value) -> None:
        if len(self) >= self._size_max:
            del self[next(iter(self))]
        self[key] = value


class _Token:
    """A genuine access token that was seen, and whom it stood for last time."""

    __slots__ = ("claims", "client", "ended", "principal", "role")

    def __init__(self, claims: TokenClaims) -> None:
        self.claims = claims
        # Its family was revoked, which is for good.
        self.ended = False
        self.role = MemberRole.VIEWER
        self.client: Client | None = None
        self.principal: Principal | None = None


class Directory:
    """One a process. Entries are loaded when first asked for and dropped by the change feed.

    A credential or token counts only while the very client object it was loaded with is in
    `_clients`: dropping that one entry makes everything that hangs on the client stale.
    """

    def __init__(
        self, db: Database, vault: Vault, feed: ChangeFeed, clock: Clock, tokens: AccessTokens
    ) -> None:
        self._db = db
        self._vault = vault
        self._feed = feed
        self._clock = clock
        self._access_tokens = tokens
        self._clients: Bounded[int, Client] = Bounded(CLIENTS_MAX)
        self._credentials: Bounded[str, tuple[Held, Client]] = Bounded(CREDENTIALS_MAX)
        self._tokens: Bounded[bytes, _Token] = Bounded(TOKENS_MAX)
        self._unknown: Bounded[str, float] = Bounded(UNKNOWN_MAX)
        self._drops = 0
        self._keys: Desk[str, Found] = Desk(
            self._load_credentials,
            name="credentials",
            batch_max=LOOKUP_BATCH_MAX,
            in_flight_max=1,
            queue_max=LOOKUP_QUEUE_MAX,
        )
        self._ids: Desk[int, Found] = Desk(
            self._load_clients,
            name="clients",
            batch_max=LOOKUP_BATCH_MAX,
            in_flight_max=1,
            queue_max=LOOKUP_QUEUE_MAX,
        )
        self._sessions: Desk[tuple[UUID, int], MemberRole | None] = Desk(
            self._load_sessions,
            name="sessions",
            batch_max=LOOKUP_BATCH_MAX,
            in_flight_max=1,
            queue_max=LOOKUP_QUEUE_MAX,
        )
        feed.subscribe(CHANGES_TOPIC, self._drop)

    async def credential_by_key(self, api_key: str, api_secret: str) -> Held:
        """The valid credential of an ACTIVE client that this key and secret belong to.

        Raises Unauthorized for anything else, without saying which; Unavailable when the database
        is away and what is cached can no longer be trusted.
        """
        held = await self._held(api_key)
        if len(api_secret) > API_SECRET_CHARS_MAX:
            raise Unauthorized
        digest = hashlib.sha256(api_secret.encode()).digest()
        if not hmac.compare_digest(digest, held.secret_digest):
            raise Unauthorized
        if held.principal.status is not ClientStatus.ACTIVE:
            raise Unauthorized
        return held

    async def principal_by_key(self, api_key: str, api_secret: str) -> Principal:
        """Whom `credential_by_key` finds. Whether a signature is needed is the caller's to ask."""
        return (await self.credential_by_key(api_key, api_secret)).principal

    async def principal_by_token(self, token: str) -> Principal:
        """Whom a valid access token of an ACTIVE client stands for, with the scopes of their role.

        Raises Unauthorized for anything else, also for one made before the client's last logout, of
        a family that was revoked or of somebody deactivated; Unavailable as `credential_by_key`
        does. The signature is checked once a token, its family and role once after each change of
        the client.
        """
        digest = hashlib.sha256(token.encode()).digest()
        now = self._clock.now()
        known = self._tokens.get(digest)
        if known is None:
            known = _Token(self._access_tokens.read(token, now))
            self._tokens.keep(digest, known)
        elif now >= known.claims.expires_at:
            self._tokens.pop(digest, None)
            raise Unauthorized
        client = await self._client(known.claims.client_id)
        if known.client is not client or known.principal is None:
            client = await self._look_again(known)
            known.principal = _principal_of(
                client,
                ROLE_SCOPES[known.role],
                login_id=known.claims.login_id,
                family=known.claims.family,
            )
            known.client = client
        if client.status is not ClientStatus.ACTIVE or known.claims.epoch != client.token_epoch:
            raise Unauthorized
        return known.principal

    def expire(self) -> None:
        """Have the next look-up poll first: what this process just committed counts at once."""
        self._feed.expire()

    async def _held(self, api_key: str) -> Held:
        for _ in range(LOAD_MAX):
            if not self._feed.fresh:
                await self._feed.ensure_fresh()
            found = self._credentials.get(api_key)
            if found is not None and self._clients.get(found[1].id) is found[1]:
                return found[0]
            self._refuse_unknown(api_key)
            if await self._keys.submit(api_key) is Found.NOTHING:
                raise Unauthorized
        raise Unavailable

    def _refuse_unknown(self, api_key: str) -> None:
        until_s = self._unknown.get(api_key)
        if until_s is not None and time.monotonic() < until_s:
            raise Unauthorized
        if not looks_like_api_key(api_key):
            raise Unauthorized

    async def _client(self, client_id: int) -> Client:
        for _ in range(LOAD_MAX):
            if not self._feed.fresh:
                await self._feed.ensure_fresh()
            client = self._clients.get(client_id)
            if client is not None:
                return client
            if await self._ids.submit(client_id) is Found.NOTHING:
                raise Unauthorized
        raise Unavailable

    async def _look_again(self, token: _Token) -> Client:
        """The client of a token that was alive, in its role, after the client last changed."""
        for _ in range(LOAD_MAX):
            client = await self._client(token.claims.client_id)
            claims = token.claims
            role = None
            if not token.ended:
                role = await self._sessions.submit((claims.family, claims.login_id))
            if role is None:
                # Neither a revoked session nor one of somebody deactivated ever comes back.
                token.ended = True
                raise Unauthorized
            token.role = role
            # Still the same: no change came while we looked.
            if self._clients.get(client.id) is client:
                return client
        raise Unavailable

    async def _load_credentials(self, api_keys: Sequence[str]) -> Sequence[Found]:
        """Load what is valid of these, unless a change came meanwhile; who asked looks again."""
        drops = self._drops
        async with self._db.connection() as connection:
            rows = await sql.find_held(connection, api_keys)
        await self._vault.learn([row.signing_secret_sealed for row in rows.values()])
        if drops != self._drops:
            return [Found.OVERTAKEN] * len(api_keys)
        until_s = time.monotonic() + UNKNOWN_S
        for api_key in dict.fromkeys(api_keys):
            row = rows.get(api_key)
            self._credentials.pop(api_key, None)
            if row is None:
                self._unknown.keep(api_key, until_s)
                continue
            client = self._keep_client(row.client)
            self._credentials.keep(api_key, (self._held_of(row, client), client))
        return [Found.KEPT if api_key in rows else Found.NOTHING for api_key in api_keys]

    async def _load_clients(self, client_ids: Sequence[int]) -> Sequence[Found]:
        drops = self._drops
        async with self._db.connection() as connection:
            clients = await sql.read_clients(connection, client_ids)
        if drops != self._drops:
            return [Found.OVERTAKEN] * len(client_ids)
        for client in clients.values():
            self._keep_client(client)
        return [Found.KEPT if each in clients else Found.NOTHING for each in client_ids]

    async def _load_sessions(
        self, sessions: Sequence[tuple[UUID, int]]
    ) -> Sequence[MemberRole | None]:
        async with self._db.connection() as connection:
            roles = await sql_members.standing(connection, sessions)
        return [roles.get(each) for each in sessions]

    def _keep_client(self, client: Client) -> Client:
        """The object that others already hang on, if there is one; if stale it were gone."""
        kept = self._clients.get(client.id)
        if kept is None:
            self._clients.keep(client.id, client)
            return client
        return kept

    def _held_of(self, row: sql.HeldRow, client: Client) -> Held:
        key = None
        if row.signing_required:
            key = self._vault.open(
                SIGNING_SECRET_PLACE, row.credential_id, row.signing_secret_sealed
            )
        principal = _principal_of(client, row.scopes, credential_id=row.credential_id)
        return Held(principal, row.secret_digest, key)

    async def _drop(self, client_ids: list[int]) -> None:
        self._drops += 1
        # A new credential may be among what was unknown; there is little to lose.
        self._unknown.clear()
        for client_id in client_ids:
            self._clients.pop(client_id, None)


def _principal_of(
    client: Client,
    scopes: frozenset[str],
    *,
    credential_id: int | None = None,
    login_id: int | None = None,
    family: UUID | None = None,
) -> Principal:
    return Principal(
        client_id=client.id,
        credential_id=credential_id,
        login_id=login_id,
        scopes=scopes,
        limits=client.limits,
        max_quantity=client.max_quantity,
        conversion_fee_percent=client.conversion_fee_percent,
        status=client.status,
        networks=networks_of(client.allowed_ips),
        token_epoch=client.token_epoch,
        family=family,
    )
