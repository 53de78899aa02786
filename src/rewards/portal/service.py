"""The API's tokens of who is signed in at the portal: kept here, sealed, never in a browser.

A refresh token works once, and one that comes back ends every session of its family (spec.md §2).
Two tabs that find the access token old at the same moment would each show it. So the tokens are a
row, and of all who find them old, in any process, the one that gets the row's lease renews them;
the others wait for the row to change.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from rewards.core import ids
from rewards.core.clock import Clock
from rewards.core.errors import Unavailable
from rewards.infra.crypto import Vault
from rewards.infra.db import Database, Tx
from rewards.portal import sql
from rewards.portal.sql import KeptRow

PLACE = "portal_sessions.tokens"
KEY_PREFIX = "ps_"
# A page asks the API several times with one token.
RENEW_BEFORE = timedelta(seconds=60)
# Who dies in the one call inside the process is signed out, once the lease is over.
LEASE_S = 10.0
# Given up before it, so that nobody shows the token a second time while the first is under way.
RENEW_TIMEOUT_S = 8.0
LOOK_EVERY_S = 0.05
LOOK_MAX = 240


class Tokens(msgspec.Struct, frozen=True):
    """What the API's login and refresh give."""

    access_token: str
    refresh_token: str
    access_expires_at: datetime
    refresh_expires_at: datetime
    client_id: int

    def __repr__(self) -> str:
        return "Tokens([redacted])"


# Exchanges a refresh token at the API; None where it is worth nothing any more.
Renew = Callable[[str], Awaitable[Tokens | None]]


@dataclass(frozen=True, slots=True)
class Kept:
    """A new session: its key is for the browser's sealed cookie alone."""

    key: str = field(repr=False)
    expires_at: datetime


class KeptTokens:
    """One a process; every method is one unit of work or two, and none is open during a call."""

    def __init__(self, db: Database, vault: Vault, clock: Clock) -> None:
        self._db = db
        self._vault = vault
        self._clock = clock

    async def keep(self, tokens: Tokens) -> Kept:
        """A session for somebody who just signed in."""
        key = ids.secret_token(KEY_PREFIX)

        async def work(tx: Tx) -> None:
            row = self._row(await sql.next_id(tx), 0, tokens)
            await sql.insert(tx, row, _digest(key), tokens.client_id, self._clock.now())

        await self._db.run(work)
        return Kept(key, tokens.refresh_expires_at)

    async def access(self, key: str, renew: Renew) -> str | None:
        """An access token that is good for a while, renewed where it must be; None when it is over.

        Raises Unavailable when somebody else's renewal takes too long.
        """
        for _ in range(LOOK_MAX):
            async with self._db.connection() as connection:
                row = await sql.read(connection, _digest(key))
            now = self._clock.now()
            if row is None or now >= row.expires_at:
                return None
            if now + RENEW_BEFORE < row.access_expires_at:
                return (await self._open(row)).access_token
            if await self._taken(row):
                return await self._renewed(key, row, renew)
            await asyncio.sleep(LOOK_EVERY_S)
        raise Unavailable

    async def _taken(self, row: KeptRow) -> bool:
        async with self._db.transaction() as tx:
            return await sql.take(tx, row, LEASE_S)

    async def _renewed(self, key: str, row: KeptRow, renew: Renew) -> str | None:
        """What the API gave for the refresh token; no transaction is open meanwhile.

        Raises Unavailable where it gives nothing in time.
        """
        try:
            async with asyncio.timeout(RENEW_TIMEOUT_S):
                tokens = await renew((await self._open(row)).refresh_token)
        except TimeoutError:
            raise Unavailable from None
        if tokens is None:
            await self.end(key)
            return None
        fresh = self._row(row.id, row.turn, tokens)
        async with self._db.transaction() as tx:
            await sql.renew(tx, fresh)
        return tokens.access_token

    async def end(self, key: str) -> None:
        """Forget the tokens; whoever has the cookie is a stranger now."""
        async with self._db.transaction() as tx:
            await sql.delete(tx, _digest(key))

    async def _open(self, row: KeptRow) -> Tokens:
        await self._vault.learn([row.tokens_sealed])
        opened = self._vault.open(PLACE, row.id, row.tokens_sealed)
        return msgspec.json.decode(opened, type=Tokens)

    def _row(self, row_id: int, turn: int, tokens: Tokens) -> KeptRow:
        sealed = self._vault.seal(PLACE, row_id, msgspec.json.encode(tokens))
        return KeptRow(row_id, sealed, turn, tokens.access_expires_at, tokens.refresh_expires_at)


async def forget_sessions(tx: Tx, before: datetime) -> int:
    """Delete sessions that ended before `before`; return how many."""
    return await sql.forget(tx, before)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
