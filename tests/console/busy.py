"""A desk in the middle of its work, and the pages that show it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from litestar.routes import HTTPRoute

from rewards.core.errors import Refusal
from rewards.entry.api import build_unwired
from rewards.orders.model import Order
from rewards.staff.model import Role
from rewards.webhooks.sealing import Sealer
from tests.console.desk import Desk, Visitor
from tests.console.watched import mailed
from tests.console.writing import write_reports

STATEMENTS_MAX = 12
HOOK_URL = "http://127.0.0.1:9/hook"


def routes() -> Iterator[tuple[str, str]]:
    """Method and path of every page."""
    for route in build_unwired().routes:
        if isinstance(route, HTTPRoute) and route.path.startswith("/console"):
            for handler in route.route_handlers:
                for method in handler.http_methods:
                    if method in ("GET", "POST"):
                        yield str(method), re.sub(r":\w+}", "}", route.path_format)


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
    notice_id: int

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
            "notice_id": self.notice_id,
        }
        return re.sub(r"{(\w+)}", lambda found: str(ids.get(found[1], 1)), pattern)


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
    ids = (batch_id, hook_id, report_id, *line, await mailed(desk, first.order))
    return Busy(desk, admin, client_id, first.order, second.order, *ids)
