"""One process of the API as the clients slice sees it, and a clock to move."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from litestar import Litestar, Request, Response, get, post
from litestar.datastructures import State
from litestar.di import Provide

from rewards.clients import service
from rewards.clients.auth import Gate, principal_of, requires
from rewards.clients.directory import Directory
from rewards.clients.http import ROUTER
from rewards.clients.limits import Limiter
from rewards.clients.model import Client, IssuedCredential, NewClient, NewCredential
from rewards.clients.sessions import Sessions
from rewards.clients.tokens import AccessTokens
from rewards.infra.address import Proxies
from rewards.infra.changes import ChangeFeed
from rewards.infra.crypto import Vault
from rewards.infra.db import Database
from rewards.infra.http import EXCEPTION_HANDLERS, RequestIds, answer_with, encode
from rewards.infra.passwords import Passwords
from rewards.infra.settings import Settings

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
USERNAME = "buyer@example.com"
PASSWORD = "correct horse battery"


class MovedClock:
    def __init__(self, at: datetime = NOON) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def advance(self, **by: float) -> None:
        self.at += timedelta(**by)


@dataclass
class Process:
    """What entry/api.py wires for this slice; two of them are two processes on one database."""

    db: Database
    clock: MovedClock
    feed: ChangeFeed
    directory: Directory
    tokens: AccessTokens
    limiter: Limiter
    sessions: Sessions
    proxies: Proxies
    gate: Gate

    async def token(self, client: Client, login_id: int | None = None) -> str:
        """A genuine access token, of a family of its own; of somebody new if nobody is named."""
        if login_id is None:
            login_id = await somebody(self.db, client.id)
        access = self.tokens.issue(
            login_id=login_id, client_id=client.id, epoch=0, family=uuid4(), at=self.clock.now()
        )
        return access.token

    def app(self) -> Any:
        limiter = self.limiter

        @get("/api/v1/probe", guards=[requires("orders:read")])
        async def read(request: Request[Any, Any, Any]) -> Response[bytes]:
            return encode({"client_id": principal_of(request).client_id})

        @post("/api/v1/orders", before_request=requires("orders:write"))
        async def place(request: Request[Any, Any, Any]) -> Response[bytes]:
            principal = principal_of(request)
            async with limiter.order_slot(principal) as headers:
                answer_with(request, headers)
                body = await request.body()
                if body == b"break":
                    raise RuntimeError("a bug")
                return encode({"client_id": principal.client_id, "bytes": len(body)})

        provided = {
            "sessions": self.sessions,
            "directory": self.directory,
            "proxies": self.proxies,
        }
        app = Litestar(
            [ROUTER, read, place],
            dependencies={name: Provide(_gives(value)) for name, value in provided.items()},
            exception_handlers=EXCEPTION_HANDLERS,
            state=State({"gate": self.gate}),
            logging_config=None,
            openapi_config=None,
        )
        return RequestIds(app)


def _gives(value: Any) -> Any:
    async def give() -> Any:
        return value

    return give


async def make_process(
    db: Database,
    vault: Vault,
    clock: MovedClock,
    passwords: Passwords,
    trusted_proxies: tuple[str, ...] = (),
) -> Process:
    feed = ChangeFeed(db)
    tokens = AccessTokens(vault)
    directory = Directory(db, vault, feed, clock, tokens)
    limiter = Limiter(clock)
    sessions = Sessions(db, tokens, passwords, limiter, clock)
    proxies = Proxies(trusted_proxies)
    gate = Gate(directory, proxies, clock)
    await feed.start()
    return Process(db, clock, feed, directory, tokens, limiter, sessions, proxies, gate)


async def somebody(db: Database, client_id: int) -> int:
    """An owner of this client who never logs in."""
    async with db.connection() as connection:
        login_id: int = await connection.fetchval(
            "INSERT INTO client_logins (client_id, username, password_hash, created_at)"
            " VALUES ($1, $2, 'none', $3) RETURNING id",
            *(client_id, f"owner-{uuid4()}", NOON),
        )
    return login_id


class Given:
    """Clients, credentials and logins, made through the service as staff would."""

    def __init__(self, db: Database, vault: Vault, passwords: Passwords) -> None:
        self.db = db
        self.vault = vault
        self.passwords = passwords
        self.settings = Settings(environment="test", cell=0)

    async def client(self, **wanted: Any) -> Client:
        async with self.db.transaction() as tx:
            [client] = await service.create(tx, [NewClient("Acme", **wanted)], NOON)
        return client

    async def credential(self, client: Client, **wanted: Any) -> IssuedCredential:
        ask = NewCredential(client.id, **wanted)
        async with self.db.transaction() as tx:
            [issued] = await service.issue_credentials(tx, self.vault, self.settings, [ask], NOON)
        return issued

    async def login(self, client: Client, username: str = USERNAME) -> int:
        new = await service.prepare_login(self.passwords, client.id, username, PASSWORD)
        async with self.db.transaction() as tx:
            login = await service.add_login(tx, new, NOON)
        return login.id
