"""A company with people of every role and a key, over a served API."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from rewards.clients import service as clients
from rewards.clients.model import NewCredential
from rewards.clients.model_members import MemberRole
from rewards.core.clock import Clock
from rewards.entry.api import build_app
from tests.http.calling import DIGEST, TABLES, Answer
from tests.serving import served
from tests.shop import Shop, open_shop

PASSWORD = "a quiet password"
NOBODY: Mapping[str, str] = {}


@dataclass
class Company:
    """`members`: login id by role; each is called `<role>-<client_id>`."""

    shop: Shop
    url: str
    session: aiohttp.ClientSession
    client_id: int
    members: dict[MemberRole, int] = field(default_factory=dict)
    # The last session of each username.
    tokens: dict[str, dict[str, Any]] = field(default_factory=dict)

    def name(self, role: MemberRole) -> str:
        return f"{role}-{self.client_id}"

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        by: MemberRole | Mapping[str, str] = MemberRole.OWNER,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """`by`: a member, who logs in once, or headers of somebody else."""
        shown = await self.bearer(by) if isinstance(by, MemberRole) else by
        data = None if body is None else json.dumps(body).encode()
        path = path if path.startswith("/auth") else f"/api/v1{path}"
        sent = {**shown, **(headers or {}), "Content-Type": "application/json"}
        async with self.session.request(method, self.url + path, data=data, headers=sent) as answer:
            return Answer(answer.status, answer.headers.copy(), await answer.text())

    async def prove(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, **more: Any
    ) -> Answer:
        """A call that asks for the password again."""
        return await self.call(method, path, {**(body or {}), "current_password": PASSWORD}, **more)

    async def bearer(self, role: MemberRole) -> dict[str, str]:
        name = self.name(role)
        if name not in self.tokens:
            await self.login(name)
        return {"Authorization": f"Bearer {self.tokens[name]['access_token']}"}

    async def login(self, username: str, password: str = PASSWORD) -> Answer:
        body = {"username": username, "password": password}
        answer = await self.call("POST", "/auth/login", body, by=NOBODY)
        if answer.status == 200:
            self.tokens[username] = answer.json
        return answer

    async def key(self, **wanted: Any) -> dict[str, str]:
        """The headers of a new API key."""
        parts = self.shop.parts
        async with parts.db.transaction() as tx:
            ask = NewCredential(self.client_id, **wanted)
            [issued] = await clients.issue_credentials(
                tx, parts.vault, parts.settings, [ask], self.shop.now
            )
        return {"X-API-Key": issued.api_key, "X-API-Secret": issued.api_secret}

    async def everything(self) -> dict[str, tuple[int, int]]:
        """A count and a digest of every table, but for what every request leaves."""
        async with self.shop.parts.db.connection() as connection:
            names = [row[0] for row in await connection.fetch(TABLES)]
            found = [(name, await connection.fetch(DIGEST.format(name))) for name in names]
        return {name: tuple(rows[0]) for name, rows in found}

    async def audit(self, action: str) -> list[dict[str, Any]]:
        async with self.shop.parts.db.connection() as connection:
            rows = await connection.fetch(
                "SELECT * FROM audit_entries WHERE action = $1 ORDER BY id", action
            )
        return [dict(row) for row in rows]


async def found(shop: Shop, url: str, session: aiohttp.ClientSession, **money: Any) -> Company:
    """Another company of the same shop, with its people."""
    made = Company(shop, url, session, await shop.client(**money))
    parts = shop.parts
    # One digest: they are slow, and everybody has the same password.
    digest = await parts.passwords.digest(PASSWORD)
    async with parts.db.transaction() as tx:
        for role in MemberRole:
            made.members[role] = await tx.fetchval(
                "INSERT INTO client_logins (client_id, username, password_hash, role, created_at)"
                " VALUES ($1, $2, $3, $4, $5) RETURNING id",
                *(made.client_id, made.name(role), digest, role, shop.now),
            )
    return made


@asynccontextmanager
async def opened(
    dsn: str, home: Path, clock: Clock | None = None, **chosen: Any
) -> AsyncIterator[Company]:
    async with (
        open_shop(dsn, home, clock, **chosen) as shop,
        served(build_app(shop.parts)) as url,
        aiohttp.ClientSession() as session,
    ):
        yield await found(shop, url, session, minor=100_000)
