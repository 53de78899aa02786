"""What is asked of a house with a million orders: every page, by the routes, and every search."""

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta

from litestar.routes import HTTPRoute

from benchmarks.million import Filled
from rewards.entry.api import build_unwired
from rewards.infra.db import Tx
from rewards.sandbox.vendors import DEMOS

CONSOLE, PORTAL, ADMIN, CLIENTS = "/console", "/portal", "/admin/api/v1", "/api/v1"
METRICS = "/metrics"
# Not pages of somebody who is signed in.
NO_PAGES = re.compile(r"/static/|/sign-in|{rest}|{path")
PARAMETER = re.compile(r"{(\w+)(?::\w+)?}")

# What a page's list is narrowed to, behind its path.
NARROWED: Mapping[str, tuple[str, ...]] = {
    f"{CONSOLE}/orders": (
        *("?q=500000", "?q=PO-123456", "?q=buyer31@example.com", "?q=nothing-like-it"),
        *("?status=CANCELLED", "?sub_status=NOT_REFUNDED", "?status=DELIVERED&sort=OLDEST"),
        *("?client_id={client_id}", "?product_id=201", "?older_than=240"),
        *("?product_id=203&currency=USD&min_amount=100", "?currency=EUR&min_amount=9999"),
        "?email=orders@bigcorp.example&status=FAILED",
    ),
    f"{CONSOLE}/waiting": (
        *("?older_than=24", "?sub_status=VENDOR_ORDER_PENDING", "?client_id={client_id}"),
        "?product_id=203&older_than=24",
    ),
    f"{CONSOLE}/audit": (
        *("?action=order.", "?action=order.cancelled", "?client_id={client_id}", "?actor=STAFF"),
        *("?subject_kind=order&subject_id=5", "?address=203.0.113.9", "?reason=client"),
        "?request_id=req_0000000000000000000f4242",
    ),
    f"{CONSOLE}/mails": ("?state=FAILED", "?kind=LOW_BALANCE", "?client_id={client_id}"),
    f"{PORTAL}/orders": (
        *("?q=500000", "?q=PO-500000", "?status=PENDING", "?product_id=203"),
        "?placed_from=2026-01-01T00:00:00Z",
    ),
    f"{PORTAL}/money": ("?type=REFUND", "?order_id=500000"),
    f"{PORTAL}/requests": ("?status=ERROR", "?route=/api/v1/orders"),
}
# Of the staff's API, which has 50 ms: each filter of the search, and what looks at most.
SEARCHES = (
    *("", "sort=OLDEST", "id=500000", "q=500000", "q=500000-1", "q=nothing", "ref=PO-777777"),
    *("ref=shared-500", "ref=nobody", "email=BUYER31@example.com", "email=no@where.example"),
    *("q=orders@bigcorp.example", "email=orders@bigcorp.example&status=FAILED"),
    "email=orders@bigcorp.example&product_id=207&currency=USD&min_amount=99999",
    *("client_id={client_id}", "client_id={client_id}&status=PENDING"),
    *("client_id={client_id}&product_id=203", "client_id={client_id}&sub_status=COMPLETED"),
    "client_id={client_id}&currency=EUR&min_amount=9999",
    "client_id={client_id}&status=CANCELLED&currency=USD&min_amount=9999",
    "client_id={client_id}&product_id=203&currency=USD&min_amount=9999",
    *("client_id=999999", "product_id=201", "product_id=203", "product_id=999", "product_id=260"),
    *("product_id=201&sort=OLDEST", "product_id=203&currency=USD&min_amount=999999"),
    *("product_id=201&currency=USD&min_amount=10&max_amount=12", "product_id=203&status=FAILED"),
    "product_id=203&sub_status=COMPLETED&currency=USD&max_amount=1",
    "product_id=203&placed_from={week_ago}&currency=USD&min_amount=9999",
    *("status=PENDING", "status=CANCELLED", "status=FAILED", "status=DELIVERED"),
    *("status=PARTIALLY_DELIVERED", "sub_status=COMPLETED", "sub_status=RECONCILED"),
    *("sub_status=GV_LINK_CLAIMED", "sub_status=NOT_REFUNDED", "sub_status=PROCESSING"),
    *("status=DELIVERED&sort=OLDEST", "sub_status=COMPLETED&sort=OLDEST", "status=PLACED"),
    "status=CANCELLED&currency=EUR&min_amount=9999",
    "status=PENDING&currency=EUR&min_amount=9999&sort=OLDEST",
    *("older_than=1", "older_than=24", "older_than=700", "older_than=24&client_id={client_id}"),
    *("older_than=24&product_id=203", "older_than=24&status=PENDING&sort=OLDEST"),
    "older_than=24&currency=EUR&min_amount=9999",
    *("currency=EUR", "currency=JPY", "currency=USD&min_amount=9999"),
    *("currency=USD&min_amount=20&max_amount=21", "currency=EUR&min_amount=9999&sort=OLDEST"),
    *("placed_from={week_ago}", "placed_to={week_ago}", "placed_to={month_ago}"),
    "placed_from={week_ago}&placed_to={week_ago}",
    "placed_from={week_ago}&currency=EUR&min_amount=9999&sort=OLDEST",
    "placed_from={week_ago}&status=CANCELLED",
)
WAITS = (
    *("", "older_than=24", "older_than=720", "client_id={client_id}", "product_id=203"),
    *("status=PARTIALLY_DELIVERED", "sub_status=VENDOR_ORDER_PENDING", "sub_status=PROCESSING"),
    *("older_than=24&product_id=260", "client_id={client_id}&product_id=203&older_than=24"),
)
# What other routes of an API must be told, and what makes them look at most.
TOLD: Mapping[str, tuple[str, ...]] = {
    f"{ADMIN}/audit": (
        *("action=order.", "action=order.cancelled", "client_id={client_id}", "actor=STAFF"),
        *("subject_kind=order&subject_id=5", "address=203.0.113.1", "reason=client"),
        *("request_id=req_0000000000000000000f4242", "staff_id=3", "reason=nobody"),
        "action=order.placed&client_id={other_client_id}&from={week_ago}",
        "action=order.&actor=STAFF&client_id={other_client_id}&address=203.0.113.9",
        "action=nothing.&client_id={client_id}",
    ),
    f"{ADMIN}/statements": ("from={first_day}&to={yesterday}&client={client_id}",),
    f"{ADMIN}/ledger/accounts": ("", "from={first_day}"),
    f"{ADMIN}/wallets": ("", "currency=EUR", "status=FROZEN", "currency=USD&below=1", "client=77"),
    f"{ADMIN}/fx-rates/history": ("source=EUR&target=USD",),
    f"{ADMIN}/wallets/{{wallet_id}}/transactions": ("", "type=REFUND", "type=TOPUP", "order_id=5"),
    f"{ADMIN}/notices": ("", "client_id={client_id}", "state=FAILED", "kind=LOW_BALANCE"),
    f"{ADMIN}/webhooks": ("", "failing=true"),
    f"{ADMIN}/clients": ("", "name=Bench 77", "search=ench 7"),
    f"{ADMIN}/inventory/forecast": ("", "days=30", "product_id=203"),
    f"{CLIENTS}/statements": ("from={first_day}&to={yesterday}",),
    f"{CLIENTS}/usage": ("from={first_day}&to={yesterday}",),
    f"{CLIENTS}/orders": (
        *("", "page=1000", "status=DELIVERED", "status=PENDING", "sub_status=COMPLETED"),
        *("product_id=203", "product_id=203&status=FAILED", "ref=PO-500000", "ref=nobody"),
        "placed_from={week_ago}&status=CANCELLED",
    ),
    f"{CLIENTS}/orders/summary": ("", "from={first_day}"),
    f"{CLIENTS}/transactions": ("", "page=1000", "type=REFUND", "type=TOPUP", "direction=CREDIT"),
    f"{CLIENTS}/requests": ("", "status=ERROR", "route=/api/v1/orders", "request_id=nobody"),
    f"{CLIENTS}/events": ("", "after=100", "type=order.failed"),
    f"{CLIENTS}/products/{{product_id}}/availability": ("denomination=40&quantity=1",),
}
# A search and what waits are asked above; of a file there is none, and no vendor answers.
NOT_ASKED = (
    *(f"{ADMIN}/orders", f"{ADMIN}/orders/waiting", f"{CLIENTS}/transactions/{{transaction_id}}"),
    *(f"{ADMIN}/reports/", f"{ADMIN}/stock-orders/"),
    *(f"{ADMIN}/audit/export", f"{CLIENTS}/subcategories/", METRICS),
)


