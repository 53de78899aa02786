"""Every page of the operators and of a client, and every search, on a house with a million orders.

Measured by hand: `python -m benchmarks pages`. Wall times of a busy machine say little, so that
what both processes' clocks counted, ours and the database's, stands beside them.
"""

import html
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import aiohttp

from benchmarks import million, million_asked
from benchmarks.bench import Bench, WrongAnswers
from benchmarks.home import children_of
from benchmarks.million_around import MEMBER, PASSWORD
from benchmarks.report import Figure, middle
from rewards.staff.model import Role

# Of one page; and pages that are asked once more before anybody measures.
ROUNDS = 15
PAGE_MS, SEARCH_MS = 150, 50
BARE = "/healthz"
CSRF = re.compile(r'name="csrf" value="([^"]+)"')
# Where a list leads on, and how often that is followed to be deep in it.
ONWARD = re.compile(r'href="([^"]*[?&](?:amp;)?(?:cursor|before|page)=[^"]*)"')
DEEP = 40
NANO = 1e9


@dataclass(frozen=True, slots=True)
class Taken:
    """Milliseconds of one path: half of the answers, nearly all, and what the processors worked."""

    path: str
    median_ms: float
    p95_ms: float
    least_ms: float
    cpu_ms: float
    bytes: int


async def pages(bench: Bench) -> list[Figure]:
    """Fill the house, and ask everything of it."""
    filled = await million.fill(bench.world)
    async with bench.world.db.connection() as tx:
        ids = await million_asked.ids_of(tx, filled)
        backend = await tx.fetchval("SELECT pg_backend_pid()")
    # What it remembers of the catalogue it reads when it starts.
    await bench.home.stop("api")
    url = await bench.home.start_api()
    asker = Asker(url, bench.home.processes["api"].pid, parent_of(backend))
    taken = [each async for each in ask_all(asker, million_asked.asked(ids))]
    return figures(taken)


def figures(taken: Sequence[Taken]) -> list[Figure]:
    """The bare loop's answer, and every other beside it."""
    bare, *others = taken
    found = [Figure("pages", BARE, bare.median_ms, "ms")]
    for each in others:
        most = PAGE_MS if each.path.startswith(("/console", "/portal")) else SEARCH_MS
        told = f"{each.path} p95 {each.p95_ms:.0f}, least {each.least_ms:.0f}"
        found += [
            Figure(
                *("pages", f"{told}, CPU {each.cpu_ms:.0f} ms", each.median_ms, "ms"),
                *(bare.median_ms, f"ms, {BARE}", f"≤ {most} ms"),
            )
        ]
    return found


@dataclass
class Asker:
    """Where the server is, and whose processor time counts: its process, and the database's."""

    url: str
    api_pid: int
    postmaster_pid: int

    def cpu_s(self) -> float:
        return sum(map(_cpu_s, [self.api_pid, *children_of(self.postmaster_pid)]))


def parent_of(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"^PPid:\s+(\d+)", status, re.MULTILINE)[0])


def _cpu_s(pid: int) -> float:
    """Of all its threads; 0 for one that is gone."""
    total = 0
    for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        total += int(thread.read_text().split()[0])
    return total / NANO


async def ask_all(asker: Asker, paths: Iterable[str], rounds: int = ROUNDS) -> AsyncIterator[Taken]:
    """The bare answer, then each path, and of each page that leads on one deep in its list."""
    async with signed_in(asker.url) as sessions:
        yield await _taken(asker, sessions, BARE, rounds)
        for path in paths:
            yield await _taken(asker, sessions, path, rounds)
            if path.startswith(("/console", "/portal")):
                deep = await _deep(sessions, path)
                if deep is not None:
                    yield await _taken(asker, sessions, deep, rounds)


async def _taken(asker: Asker, sessions: "Sessions", path: str, rounds: int) -> Taken:
    size = len(await sessions.get(path))
    took_ms = []
    began_cpu_s = asker.cpu_s()
    for _ in range(rounds):
        began_s = perf_counter()
        await sessions.get(path)
        took_ms.append((perf_counter() - began_s) * 1e3)
    cpu_ms = (asker.cpu_s() - began_cpu_s) * 1e3 / rounds
    took_ms.sort()
    nearly = took_ms[min(len(took_ms) * 95 // 100, len(took_ms) - 1)]
    return Taken(path, middle(took_ms), nearly, took_ms[0], cpu_ms, size)


async def _deep(sessions: "Sessions", path: str) -> str | None:
    """The page that is reached by going on again and again; None of a list with one page."""
    at, seen = path, {path}
    for _ in range(DEEP):
        found = [html.unescape(link) for link in ONWARD.findall(await sessions.get(at))]
        onward = [link for link in found if link not in seen]
        if not onward:
            break
        own = at.partition("?")[0]
        at = onward[-1] if onward[-1].startswith("/") else own + onward[-1]
        seen.add(at)
    return at if at != path else None


@dataclass
class Sessions:
    """An admin and an owner who are signed in: each at their pages, and at their API."""

    url: str
    console: aiohttp.ClientSession
    portal: aiohttp.ClientSession
    # By how a path begins.
    shown: Mapping[str, Mapping[str, str]]

    async def get(self, path: str) -> str:
        session = self.portal if path.startswith("/portal") else self.console
        headers = self.shown.get(path.split("/")[1], {})
        async with session.get(self.url + path, headers=headers) as answer:
            text = await answer.text()
            if answer.status != 200 or "/sign-in" in answer.url.path:
                raise WrongAnswers(f"{path}: {answer.status} {text[:300]}")
            return text


@asynccontextmanager
async def signed_in(url: str) -> AsyncIterator[Sessions]:
    name = f"{Role.ADMIN}@example.com"
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as console,
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as portal,
    ):
        await _sign_in(console, f"{url}/console/sign-in", name)
        await _sign_in(portal, f"{url}/portal/sign-in", MEMBER)
        shown = {
            "admin": await _bearer(console, f"{url}/admin/auth/login", name),
            "api": await _bearer(portal, f"{url}/auth/login", MEMBER),
        }
        yield Sessions(url, console, portal, shown)


async def _bearer(session: aiohttp.ClientSession, url: str, name: str) -> dict[str, str]:
    async with session.post(url, json={"username": name, "password": PASSWORD}) as answer:
        return {"Authorization": f"Bearer {(await answer.json())['access_token']}"}


async def _sign_in(session: aiohttp.ClientSession, page: str, name: str) -> None:
    async with session.get(page) as answer:
        [csrf, *_] = CSRF.findall(await answer.text())
    fields = {"csrf": html.unescape(csrf), "username": name, "password": PASSWORD, "next": ""}
    origin = {"Origin": page.partition("/console")[0].partition("/portal")[0]}
    headers = {**origin, "Sec-Fetch-Site": "same-origin"}
    async with session.post(page, data=fields, headers=headers) as answer:
        if answer.status != 200 or "/sign-in" in answer.url.path:
            raise WrongAnswers(f"{page}: {answer.status}")
