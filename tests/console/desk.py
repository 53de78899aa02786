"""The console over a served application, staff who can sign in, and browsers without a script."""

import html
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from rewards.entry.api import build_app
from rewards.staff import service as staff
from rewards.staff.model import NewStaff, Role, Staff
from tests.market import MovedClock
from tests.serving import served
from tests.shop import Shop, open_shop

PASSWORD = "a long and quiet password"
CSRF = re.compile(r'name="csrf" value="([^"]+)"')


@dataclass(frozen=True)
class Seen:
    """What a browser got."""

    status: int
    headers: Mapping[str, str]
    text: str
    url: str
    raw: bytes = b""

    @property
    def csrf(self) -> str:
        found = CSRF.search(self.text)
        assert found, self.text
        return html.unescape(found[1])

    @property
    def said(self) -> str:
        """The words of the page, without its marks."""
        return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", self.text)))


@dataclass
class Visitor:
    """A browser without a script: keeps cookies, follows redirects, says where a form is from."""

    url: str
    session: aiohttp.ClientSession
    headers: dict[str, str] = field(default_factory=dict)
    room: str = "/console"

    async def get(self, path: str, *, follow: bool = True, **headers: str) -> Seen:
        return await self._seen("GET", path, headers, allow_redirects=follow)

    async def post(
        self, path: str, fields: Any = None, *, follow: bool = True, **headers: str
    ) -> Seen:
        """A form; a header that is empty is left out."""
        said = {"Origin": self.url, "Sec-Fetch-Site": "same-origin"} | headers
        sent = {name: value for name, value in said.items() if value}
        return await self._seen("POST", path, sent, data=fields or {}, allow_redirects=follow)

    async def _seen(self, method: str, path: str, headers: dict[str, str], **sent: Any) -> Seen:
        async with self.session.request(
            method, self.url + path, headers=self.headers | headers, **sent
        ) as answer:
            raw = await answer.read()
            return Seen(answer.status, answer.headers, raw.decode(), str(answer.url), raw)

    async def sign_in(self, name: str, password: str = PASSWORD, following: str = "") -> Seen:
        page = await self.get(f"{self.room}/sign-in")
        fields = {"csrf": page.csrf, "username": name, "password": password, "next": following}
        return await self.post(f"{self.room}/sign-in", fields)

    async def send(self, page: str, path: str, **fields: Any) -> Seen:
        """Send a form that stands on a page, with what the page hides in it."""
        shown = await self.get(page)
        assert shown.status == 200, shown.said
        return await self.post(path, {"csrf": shown.csrf} | fields)


@dataclass
class Desk:
    """A shop whose console is served; `staff` by role."""

    shop: Shop
    clock: MovedClock
    url: str
    staff: dict[Role, Staff]
    visitors: list[aiohttp.ClientSession] = field(default_factory=list)

    def name(self, role: Role) -> str:
        """Whom it employs in that role, as they sign in."""
        return self.staff[role].username

    def visitor(self, **headers: str) -> Visitor:
        session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
        self.visitors.append(session)
        return Visitor(self.url, session, headers)

    async def at(self, role: Role = Role.ADMIN) -> Visitor:
        """Somebody of this role who is signed in."""
        visitor = self.visitor()
        page = await visitor.sign_in(self.staff[role].username)
        assert page.status == 200, page.said
        return visitor


async def hire(shop: Shop) -> dict[Role, Staff]:
    asks = [NewStaff(f"{role}@example.com", role, PASSWORD) for role in Role]
    # One digest: they are slow, and everybody has the same password.
    digests = [await shop.parts.passwords.digest(PASSWORD)] * len(asks)
    async with shop.parts.db.transaction() as tx:
        made = await staff.create_staff(tx, asks, digests, shop.now)
    return {person.role: person for person in made if isinstance(person, Staff)}


@asynccontextmanager
async def open_desk(dsn: str, home: Path, **chosen: Any) -> AsyncIterator[Desk]:
    clock = MovedClock()
    async with open_shop(dsn, home, clock, **chosen) as shop, desk_of(shop, clock) as desk:
        yield desk


@asynccontextmanager
async def desk_of(shop: Shop, clock: MovedClock) -> AsyncIterator[Desk]:
    """The console of a shop that is open."""
    people = await hire(shop)
    async with served(build_app(shop.parts)) as url:
        desk = Desk(shop, clock, url, people)
        yield desk
        for session in desk.visitors:
            await session.close()