def pages() -> list[str]:
    """The path of every page that shows something, as routes spell it."""
    return [path for path in _readable((CONSOLE, PORTAL)) if not NO_PAGES.search(path)]


def reads() -> list[str]:
    """The same of what both APIs tell, but for what is searched."""
    others = [path for path in _readable((ADMIN, CLIENTS, METRICS)) if path not in NOT_ASKED]
    return [path for path in others if not (path + "/").startswith(NOT_ASKED[3:])]


def _readable(begin: tuple[str, ...]) -> list[str]:
    return sorted(
        PARAMETER.sub(r"{\1}", route.path_format)
        for route in build_unwired().routes
        if isinstance(route, HTTPRoute)
        and route.path.startswith(begin)
        and any("GET" in handler.http_methods for handler in route.route_handlers)
    )


def asked(ids: Mapping[str, object]) -> Iterator[str]:
    """Each path with its ids, as it is and narrowed; then what is asked of the API alone."""
    for path in pages():
        for more in ("", *NARROWED.get(path, ())):
            yield fit(path + more, ids)
    for more in SEARCHES:
        yield fit(f"{ADMIN}/orders?limit=50&{more}", ids)
    for more in WAITS:
        yield fit(f"{ADMIN}/orders/waiting?limit=50&{more}", ids)
    for path in reads():
        for more in TOLD.get(path, ("",)):
            yield fit(f"{path}?{more}", ids)


