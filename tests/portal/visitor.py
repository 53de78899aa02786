"""A browser without a script: keeps cookies, fills in forms, follows where it is sent."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlencode

import aiohttp

from rewards.clients.model_members import MemberRole
from tests.members.company import PASSWORD, Company

CSRF = re.compile(r'name="csrf" value="([0-9a-f]+)"')


@dataclass
class Page:
    status: int
    url: str
    text: str
    headers: Mapping[str, str] = field(repr=False)


@dataclass
class Visitor:
    """`text` of the last page is where the next form is taken from."""

    company: Company
    session: aiohttp.ClientSession
    last: str = ""

    async def get(self, path: str, **headers: str) -> Page:
        return await self._ask("GET", path, None, headers)

    async def send(
        self, path: str, form: Mapping[str, str | list[str]] | None = None, **headers: str
    ) -> Page:
        """A form of the last page."""
        found = CSRF.search(self.last)
        fields = {"csrf": found[1] if found else "", **(form or {})}
        sent = {"Sec-Fetch-Site": "same-origin", **headers}
        sent["Content-Type"] = "application/x-www-form-urlencoded"
        return await self._ask("POST", path, urlencode(fields, doseq=True), sent)

    async def _ask(
        self, method: str, path: str, data: str | None, headers: Mapping[str, str]
    ) -> Page:
        url = f"{self.company.url}/portal{path}"
        async with self.session.request(method, url, data=data, headers=headers) as answer:
            text = (await answer.read()).decode()
            if answer.headers.get("Content-Type", "").startswith("text/html"):
                self.last = text
            return Page(answer.status, str(answer.url), text, answer.headers.copy())

    async def sign_in(self, role: MemberRole, password: str = PASSWORD) -> Page:
        await self.get("/sign-in")
        name = self.company.name(role)
        return await self.send("/sign-in", {"username": name, "password": password})


@asynccontextmanager
async def visiting(
    company: Company, headers: Mapping[str, str] | None = None
) -> AsyncIterator[Visitor]:
    """`headers`: what comes with each of its requests."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar, headers=headers) as session:
        yield Visitor(company, session)
