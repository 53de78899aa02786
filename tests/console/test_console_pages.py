"""Every page and form of the console: what they show, cost, refuse, never run (T61, T63)."""

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode

import pytest
from litestar.routes import HTTPRoute

from rewards.clients import service as clients
from rewards.clients.model import NewClient
from rewards.console.http import PAGES
from rewards.core.errors import Refusal
from rewards.entry.api import build_unwired
from rewards.orders.model import Order
from rewards.staff.model import Role
from rewards.webhooks.sealing import Sealer
from tests.console.counted import counting
from tests.console.desk import Desk, Visitor, open_desk
from tests.console.writing import write_reports
from tests.databases import Copies, with_database
from tests.shop import WIDE

STATEMENTS_MAX = 12
PAGE_BYTES_MAX = 400_000
HOOK_URL = "http://127.0.0.1:9/hook"


def routes() -> Iterator[tuple[str, str]]:
    """Method and path of every page."""
    for route in build_unwired().routes:
        if isinstance(route, HTTPRoute) and route.path.startswith("/console"):
            for handler in route.route_handlers:
                for method in handler.http_methods:
                    if method in ("GET", "POST"):
                        yield str(method), re.sub(r":\w+}", "}", route.path_format)


MUTATIONS = sorted({path for method, path in routes() if method == "POST"})
SHOWN = sorted({path for method, path in routes() if method == "GET"})
# They show what comes of a vendor: test_console_supply.py looks at them.
SUPPLIED = {
    path
    for path in SHOWN
    if any(name in path for name in ("vendor_id", "purchase_id", "stock_order_id", "adapter"))
}
# Not pages of somebody who is signed in.
OTHER = {"/console/static/{name}", "/console/{rest}", "/console/sign-in"}
# No pages, but what a browser keeps.
FILES = {path for path in SHOWN if path.endswith("/file")}


@dataclass
class Busy:
    """A desk with something on every page."""

    desk: Desk
    admin: Visitor
    client_id: int
    delivered: Order
    waiting: Order
    batch_id: int
    hook_id: int
    report_id: int
    wallet_id: int
    transaction_id: int

    def path(self, pattern: str) -> str:
        ids: dict[str, Any] = {
            "order_id": self.waiting.id,
            "batch_id": self.batch_id,
            "client_id": self.client_id,
            "hook_id": self.hook_id,
            "report_id": self.report_id,
            "wallet_id": self.wallet_id,
            "transaction_id": self.transaction_id,
            "product_id": 6,
            "vendor_id": 1,
            "category_id": 1,
        }
        return re.sub(r"{(\w+)}", lambda found: str(ids.get(found[1], 1)), pattern)


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


async def fill(desk: Desk) -> Busy:
    shop = desk.shop
    admin = await desk.at(Role.ADMIN)
    product = await shop.product()
    await shop.rates(EUR="1.10")
    client_id = await shop.client(minor=1_000_000)
    await shop.stock(product, 2)
    [first] = await shop.place(shop.ask(client_id, product, 2))
    [second] = await shop.place(shop.ask(client_id, product, 3))
    assert not isinstance(first, Refusal)
    assert not isinstance(second, Refusal)
    made = await admin.send(
        f"/console/clients/{client_id}/webhooks",
        f"/console/clients/{client_id}/webhooks",
        url="https://hooks.example.com/x",
        name="Shop",
        events="*",
    )
    assert made.status == 200, made.said
    today = shop.now.date().isoformat()
    report = await admin.send(
        "/console/reports", "/console/reports", kind="ORDERS", to=today, **{"from": today}
    )
    report_id = int(report.url.rsplit("/", 1)[1])
    await write_reports(desk, report_id)
    async with shop.parts.db.connection() as connection:
        hook_id = await connection.fetchval("SELECT max(id) FROM webhook_endpoints")
    hook = f"/console/clients/{client_id}/webhooks/{hook_id}"
    assert "on its way" in (await admin.send(hook, f"{hook}/test")).said
    await Sealer(shop.parts.db, desk.clock).drain()
    async with shop.parts.db.connection() as connection:
        batch_id = await connection.fetchval("SELECT max(id) FROM batches")
        line = await connection.fetchrow("SELECT wallet_id, id FROM ledger_transfers LIMIT 1")
    ids = (batch_id, hook_id, report_id, *line)
    return Busy(desk, admin, client_id, first.order, second.order, *ids)


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


