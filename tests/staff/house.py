"""A process that serves staff and clients over one database, and people of every role."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide

from rewards.alerts import http as alerts_http
from rewards.alerts import http_health
from rewards.catalog import service as catalog_service
from rewards.catalog.model import DeliveryType, Denomination, NewProduct
from rewards.catalog.service import Catalog
from rewards.claims.service import ClaimLinks
from rewards.clients import http as clients_http
from rewards.clients import service as clients
from rewards.clients.auth import Gate
from rewards.clients.directory import Directory
from rewards.clients.limits import Limiter
from rewards.clients.model import NewClient, NewCredential
from rewards.clients.sessions import Sessions
from rewards.clients.tokens import AccessTokens
from rewards.entry.kept import KEPT
from rewards.entry.purchasing import purchasing
from rewards.infra.address import Proxies
from rewards.infra.changes import ChangeFeed
from rewards.infra.crypto import Vault
from rewards.infra.db import Database
from rewards.infra.http import BODY_BYTES_MAX, EXCEPTION_HANDLERS, RequestIds
from rewards.infra.passwords import Passwords
from rewards.infra.readiness import Readiness
from rewards.infra.settings import Settings
from rewards.infra.targets import Targets
from rewards.infra.tokens import Signer
from rewards.pricing.one_person import OnePersonLimit
from rewards.pricing.service import Prices
from rewards.reports import http as reports_http
from rewards.staff import http as staff_http
from rewards.staff.auth import AUDIENCE, TOKEN_KEY, StaffGate
from rewards.staff.imports import Imports
from rewards.staff.model import Role
from rewards.staff.signing_in import SignIn
from rewards.staff.week import Week
from rewards.vendors import http as vendors_http
from rewards.vendors.accounts import Accounts
from rewards.vendors.wire import open_session
from rewards.wallets import service as wallets
from rewards.wallets.model import NewWallet
from rewards.webhooks.acts import Webhooks
from tests.shell import Shell
from tests.staff.signed_in import bearer, sign_in

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PASSWORD = "a long and quiet password"
# What a refusal must leave alone: every table but the two that a look-up may write to.
TABLES = """
SELECT tablename FROM pg_tables WHERE schemaname = 'public'
    AND tablename NOT IN ('schema_migrations') ORDER BY 1
"""


class MovedClock:
    def __init__(self) -> None:
        self.at = NOON

    def now(self) -> datetime:
        return self.at

    def advance(self, **by: float) -> None:
        self.at += timedelta(**by)


@dataclass
class House:
    """One process. `client` and `wallet` are ids of a client with one USD wallet."""

    db: Database
    vault: Vault
    clock: MovedClock
    feed: ChangeFeed
    gate: StaffGate
    catalog: Catalog
    tokens: AccessTokens
    directory: Directory
    app: Litestar
    http: httpx.AsyncClient
    client: int
    wallet: int
    accounts: Accounts

    async def member(self, role: Role, *, active: bool = True, username: str = "") -> int:
        """Somebody of this role, logged in, whom nobody let in and who has no password."""
        async with self.db.connection() as connection:
            staff_id: int = await connection.fetchval(
                "INSERT INTO staff_users (username, role, password_hash, active, created_at)"
                " VALUES ($1, $2, 'none', $3, $4) RETURNING id",
                username or f"{role}@example.com",
                role,
                active,
                NOON,
            )
            await sign_in(connection, staff_id)
        return staff_id

    def token(self, staff_id: int, epoch: int = 0) -> dict[str, str]:
        return bearer(self.vault, staff_id, self.clock.now(), epoch=epoch)

    def sessionless(self, staff_id: int) -> dict[str, str]:
        """A genuine token as they were before there were sessions."""
        signer = Signer(self.vault.mac_key(TOKEN_KEY), AUDIENCE)
        shown = signer.issue(staff_id, 0, self.clock.now(), timedelta(hours=1))
        return {"Authorization": f"Bearer {shown}"}

    async def as_role(self, role: Role) -> dict[str, str]:
        return self.token(await self.member(role))

    async def client_token(self) -> dict[str, str]:
        """A client's own, genuine access token."""
        async with self.db.connection() as connection:
            login_id = await connection.fetchval(
                "INSERT INTO client_logins (client_id, username, password_hash, created_at)"
                " VALUES ($1, 'buyer', 'none', $2) RETURNING id",
                self.client,
                NOON,
            )
        issued = self.tokens.issue(
            login_id=login_id,
            client_id=self.client,
            epoch=0,
            family=uuid4(),
            at=self.clock.now(),
        )
        return {"Authorization": f"Bearer {issued.token}"}

    async def client_key(self) -> dict[str, str]:
        async with self.db.transaction() as tx:
            [issued] = await clients.issue_credentials(
                tx, self.vault, Settings(), [NewCredential(self.client)], NOON
            )
        return {"X-API-Key": issued.api_key, "X-API-Secret": issued.api_secret}

    async def add_product(self) -> int:
        """A USD product of 25.00 with a card number and a PIN."""
        new = NewProduct(
            name="Amazon",
            category_id=1,
            country="US",
            currency="USD",
            delivery_type=DeliveryType.CODE_WITH_PIN,
            voucher_fields=("card_number", "pin_code"),
            denominations=(Denomination(2500, 2500),),
        )
        async with self.db.transaction() as tx:
            [product_id] = await catalog_service.add_products(tx, [new], NOON)
        await self.catalog.load()
        return product_id

    async def everything(self) -> dict[str, list[Any]]:
        """Every row of every table, to see that nothing changed."""
        async with self.db.connection() as connection:
            names = [row[0] for row in await connection.fetch(TABLES)]
            return {
                name: sorted(map(str, await connection.fetch(f"SELECT * FROM {name}")))
                for name in names
            }

    async def audit(self) -> list[dict[str, Any]]:
        async with self.db.connection() as connection:
            rows = await connection.fetch("SELECT * FROM audit_entries ORDER BY id")
        return [dict(row) for row in rows]


