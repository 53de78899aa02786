"""Every page and form of the console: what they show, cost, refuse, never run (T61, T63)."""

import re
from collections.abc import AsyncIterator
from urllib.parse import urlencode

import pytest

from rewards.clients import service as clients
from rewards.clients.model import NewClient
from rewards.console.http import PAGES
from rewards.staff.model import Role
from tests.console.busy import OTHER, SHOWN, STATEMENTS_MAX, SUPPLIED, Busy, fill, routes
from tests.console.counted import counting
from tests.console.desk import open_desk
from tests.console.hostile import PAYLOADS, bad_of
from tests.databases import Copies, with_database
from tests.shop import WIDE

PAGE_BYTES_MAX = 400_000
MUTATIONS = sorted({path for method, path in routes() if method == "POST"})


@pytest.fixture(scope="module")
async def busy(
    server_dsn: str, copies: Copies, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Busy]:
    """One for all tests of this file: none of them changes what another looks at."""
    name = await copies.take()
    home = tmp_path_factory.mktemp("console")
    async with open_desk(with_database(server_dsn, name), home) as desk:
        yield await fill(desk)
    copies.drop(name)


def test_every_handler_is_mounted() -> None:
    assert len(PAGES) == len(set(map(id, PAGES)))


async def test_every_page_shows_within_its_statements(busy: Busy) -> None:
    """Every page of an admin: 200, at most 12 statements, no more than fits through a phone."""
    desk = busy.desk
    wrong, most = [], 0
    pool = desk.shop.parts.settings.pool_size
    for pattern in SHOWN:
        if pattern in OTHER | SUPPLIED:
            continue
        path = busy.path(pattern)
        await busy.admin.get(path)
        async with counting(desk.shop.parts.db, pool) as seen:
            page = await busy.admin.get(path)
        most = max(most, len(seen))
        if page.status != 200 or len(seen) > STATEMENTS_MAX or len(page.text) > PAGE_BYTES_MAX:
            told = seen if len(seen) > STATEMENTS_MAX else page.said
            wrong.append(f"{path} {page.status} {len(page.text)} {len(seen)} {told}")
    assert not wrong, "\n".join(wrong)
    # It is counted at all.
    assert most > 5


@pytest.mark.parametrize("role", [Role.VIEWER, Role.SUPPORT, Role.OPERATIONS, Role.FINANCE])
async def test_a_role_is_offered_only_what_opens(busy: Busy, role: Role) -> None:
    visitor = await busy.desk.at(role)
    page = await visitor.get("/console")
    links = re.findall(r'<li><a href="(/console[^"]*)"', page.text)
    assert links
    for path in links:
        assert (await visitor.get(path)).status == 200, path


async def test_nobody_sees_a_page_without_signing_in(busy: Busy) -> None:
    stranger = busy.desk.visitor()
    for pattern in SHOWN:
        if pattern not in OTHER:
            path = re.sub(r"{\w+}", "1", pattern)
            page = await stranger.get(path, follow=False)
            assert page.status == 303, path
            assert page.headers["Location"].startswith("/console/sign-in?next=")
    for pattern in MUTATIONS:
        if pattern not in ("/console/sign-in", "/console/theme"):
            page = await stranger.post(re.sub(r"{\w+}", "1", pattern), {}, follow=False)
            assert page.status in (303, 403), pattern


async def test_300_names_that_could_run_are_only_shown(busy: Busy) -> None:
    assert len(PAYLOADS) >= 300
    names = PAYLOADS[:300]
    new = [NewClient(name=name, limits=WIDE) for name in names]
    async with busy.desk.shop.parts.db.transaction() as tx:
        await clients.create(tx, new, busy.desk.shop.now)
    visitor = busy.admin
    shown = ""
    for number in range(1, 8):
        page = await visitor.get(f"/console/clients?page={number}")
        assert bad_of(page.text) == []
        shown += page.said
    assert all(re.sub(r"\s+", " ", name).strip() in shown for name in names if "<" not in name)


@pytest.mark.parametrize("payload", [PAYLOADS[0], PAYLOADS[27], PAYLOADS[365]])
async def test_no_text_of_anybody_runs_on_any_page(busy: Busy, payload: str) -> None:
    """The same text in every field that a page shows: nothing of it becomes a part of the page."""
    desk = busy.desk
    async with desk.shop.parts.db.transaction() as tx:
        for statement in (
            "UPDATE clients SET name = $1",
            "UPDATE batches SET name = $1",
            "UPDATE orders SET ref = $1 || id, email = $1",
            "UPDATE webhook_endpoints SET name = $1, url = $1",
        ):
            await tx.execute(statement, payload)
    await desk.shop.refresh()
    for pattern in SHOWN:
        if pattern not in OTHER | SUPPLIED:
            page = await busy.admin.get(busy.path(pattern))
            assert bad_of(page.text) == [], pattern
    for path in ("orders", "clients", "audit"):
        fields = {"q": payload, "name": payload, "action": payload}
        page = await busy.admin.get(with_query(f"/console/{path}", fields))
        assert bad_of(page.text) == [], path
        page = await busy.admin.get(with_query("/console/sign-in", {"next": payload}))
        assert bad_of(page.text) == []


def with_query(path: str, fields: dict[str, str]) -> str:
    return f"{path}?{urlencode(fields)}"
