"""A shop, its application, and people of several roles who are logged in."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from rewards.core.clock import Clock
from rewards.entry.api import build_app
from rewards.staff import approvals, bookings, cancels, credit, fulfilments, recalls
from rewards.staff.model import Role
from rewards.staff.model_approvals import ApprovalKind
from tests.shop import Shop, open_shop
from tests.staff.signed_in import bearer, sign_in

API = "/admin/api/v1"


@dataclass
class Office:
    """`people`: staff ids by name; the name begins with the role."""

    shop: Shop
    http: httpx.AsyncClient
    people: dict[str, int]

    async def hire(self, role: Role, name: str = "") -> str:
        name = name or str(role)
        async with self.shop.parts.db.connection() as connection:
            self.people[name] = await connection.fetchval(
                "INSERT INTO staff_users (username, role, password_hash, created_at)"
                " VALUES ($1, $2, 'none', now()) RETURNING id",
                name,
                role,
            )
            await sign_in(connection, self.people[name])
        return name

    async def ask(
        self, who: str, method: str, path: str, body: Any = None, status: int = 200
    ) -> Any:
        answer = await self._send(who, method, path, body)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def status(self, who: str, method: str, path: str, body: Any = None) -> int:
        return (await self._send(who, method, path, body)).status_code

    async def _send(self, who: str, method: str, path: str, body: Any) -> httpx.Response:
        return await self.http.request(method, API + path, json=body, headers=self.token(who))

    def token(self, who: str) -> dict[str, str]:
        """Headers that let this person in."""
        return bearer(self.shop.parts.vault, self.people[who], self.shop.now)

    async def refused(
        self, who: str, method: str, path: str, body: Any = None, status: int = 409
    ) -> str:
        """The code of a refusal that changed nothing."""
        before = await self.shop.everything()
        told = await self.ask(who, method, path, body, status)
        assert await self.shop.everything() == before
        code: str = told["code"]
        return code

    async def work_off(self) -> None:
        """What a worker does for every request that is open."""
        parts = self.shop.parts
        async with parts.db.connection() as connection:
            rows = await connection.fetch("SELECT kind, id FROM approvals ORDER BY id")
        for kind, approval_id in rows:
            ours = (parts.db, parts.clock)
            if kind == ApprovalKind.BATCH_RECALL:
                await recalls.carry_out(*ours, approval_id)
            elif kind == ApprovalKind.VENDOR_FULFILMENT:
                await fulfilments.carry_out(*ours, parts.fulfilment, approval_id)
            elif kind == ApprovalKind.LATE_CANCEL:
                await cancels.carry_out(*ours, approval_id)
            elif kind in (ApprovalKind.TOPUP, ApprovalKind.ADJUSTMENT):
                await bookings.carry_out(*ours, approval_id)
            elif kind == ApprovalKind.CREDIT_LIMIT:
                await credit.carry_out(*ours, approval_id)

    async def expire(self) -> int:
        async with self.shop.parts.db.transaction() as tx:
            return await approvals.expire(tx, self.shop.now)

    async def batch_of(self, unit_id: int) -> int:
        async with self.shop.parts.db.connection() as connection:
            batch_id: int = await connection.fetchval(
                "SELECT batch_id FROM units WHERE id = $1", unit_id
            )
        return batch_id


@asynccontextmanager
async def open_office(
    dsn: str, home: Path, clock: Clock | None = None, **chosen: Any
) -> AsyncIterator[Office]:
    async with open_shop(dsn, home, clock, **chosen) as shop:
        transport = httpx.ASGITransport(build_app(shop.parts), client=("192.0.2.7", 4711))
        async with httpx.AsyncClient(transport=transport, base_url="http://office") as http:
            office = Office(shop, http, {})
            for role in Role:
                await office.hire(role)
            yield office