def fit(path: str, ids: Mapping[str, object]) -> str:
    """The path with its ids; of what a new one names SOMETHING must know where it is."""
    return PARAMETER.sub(lambda found: str(ids[found[1]]), path)


async def ids_of(tx: Tx, filled: Filled) -> dict[str, object]:
    """For each name in a path something that is there, and the busiest of its kind."""
    found: dict[str, object] = {
        "client_id": filled.client_id,
        "product_id": 203,
        "adapter": DEMOS[0].adapter,
        "week_ago": f"{filled.at - timedelta(days=7):%Y-%m-%dT%H:%M:%SZ}",
        "month_ago": f"{filled.at - timedelta(days=29):%Y-%m-%dT%H:%M:%SZ}",
        "today": f"{filled.at:%Y-%m-%d}",
        "yesterday": f"{filled.at - timedelta(days=1):%Y-%m-%d}",
        "first_day": f"{filled.at - timedelta(days=28):%Y-%m-%d}",
        "other_client_id": filled.client_id + 500,
    }
    for name, (table, condition) in SOMETHING.items():
        found[name] = await tx.fetchval(
            f"SELECT min(id) FROM {table} WHERE {condition} AND $1 > 0", filled.client_id
        )
    return found


SOMETHING = {
    "order_id": ("orders", "client_id = $1 AND status = 'PENDING' AND email IS NOT NULL"),
    "batch_id": ("batches", "name = 'bench 0'"),
    "hook_id": ("webhook_endpoints", "client_id = $1"),
    "vendor_id": ("vendors", "true"),
    "wallet_id": ("wallets", "client_id = $1"),
    "account_id": ("wallets", "client_id = $1"),
    "approval_id": ("approvals", "true"),
    "alert_id": ("alerts", "true"),
    "report_id": ("reports", "true"),
    "stock_order_id": ("stock_orders", "true"),
    "purchase_id": ("vendor_orders", "true"),
    "vendor_order_id": ("vendor_orders", "true"),
    "transaction_id": ("ledger_transfers", "client_id = $1"),
    "line_id": ("ledger_transfers", "client_id = $1"),
    "staff_id": ("staff_users", "true"),
    "webhook_id": ("webhook_endpoints", "client_id = $1"),
    "delivery_id": ("webhook_deliveries", "client_id = $1"),
    "category_id": ("categories", "true"),
    "notice_id": ("notices", "true"),
}
