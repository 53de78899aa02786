"""A served application over the sandbox's data, with one of everything that a path can name."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from litestar import Litestar

from rewards.clients import service as clients
from rewards.clients.model import ClientChange
from rewards.entry.api import build_unwired
from tests.http.calling import Api
from tests.http.conftest import open_api
from tests.security.operations import Operation, operations
from tests.shop import WIDE, Shop

ADMIN = "/admin/api/v1"
# Nothing of any kind has it.
UNKNOWN = 987_654_321
HOOK = {"url": "https://shop.example/hooks"}
# A report's file as a worker would have written it.
FILE = b"id\r\n1\r\n"
# What waits for a worker, or for somebody's mistake, written as they would write it. $1: the owner.
PLANTED = {
    "alert_id": """
        INSERT INTO alerts (kind, subject, level, facts, raised_at, seen_at)
        SELECT 'POOL_COVER_LOW', 'product 6 25.00 USD', 1, '{}', now(), now() WHERE $1::bigint > 0
        RETURNING id""",
    # Kept longer than the clock is moved.
    "report_id": f"""
        WITH made AS (
            INSERT INTO reports (kind, parameters, asked_by, state, first_after, position, upto,
                rows, chunks, bytes, asked_at, ended_at, expires_at)
            SELECT 'ORDERS', '{{}}', min(id), 'DONE', 0, 1, 1, 1, 1, {len(FILE)}, now(), now(),
                now() + interval '10 years'
            FROM staff_users WHERE username = 'admin' AND $1::bigint > 0
            RETURNING id)
        INSERT INTO report_chunks (report_id, number, content)
        SELECT id, 1, '\\x{zlib.compress(FILE).hex()}' FROM made RETURNING report_id""",
    "session_id": """
        INSERT INTO staff_sessions (staff_id, proof, proven_at, created_at, last_seen_at,
            expires_at)
        SELECT id, 'PASSWORD', now(), now(), now(), now() + interval '10 hours'
        FROM staff_users WHERE username = 'admin' AND $1::bigint > 0 RETURNING id""",
    "delivery_id": """
        INSERT INTO webhook_deliveries (endpoint_id, client_id, event_id, sequence, event_type,
            status, next_at, last_error, created_at, finished_at)
        SELECT w.id, w.client_id, e.id, 1, e.type, 'FAILED', now(), 'HTTP 500', now(), now()
        FROM webhook_endpoints AS w JOIN events AS e USING (client_id)
        WHERE w.client_id = $1 ORDER BY e.id LIMIT 1 RETURNING id""",
    "drift_id": """
        WITH run AS (
            INSERT INTO reconciliation_runs (day, state, phase, next_at, started_at, ended_at)
            SELECT current_date, 'DONE', 'UNITS', now(), now(), now() WHERE $1::bigint > 0
            RETURNING id, day)
        INSERT INTO drifts (run_id, day, kind, subject_kind, subject, ours, theirs, state, found_at)
        SELECT id, day, 'UNIT_DIFFERS', 'unit', 'unit 9', '{"state": "SOLD"}', '{}', 'OPEN', now()
        FROM run RETURNING id""",
    "held_id": """
        INSERT INTO fx_rates_held (source, target, rate, spread_percent, channel, origin, quoted_at,
            charged_before, held_at)
        SELECT 'INR', 'USD', 5, 0, 'FILE', 'a bank', now(), 0.01, now() WHERE $1::bigint > 0
        RETURNING id""",
    "job_id": """
        WITH job AS (
            INSERT INTO pgqueuer (priority, entrypoint, payload, status, attempts)
            SELECT 0, 'orders.fill', '{"order_id": 7}', 'failed', 9 WHERE $1::bigint > 0
            RETURNING id)
        INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint, traceback)
        SELECT id, 'failed', 0, 'orders.fill', '{"exception_message": "no shelf"}' FROM job
        RETURNING job_id""",
    "notice_id": """
        INSERT INTO notices (client_id, kind, audience, address, cause, facts, message_id, state,
            attempts, next_at, reason, created_at, finished_at)
        VALUES ($1, 'LOW_BALANCE', 'CLIENT', 'jane.doe@customer.example', 'one', '{}', 'one',
            'FAILED', 1, now(), 'NO_MAILBOX', now(), now()) RETURNING id""",
    "transaction_id": """
        SELECT min(t.id) FROM ledger_transfers AS t JOIN wallets AS w ON w.id = t.wallet_id
        WHERE w.client_id = $1""",
}
# What only lists tell of, and of what $1 is the id.
LISTED = (
    (
        "client_id",
        """
        INSERT INTO event_feed (client_id, sequence, event_id, sealed_at)
        SELECT client_id, 1, min(id), now() FROM events WHERE client_id = $1 GROUP BY 1""",
    ),
    (
        "vendor_id",
        """
        INSERT INTO vendor_offers (vendor_id, sku, name, currency, min_minor, max_minor,
            fixed_minor, active, read_at)
        VALUES ($1, 'AMZ-25', 'Amazon', 'USD', 500, 500, '{}', true, now())""",
    ),
    (
        "vendor_id",
        """
        INSERT INTO vendor_exchanges (vendor_id, call, method, path, status, took_ms, at)
        VALUES ($1, 'read', 'GET', '/', 200, 1, now())""",
    ),
    ("batch_id", "INSERT INTO batch_rejects VALUES ($1, 2, 'INVALID', 'pin: not text')"),
)


class MovedClock:
    """The present, or later."""

    def __init__(self) -> None:
        self.later = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.later

    def advance(self, **by: float) -> None:
        self.later += timedelta(**by)


@dataclass
class World:
    """`ids`: of one thing of each kind that a path names; what clients have is the owner's.

    The owner is the sandbox's client; the stranger is a client like it that has nothing.
    """

    api: Api
    clock: MovedClock
    app: Litestar = field(default_factory=build_unwired)
    ids: dict[str, Any] = field(default_factory=dict)
    stranger: dict[str, str] = field(default_factory=dict)
    stranger_id: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def operations(self) -> list[Operation]:
        return operations(self.app)

    @property
    def owner(self) -> dict[str, str]:
        return dict(self.api.key)

    @property
    def shop(self) -> Shop:
        return Shop(self.api.parts)

    async def admin(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        """What staff answer the admin."""
        shown = await self.api.as_staff()
        answer = await self.api.call(method, ADMIN + path, body, shown=shown)
        assert answer.status == status, (method, path, answer.text)
        return answer.json

    async def issue(self, client_id: int, **facts: Any) -> Any:
        """A new credential, as it is shown once."""
        return await self.admin("POST", f"/clients/{client_id}/credentials", facts, 201)

    async def key_of(self, client_id: int, **facts: Any) -> dict[str, str]:
        """Headers of a new credential."""
        made = await self.issue(client_id, **facts)
        return {"X-API-Key": made["api_key"], "X-API-Secret": made["api_secret"]}

    async def client(self, name: str, **facts: Any) -> int:
        """A client with a funded USD wallet and no limits on its orders."""
        made = await self.admin("POST", "/clients", {"name": name, **facts}, 201)
        async with self.api.parts.db.transaction() as tx:
            await clients.change(tx, made["id"], ClientChange(limits=WIDE))
        path = f"/clients/{made['id']}/wallets"
        wallet = await self.admin("POST", path, {"currency": "USD"}, 201)
        money = {"amount": 1000, "reference": name}
        await self.admin("POST", f"/wallets/{wallet['id']}/top-up", money)
        client_id: int = made["id"]
        return client_id

    async def buys(self, **body: Any) -> Any:
        """An order of the owner's."""
        answer = await self.api.order(**body)
        assert answer.status == 200, answer.text
        return answer.json

    async def furnish(self) -> None:
        """Something of each kind, made by those who make it."""
        await self._staff_things()
        await self._client_things()
        await self.owe("Owed")
        async with self.api.parts.db.transaction() as tx:
            for name, statement in PLANTED.items():
                self.ids[name] = await tx.fetchval(statement, self.ids["client_id"])
            for name, statement in LISTED:
                await tx.execute(statement, self.ids[name])
        assert all(self.ids.values()), self.ids
        self.stranger_id = await self.client("Stranger")
        self.stranger = await self.key_of(self.stranger_id)

    async def owe(self, name: str) -> tuple[int, int]:
        """An order of a new client whose wallet cannot take the refund, for it is frozen; both."""
        client_id = await self.client(name)
        ask = {"product_id": 1, "denomination": 25, "quantity": 1}
        key = await self.key_of(client_id)
        waits = await self.api.call("POST", "/api/v1/orders", ask, shown=key)
        assert waits.status == 200, waits.text
        [wallet] = await self.admin("GET", f"/clients/{client_id}/wallets")
        why = {"reason": "cannot be sourced"}
        await self.admin("PATCH", f"/wallets/{wallet['id']}", {"status": "FROZEN", **why})
        owed = await self.admin("POST", f"/orders/{waits.json['id']}/cancel", why)
        assert owed["sub_status"] == "NOT_REFUNDED", owed
        return waits.json["id"], wallet["id"]

    async def _client_things(self) -> None:
        client_id = self.api.card["client"]["client_id"]
        await self.buys(product_id=6, denomination=25, quantity=2, ref="OWNERS-1")
        hook = await self.api.call("POST", "/api/v1/webhooks", HOOK)
        login = {"username": "owner2@example.com", "password": "a quiet password"}
        made = await self.admin("POST", f"/clients/{client_id}/logins", login, 201)
        self.ids |= {
            "client_id": client_id,
            "wallet_id": self.api.card["wallets"]["USD"],
            "webhook_id": hook.json["id"],
            "login_id": made["id"],
            "member_id": made["id"],
            "credential_id": (await self.issue(client_id))["id"],
            "product_id": 6,
            "category_id": 1,
            "subcategory_id": 103,
        }

    async def _staff_things(self) -> None:
        [vendor] = self.api.card["vendors"].values()
        percent = {"percent": 1}
        path = f"/products/6/discounts/{self.api.card['client']['client_id']}"
        await self.admin("PUT", path, percent)
        sku = {"sku": "AMZ-25", "discount_percent": 2, "priority": 1}
        for product_id in (1, 6):
            await self.admin("PUT", f"/vendors/{vendor['id']}/products/{product_id}", sku)
        waits = await self.buys(product_id=1, denomination=25, quantity=1)
        why = {"reason": "the client asked for it"}
        self.ids |= {"vendor_id": vendor["id"], "order_id": waits["id"]}
        await self.admin("POST", f"/orders/{waits['id']}/vendor-fulfilment", why)
        [bought] = await self.admin("GET", f"/orders/{waits['id']}/vendor-orders")
        stock = {
            "product_id": 6,
            "denomination": 25,
            "quantity": 2,
            **why,
        }
        ordered = await self.admin("POST", "/stock-orders", stock, 202)
        product = self.api.parts.catalog.product(6)
        assert product is not None
        [unit] = await self.shop.stock(product, 1)
        async with self.api.parts.db.connection() as connection:
            batch_id = await connection.fetchval("SELECT batch_id FROM units WHERE id = $1", unit)
        asked = await self.admin("POST", f"/inventory/batches/{batch_id}/recall", why, 202)
        await self.admin("POST", f"/orders/{waits['id']}/notes", {"text": "They call back"}, 201)
        search = {"name": "Waiting", "query": {"status": "PENDING"}, "shared": True}
        saved = await self.admin("POST", "/saved-searches", search, 201)
        new = {"username": "dana@example.com", "role": "viewer", "password": "a quiet password"}
        person = await self.admin("POST", "/staff", new, 201)
        pair = {name: new[name] for name in ("username", "password")}
        logged_in = await self.api.call("POST", "/admin/auth/login", pair, shown={})
        assert logged_in.status == 200, logged_in.text
        self.ids |= {
            "vendor_order_id": bought["id"],
            "stock_order_id": ordered["stock_order_id"],
            "batch_id": batch_id,
            "unit_id": unit,
            "approval_id": asked["approval"]["approval_id"],
            "staff_id": person["id"],
            "saved_search_id": saved["id"],
        }


@asynccontextmanager
async def open_world(dsn: str, home: Path) -> AsyncIterator[World]:
    """The sandbox's data in an empty, migrated database, furnished."""
    clock = MovedClock()
    # Whether a proof is asked for is tried where proofs are; here the clock runs through days.
    async with open_api(dsn, home, clock, staff_proof_minutes=0) as api:
        world = World(api, clock)
        await world.furnish()
        yield world
