"""The routes of the catalogue and of prices, served to whoever says which client it is."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import aiohttp
from litestar import Litestar, Router
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig

from rewards.catalog.http import ROUTER as PRODUCTS
from rewards.catalog.http_reference import ROUTER as REFERENCE
from rewards.catalog.model import ShelfKey
from rewards.clients.model import ClientStatus, Limits, Principal
from rewards.core.errors import NotFound, Unauthorized
from rewards.infra.http import EXCEPTION_HANDLERS, RequestIds
from rewards.infra.openapi import DecimalsAreNumbers
from rewards.pricing.http import ROUTER as CHARGES
from tests.catalog.shop import AT, Shop
from tests.serving import served


class WalletNotFound(NotFound):
    code = "WALLET_NOT_FOUND"
    default_message = "Wallet not found"


class Pool:
    """A pool that holds what a test says."""

    def __init__(self) -> None:
        self.units: dict[ShelfKey, int] = {}
        self.asked = 0

    async def depth(self, keys: Sequence[ShelfKey]) -> list[int]:
        self.asked += 1
        return [self.units.get(key, 0) for key in keys]

    async def product_depth(self, product_ids: Sequence[int]) -> dict[int, int]:
        self.asked += 1
        depths: dict[int, int] = {}
        for key, count in self.units.items():
            if key.product_id in product_ids:
                depths[key.product_id] = depths.get(key.product_id, 0) + count
        return depths


class Purses:
    """Wallets by id: client and currency."""

    def __init__(self) -> None:
        self.wallets: dict[int, tuple[int, str]] = {}

    async def currency_of(self, client_id: int, wallet_id: int) -> str:
        owner, currency = self.wallets.get(wallet_id, (0, ""))
        if owner != client_id:
            raise WalletNotFound
        return currency

    async def currencies(self, client_id: int) -> list[str]:
        return [currency for owner, currency in self.wallets.values() if owner == client_id]


class Standing:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.at = AT

    def now(self) -> datetime:
        return self.at


class Doorman:
    """Stands where the gate does: believes the header `X-Client`, and `X-Scopes` if given."""

    def __init__(self) -> None:
        self.max_quantity = 1000
        self.conversion_fee_percent = Decimal("1.5")

    async def admit(self, connection: Any) -> Principal:
        client_id = connection.headers.get("x-client")
        if client_id is None:
            raise Unauthorized
        principal = Principal(
            client_id=int(client_id),
            credential_id=1,
            login_id=None,
            scopes=frozenset(connection.headers.get("x-scopes", "products:read").split()),
            limits=Limits(),
            max_quantity=self.max_quantity,
            conversion_fee_percent=self.conversion_fee_percent,
            status=ClientStatus.ACTIVE,
            networks=(),
            token_epoch=0,
        )
        connection.scope |= {"rewards_principal": principal, "rewards_address": None}
        return principal


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
    def refusal(self) -> tuple[int, str, str]:
        return self.status, self.body["message"], self.body["code"]


class Front:
    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.pool = Pool()
        self.purses = Purses()
        self.door = Doorman()
        self.clock = Standing()
        self.app = Litestar(
            route_handlers=[Router("/api/v1", route_handlers=[PRODUCTS, REFERENCE, CHARGES])],
            dependencies={
                "catalog": Provide(lambda: shop.catalog, sync_to_thread=False),
                "clock": Provide(lambda: self.clock, sync_to_thread=False),
                "prices": Provide(lambda: shop.prices, sync_to_thread=False),
                "pool": Provide(lambda: self.pool, sync_to_thread=False),
                "wallets_of": Provide(lambda: self.purses, sync_to_thread=False),
            },
            exception_handlers=EXCEPTION_HANDLERS,
            openapi_config=OpenAPIConfig(title="Test", version="1"),
            plugins=[DecimalsAreNumbers()],
        )
        self.app.state.gate = self.door
        self._session: aiohttp.ClientSession | None = None
        self._url = ""

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Front"]:
        async with served(RequestIds(self.app)) as url, aiohttp.ClientSession() as session:
            self._session, self._url = session, url + "/api/v1"
            yield self

    async def ask(
        self,
        method: str,
        path: str,
        *,
        body: str | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        assert self._session is not None
        shown = {"X-Client": "1"} if headers is None else headers
        async with self._session.request(
            method, self._url + path, data=body, params=params, headers=shown
        ) as reply:
            return Reply(reply.status, await reply.text(), reply.headers)

    async def get(self, path: str, **params: str) -> Reply:
        return await self.ask("GET", path, params=params)

    async def post(self, path: str, body: str) -> Reply:
        return await self.ask("POST", path, body=body)
