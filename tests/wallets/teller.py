"""The routes of wallets, served on loopback to clients with real credentials."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import aiohttp
from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig

from rewards.catalog import service as catalog
from rewards.catalog.service import Catalog
from rewards.clients import service as clients
from rewards.clients.auth import Gate
from rewards.clients.directory import Directory
from rewards.clients.model import NewClient, NewCredential
from rewards.clients.tokens import AccessTokens
from rewards.core.clock import SystemClock
from rewards.infra.address import Proxies
from rewards.infra.changes import ChangeFeed
from rewards.infra.crypto import Vault
from rewards.infra.db import Database
from rewards.infra.http import EXCEPTION_HANDLERS, RequestIds
from rewards.infra.openapi import DecimalsAreNumbers
from rewards.infra.settings import Settings
from rewards.wallets.http import ROUTER
from tests.serving import served
from tests.wallets.ledgers import AT

SCOPES = frozenset({"wallets:read"})


@dataclass(frozen=True)
class Reply:
    status: int
    text: str
    headers: Mapping[str, str]

    @property
    def body(self) -> Any:
        """JSON with its numbers kept as they were written."""
        return json.loads(self.text, parse_float=Decimal)

    @property
    def refusal(self) -> tuple[int, str, str, str]:
        body = self.body
        assert body.keys() <= {"error", "message", "code", "request_id", "details"}
        return self.status, body["error"], body["message"], body["code"]


class Teller:
    """Asks as client 1 unless told otherwise; `nobody` shows nothing, `narrow` lacks the scope."""

    def __init__(self, url: str, session: aiohttp.ClientSession, app: Litestar) -> None:
        self._url = url
        self._session = session
        self.app = app
        self.keys: dict[object, dict[str, str]] = {"nobody": {}}

    async def get(
        self, path: str, *, who: object = 1, accept: str = "*/*", **params: object
    ) -> Reply:
        headers = self.keys[who] | {"Accept": accept}
        query = {name.rstrip("_"): str(value) for name, value in params.items()}
        async with self._session.get(self._url + path, params=query, headers=headers) as reply:
            return Reply(reply.status, await reply.text(), reply.headers)


def _gives(value: Any) -> Any:
    async def give() -> Any:
        return value

    return Provide(give)


@asynccontextmanager
async def teller(db: Database, settings: Settings) -> AsyncIterator[Teller]:
    """Clients 1 and 2 with a key each, reference data, and the routes."""
    vault = await Vault.open_database(db, settings)
    feed = ChangeFeed(db)
    clock = SystemClock()
    goods = Catalog(db, feed)
    async with db.transaction() as tx:
        await catalog.seed_reference(tx)
        made = await clients.create(tx, [NewClient("one"), NewClient("two")], AT)
        one, two = (client.id for client in made)
        asks = [
            NewCredential(one, scopes=SCOPES),
            NewCredential(two, scopes=SCOPES),
            NewCredential(one, scopes=frozenset({"orders:read"})),
        ]
        issued = await clients.issue_credentials(tx, vault, settings, asks, AT)
    await goods.load()
    directory = Directory(db, vault, feed, clock, AccessTokens(vault))
    await feed.start()
    app = Litestar(
        [Router("/api/v1", route_handlers=[ROUTER])],
        dependencies={"db": _gives(db), "catalog": _gives(goods)},
        exception_handlers=EXCEPTION_HANDLERS,
        openapi_config=OpenAPIConfig(title="Test", version="1"),
        plugins=[DecimalsAreNumbers()],
        state=State({"gate": Gate(directory, Proxies(()), clock)}),
        logging_config=None,
    )
    async with served(RequestIds(app)) as url, aiohttp.ClientSession() as session:
        made_teller = Teller(url + "/api/v1", session, app)
        for who, credential in zip((1, 2, "narrow"), issued, strict=True):
            made_teller.keys[who] = {
                "X-API-Key": credential.api_key,
                "X-API-Secret": credential.api_secret,
            }
        yield made_teller
    await feed.stop()