async def test_every_mutation_needs_a_form_of_ours(busy: Busy) -> None:
    """Without the token, with another session's, from another site: 403, and nothing changed."""
    desk = busy.desk
    other = await desk.at(Role.VIEWER)
    foreign = (await other.get("/console/orders")).csrf
    own = (await busy.admin.get("/console/orders")).csrf
    before = await desk.shop.everything()
    let_in = []
    for pattern in MUTATIONS:
        path = busy.path(pattern).replace("/{act}", "/cancel")
        fields = {"reason": "because", "username": "x", "password": "y"}
        for csrf, origin in (("", ""), (foreign, ""), (own, "https://evil.example")):
            headers = {"Origin": origin, "Sec-Fetch-Site": "cross-site"} if origin else {}
            page = await busy.admin.post(path, fields | {"csrf": csrf}, follow=False, **headers)
            # A file is asked for before anything else of a form is read.
            if page.status not in (403, 400):
                let_in.append((path, page.status))
    assert not let_in
    assert await desk.shop.everything() == before


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


# What browsers have run where somebody forgot to escape, in every place a text may stand.
SEEDS = (
    "<script>hit()</script>",
    "<img src=x onerror=hit()>",
    "<svg/onload=hit()>",
    "<svg><animate onbegin=hit() attributeName=x>",
    "<body onload=hit()>",
    "<iframe srcdoc='<script>parent.hit()</script>'>",
    "<iframe src=javascript:hit()>",
    "<a href=javascript:hit()>x</a>",
    "<details open ontoggle=hit()>",
    "<math><mtext></table><img src=x onerror=hit()>",
    "<input autofocus onfocus=hit()>",
    "<form action=javascript:hit()><button>x",
    "<video><source onerror=hit()></video>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<base href=//evil.example/>",
    "<meta http-equiv=refresh content='0;url=javascript:hit()'>",
    "<style>@import '//evil.example/x'</style>",
    "<object data=javascript:hit()>",
    "<div hx-get=/console hx-trigger=load hx-on::load=hit()>",
    "<button popovertarget=me onclick=hit()>",
    "{{7*7}}{% raw %}",
    "${7*7}#{7*7}",
    "javascript:hit()",
    "=cmd|'/c calc'!A1",
    "&lt;script&gt;hit()&lt;/script&gt;",
)
BREAKS = ("", '"', "'", '">', "'>", "-->", "</title>", "</textarea>", "</option></select>", "]]>")
WRAPS = ("{}", "x {} y")
PAYLOADS = [b + wrap.format(seed) for seed in SEEDS for b in BREAKS for wrap in WRAPS][:500]
OUR_TAGS = frozenset(
    [
        *(
            "a",
            "b",
            "body",
            "br",
            "button",
            "caption",
            "code",
            "datalist",
            "dd",
            "details",
            "div",
            "dl",
        ),
        *("dt",),
        *("fieldset", "form", "h1", "h2", "h3", "head", "header", "html", "input", "kbd", "label"),
        *(
            "legend",
            "li",
            "link",
            "main",
            "meta",
            "nav",
            "noscript",
            "ol",
            "optgroup",
            "option",
            "output",
        ),
        *("p", "path", "pre", "progress", "script", "section", "select", "small", "span", "strong"),
        *("summary", "svg", "table", "tbody", "td", "textarea", "th", "thead", "time", "title"),
        *("tr", "ul", "img", "del", "ins"),
    ]
)


class Looks(HTMLParser):
    """Collects what of a page could run, or lead elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.bad: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag not in OUR_TAGS:
            self.bad.append(tag)
        for name, value in attrs:
            text = (value or "").strip().lower()
            if name.startswith(("on", "hx-on")) or name in ("style", "srcdoc", "formaction"):
                self.bad.append(f"{tag} {name}")
            if name in ("href", "src", "action") and not text.startswith(("/console", "#")):
                self.bad.append(f"{tag} {name}={value}")
        if tag == "script" and "src" not in named:
            self.bad.append("script without src")
        if tag == "img" and not (named.get("src") or "").startswith("/console/static/"):
            self.bad.append("img")


def bad_of(text: str) -> list[str]:
    looks = Looks()
    looks.feed(text)
    return looks.bad


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
