"""Calls a served API over a real socket, and tells whether the database changed meanwhile."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from rewards.entry.wiring import Parts

# The client library wants a larger body as a file.
LARGE_BYTES = 500_000
ORDERS = "/api/v1/orders"
JSON_TYPE = {"Content-Type": "application/json"}
# But for what every request leaves, a second later.
TABLES = """
SELECT tablename FROM pg_tables WHERE schemaname = 'public'
    AND tablename !~ '^(client_requests|credential_uses)' ORDER BY tablename
"""
# Order of rows does not count, so that no sort is paid for.
DIGEST = """
SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) FROM "{}" t
"""
# The trail tells of a login that was refused, and of no other refusal.
APART = {"audit_entries": "WHERE action <> 'staff.login_refused'"}
# Being seen is a change too: `everything` would tell of it.
STAY = """
UPDATE staff_sessions SET last_seen_at = '2200-01-01', proven_at = '2200-01-01' WHERE id = $1
"""


@dataclass(frozen=True)
class Answer:
    """What came back; `text` has the exact digits."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def refusal(self) -> tuple[int, str, str]:
        """Status, error and message of an answer that must be an error of the contract's form."""
        body = self.json
        assert set(body) - {"details"} == {"error", "message", "code", "request_id"}, self.text
        assert all(isinstance(body[key], str) and body[key] for key in set(body) - {"details"})
        assert body["request_id"] == self.headers["X-Request-Id"]
        assert self.headers["Content-Type"].startswith("application/json")
        return self.status, body["error"], body["message"]


@dataclass
class Api:
    """One served application over the sandbox's data."""

    url: str
    session: aiohttp.ClientSession
    parts: Parts
    # What sandbox.json would hold.
    card: dict[str, Any]
    key: Mapping[str, str]
    staff: dict[str, str] = field(default_factory=dict)

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        shown: Mapping[str, str] | None = None,
    ) -> Answer:
        """`shown`: who calls; the sandbox's client with its API key unless said otherwise."""
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        sent = {
            "Content-Length": str(len(data or b"")),
            **(self.key if shown is None else shown),
            **JSON_TYPE,
            **(headers or {}),
        }
        file = io.BytesIO(data) if data and len(data) > LARGE_BYTES else data
        async with self.session.request(
            method, self.url + path, data=file, headers=sent, allow_redirects=False
        ) as answer:
            text = (await answer.read()).decode("utf-8")
            return Answer(answer.status, answer.headers.copy(), text)

    async def order(self, raw: bytes | None = None, **body: Any) -> Answer:
        return await self.call("POST", ORDERS, body, raw=raw)

    async def as_staff(self, role: str = "admin") -> Mapping[str, str]:
        """Headers of a member of staff, who logs in once and needs no more proof ever after."""
        if role not in self.staff:
            answer = await self.call("POST", "/admin/auth/login", self.card["staff"][role])
            self.staff[role] = answer.json["access_token"]
            async with self.parts.db.connection() as connection:
                await connection.execute(STAY, answer.json["session_id"])
        return {"Authorization": f"Bearer {self.staff[role]}"}

    async def everything(self) -> dict[str, tuple[int, int]]:
        """A count and a digest of every table."""
        async with self.parts.db.connection() as connection:
            names = [row[0] for row in await connection.fetch(TABLES)]
            found = [
                (name, await connection.fetch(DIGEST.format(name) + APART.get(name, "")))
                for name in names
            ]
        return {name: tuple(rows[0]) for name, rows in found}