@asynccontextmanager
async def opened(
    db: Database,
    home: Path,
    passwords: Passwords,
    clock: MovedClock,
    client: int,
    wallet: int,
    shell: Shell | None = None,
    **chosen: Any,
) -> AsyncIterator[House]:
    """What entry/api.py wires, as far as staff are concerned; two of them are two processes."""
    settings = Settings(
        home=home, environment="test", import_bytes_max=2_000_000, vendor_loopback=True, **chosen
    )
    vault = await Vault.open_database(db, settings)
    feed = ChangeFeed(db)
    tokens = AccessTokens(vault)
    directory = Directory(db, vault, feed, clock, tokens)
    limiter = Limiter(clock)
    proxies = Proxies(())
    catalog = Catalog(db, feed)
    gate = StaffGate(db, feed, vault, clock, proxies, settings)
    signin = SignIn(db, vault, clock, passwords, proxies, limiter, gate)
    imports = Imports(db, vault, catalog, clock)
    session = open_session()
    accounts = Accounts(db, vault, feed, settings, clock, session)
    prices = Prices(db, feed, settings)
    bought = purchasing(db, catalog, vault, accounts, prices, clock, settings)
    await feed.start()
    await catalog.load()
    await prices.load()
    provided = {
        "db": db,
        "clock": clock,
        "settings": settings,
        "vault": vault,
        "gate": gate,
        "passwords": passwords,
        "signin": signin,
        "catalog": catalog,
        "imports": imports,
        "accounts": accounts,
        "buyers": bought.buyers,
        "fulfilment": bought.fulfilment,
        "kept": KEPT,
        "money_limit": OnePersonLimit(1_000_000, "USD", prices),
        "restocks": bought.restocks,
        "links": ClaimLinks(vault, settings),
        "week": Week(),
        "prices": prices,
        "limiter": limiter,
        "directory": directory,
        "proxies": proxies,
        "webhooks": Webhooks(db, vault, clock, Targets.from_settings(settings)),
        "sessions": Sessions(db, tokens, passwords, limiter, clock),
        "readiness": Readiness(db, feed, {}, worker_silent_s=settings.alert_worker_silent_s),
    }
    state = State({"staff_gate": gate, "gate": Gate(directory, proxies, clock)})
    given = _provided(provided)
    app = (shell or Shell()).over(lambda: _routes(given), given, state)
    transport = httpx.ASGITransport(RequestIds(app), client=("192.0.2.7", 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://house") as http:
        yield House(
            db,
            vault,
            clock,
            feed,
            gate,
            catalog,
            tokens,
            directory,
            app,
            http,
            client,
            wallet,
            accounts,
        )
    await imports.close()
    await feed.stop()
    await session.close()
    await limiter.close()


def _routes(given: Mapping[str, Provide]) -> Litestar:
    return Litestar(
        [
            staff_http.ROUTER,
            reports_http.ROUTER,
            alerts_http.ROUTER,
            http_health.ROUTER,
            clients_http.ROUTER,
            vendors_http.ROUTER,
        ],
        dependencies=given,
        exception_handlers=EXCEPTION_HANDLERS,
        request_max_body_size=BODY_BYTES_MAX,
        logging_config=None,
    )


def _provided(values: Mapping[str, object]) -> dict[str, Provide]:
    return {name: Provide(_gives(value), sync_to_thread=False) for name, value in values.items()}


def _gives(value: object) -> Callable[[], Any]:
    def give() -> Any:
        return value

    return give


async def furnish(db: Database) -> tuple[int, int]:
    """Reference data, and a client with an empty USD wallet; their ids."""
    async with db.transaction() as tx:
        await catalog_service.seed_reference(tx)
        [client] = await clients.create(tx, [NewClient("Acme")], NOON)
        [wallet] = await wallets.open_wallets(tx, [NewWallet(client.id, "USD")], NOON)
    return client.id, wallet.id
