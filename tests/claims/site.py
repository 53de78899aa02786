"""A served application, products with claim links, and visitors of their page."""

import html
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from rewards.catalog.model import LinkType, Product
from rewards.entry.api import build_app
from rewards.orders.view import OrderOut
from tests.market import MovedClock
from tests.serving import served
from tests.shop import Shop, open_shop

PASSWORD = "open sesame"
PUBLIC, PROTECTED = 40, 41
TEXTS = {
    "description": "For everything, in the shop and online.",
    "terms": "Not for cash. It can be used in parts until nothing is left of it.",
    "redemption": "Show the QR code at the till, or type the code when you pay online.",
}
CSRF = re.compile(r'name="csrf" value="([^"]+)"')
# A page tells of itself and of nothing else.
OWN = frozenset({"date", "x-request-id", "x-ratelimit-remaining", "x-ratelimit-reset"})


@dataclass(frozen=True)
class Page:
    """What a visitor got."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def csrf(self) -> str:
        found = CSRF.search(self.text)
        assert found, self.text
        return html.unescape(found[1])

    @property
    def alike(self) -> tuple[int, dict[str, str], str]:
        """All that could tell one refusal from another."""
        told = {name: value for name, value in self.headers.items() if name.lower() not in OWN}
        return self.status, told, self.text


@dataclass
class Visitor:
    """A browser without a script."""

    site: "Site"
    session: aiohttp.ClientSession
    # Whoever stands behind the trusted proxy.
    address: str = "203.0.113.7"

    async def get(self, url: str) -> Page:
        return await self._page("GET", url)

    async def post(self, url: str, **fields: str) -> Page:
        return await self._page("POST", url, data=fields)

    async def claim(self, url: str, password: str = "") -> Page:
        """Open the link and send its form."""
        csrf = (await self.get(url)).csrf
        return await self.post(url, csrf=csrf, password=password)

    async def _page(self, method: str, url: str, **sent: Any) -> Page:
        here = URL(self.site.url).with_path(URL(url).path)
        behind = {"X-Forwarded-For": self.address}
        async with self.session.request(method, here, headers=behind, **sent) as answer:
            return Page(answer.status, answer.headers, await answer.text())


@dataclass
class Site:
    """A shop whose page is served; `clock` moves it through time."""

    shop: Shop
    clock: MovedClock
    url: str
    public: Product
    protected: Product
    sessions: list[aiohttp.ClientSession] = field(default_factory=list)

    def visitor(self, address: str = "203.0.113.7") -> Visitor:
        session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
        self.sessions.append(session)
        return Visitor(self, session, address)

    async def order(self, quantity: int = 1, *, protected: bool = False, **facts: Any) -> OrderOut:
        """A fresh client's order as its answer shows it; the pool has all of it."""
        product = self.protected if protected else self.public
        expires_at = facts.pop("expires_at", None)
        fields = facts.pop("fields", None)
        await self.shop.stock(product, quantity, expires_at=expires_at, fields=fields)
        if protected:
            facts["claim_password_hash"] = await self.shop.parts.passwords.digest(PASSWORD)
        client = await self.shop.client(minor=1_000_000)
        placed = await self.shop.place_one(self.shop.ask(client, product, quantity, **facts))
        return await self.shop.parts.orders.show(placed)

    async def link(self, **facts: Any) -> str:
        order = await self.order(**facts)
        url = order.vouchers[0].claim_url
        assert url is not None
        return url


@asynccontextmanager
async def open_site(dsn: str, home: Path) -> AsyncIterator[Site]:
    clock = MovedClock()
    trusted = ("127.0.0.1/32",)
    async with open_shop(dsn, home, clock, trusted_proxies=trusted) as shop:
        fields = ("code", "pin")
        public = await shop.product(
            PUBLIC,
            name="Aurora Books",
            link_type=LinkType.PUBLIC,
            voucher_fields=fields,
            **TEXTS,
        )
        protected = await shop.product(
            PROTECTED,
            name="Harbour Coffee",
            link_type=LinkType.PROTECTED,
            voucher_fields=fields,
            **TEXTS,
        )
        async with served(build_app(shop.parts)) as url:
            site = Site(shop, clock, url, public, protected)
            yield site
            for session in site.sessions:
                await session.close()
