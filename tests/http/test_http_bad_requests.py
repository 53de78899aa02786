"""Paths, methods, queries and headers nobody should send; and those that every answer carries."""

from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import pytest

from tests.http.bad_input import FINE_BODY, at
from tests.http.calling import ORDERS, Api

TEXTS = [
    "x",
    "1.5",
    "-1",
    "0",
    "1e3",
    "٣",
    "9" * 30,
    "\x00",
    "\ud800".encode("utf-8", "surrogatepass"),
]
DATES = ["x", "2026-13-01", "2026-02-30", "0000-01-01", "99999-01-01", "1", "9" * 30, "\x00"]
CHOICES = ["x", "DELIVERED,FAILED", "\x00", "ﬀ", "x" * 5_000]
PAGED = [
    (ORDERS, 10, 100),
    ("/api/v1/products", 50, 10_000),
    ("/api/v1/wallets", 50, 10_000),
    ("/api/v1/transactions", 50, 10_000),
    ("/api/v1/webhooks", 50, 500),
    ("/api/v1/categories", 50, 10_000),
    ("/api/v1/subcategories", 50, 10_000),
    ("/api/v1/countries", 50, 10_000),
    ("/api/v1/currencies", 50, 10_000),
    ("/admin/api/v1/clients", 50, 500),
    ("/admin/api/v1/staff", 50, 500),
]
QUERIES: list[tuple[str, str, list[Any]]] = [
    *[(path, name, TEXTS) for path, _, _ in PAGED for name in ("page", "limit")],
    *[(path, "limit", [str(most + 1)]) for path, _, most in PAGED],
    *[(path, "page", ["1000001"]) for path, _, _ in PAGED],
    (ORDERS, "cursor", ["x", "!!!", "MS4x=", "A" * 5_000, "\x00", "MQ", "LTEuMQ", "ï"]),
    (ORDERS, "status", CHOICES),
    (ORDERS, "sub_status", CHOICES),
    (ORDERS, "product_id", TEXTS),
    (ORDERS, "ref", ["\x00", "x" * 129, "a\nb"]),
    (ORDERS, "placed_from", [*DATES, "2026-01-01", "2026-01-01T00:00:00"]),
    (ORDERS, "placed_to", [*DATES, "2026-01-01", "2026-01-01T00:00:00"]),
    (f"{ORDERS}/summary", "from", DATES),
    (f"{ORDERS}/summary", "to", DATES),
    (
        "/api/v1/products",
        "sort",
        ["x", "--name", "{", "{}x", '{"field":1}', "[" * 100, "x" * 5_000],
    ),
    ("/api/v1/products", "delivery_time", CHOICES),
    ("/api/v1/products", "country", ["x", "GERMANY", "1", "\x00", "٣٣"]),
    ("/api/v1/products", "country_id", ["x", "-1", "9" * 30]),
    ("/api/v1/products", "currency", ["x", "DOLLAR", "\x00"]),
    ("/api/v1/products", "currency_id", ["x", "-1", "9" * 30]),
    ("/api/v1/products", "category", ["x" * 5_000, "9" * 30]),
    ("/api/v1/products", "search", ["x" * 5_000]),
    ("/api/v1/categories", "active_only", ["x", "2", "\x00"]),
    ("/api/v1/categories", "include_subcategories", ["x", "2"]),
    (
        "/api/v1/products/6/availability",
        "denomination",
        ["", "x", "NaN", "1e999", "-1", "0", "1_0"],
    ),
    (
        "/api/v1/products/6/availability?denomination=25",
        "quantity",
        ["x", "1.5", "-1", "0", "9" * 30],
    ),
    ("/api/v1/wallets", "currency", ["x", "DOLLAR", "\x00"]),
    ("/api/v1/wallets", "type", CHOICES),
    ("/api/v1/wallets", "status", CHOICES),
    ("/api/v1/wallets", "is_active", ["x", "2", "\x00"]),
    ("/api/v1/transactions", "cursor", ["x", "!!!", "A" * 5_000, "\x00"]),
    ("/api/v1/transactions", "wallet_id", TEXTS),
    ("/api/v1/transactions", "order_id", TEXTS),
    ("/api/v1/transactions", "type", CHOICES),
    ("/api/v1/transactions", "direction", CHOICES),
    ("/api/v1/transactions", "transaction_type", CHOICES),
    ("/api/v1/transactions", "from", DATES),
    ("/api/v1/transactions", "to", DATES),
    ("/admin/api/v1/clients", "name", ["x" * 5_000, "\x00"]),
    ("/admin/api/v1/inventory/batches", "limit", [*TEXTS, "501"]),
    ("/admin/api/v1/inventory/batches", "before", TEXTS),
    ("/admin/api/v1/inventory/batches/1/rows", "limit", [*TEXTS, "10001"]),
    ("/admin/api/v1/inventory/batches/1/rows", "after", TEXTS),
    ("/admin/api/v1/inventory/depth", "product_id", TEXTS),
    ("/admin/api/v1/inventory/depth", "limit", [*TEXTS, "101"]),
    (
        "/admin/api/v1/inventory/depth",
        "cursor",
        [
            "x",
            "6",
            "6.2500",
            "6.2500.",
            "6.2500.usd",
            "6.-1.USD",
            "6.2500.USD\n",
            "٣.1.USD",
            "\x00",
        ],
    ),
    ("/admin/api/v1/inventory/forecast", "product_ids", TEXTS),
]


@pytest.mark.parametrize(
    ("path", "name", "values"), QUERIES, ids=[f"{path} {name}" for path, name, _ in QUERIES]
)
async def test_a_query_that_says_nothing_sensible_is_refused(
    api: Api, path: str, name: str, values: list[Any]
) -> None:
    who = await api.as_staff() if path.startswith("/admin") else api.key
    wrong = []
    for value in values:
        sign = "&" if "?" in path else "?"
        answer = await api.call("GET", f"{path}{sign}{name}={quote(value)}", shown=who)
        if answer.status != 400:
            wrong.append((value[:40], answer.status, answer.text[:200]))
        else:
            assert answer.refusal[1] == "BadRequest"
            assert answer.json["code"] == "INVALID_FIELD"
    assert not wrong


async def test_an_empty_parameter_counts_as_absent(api: Api) -> None:
    for path, name, _ in QUERIES:
        if name == "denomination":
            continue
        who = await api.as_staff() if path.startswith("/admin") else api.key
        sign = "&" if "?" in path else "?"
        answer = await api.call("GET", f"{path}{sign}{name}=", shown=who)
        assert answer.status == 200 or "batches/1/rows" in path, (path, name, answer.text)


@pytest.mark.parametrize("text", ["%FF", "%ED%A0%80", "%00", "%", "%zz", "a%0d%0aX-Evil:1"])
async def test_odd_bytes_in_a_query_break_nothing(api: Api, text: str) -> None:
    for path in (f"{ORDERS}?ref={text}", f"/api/v1/products?search={text}"):
        answer = await api.call("GET", path)
        assert answer.status in (200, 400)
        assert "X-Evil" not in answer.headers


IDS = ["x", "0", "-1", "1.5", "9" * 30, "1e3", "%00", "%FF", "..", "%D9%A3", "1%20", "007x", "~"]
BY_ID = [
    (f"{ORDERS}/{{}}", "Order not found"),
    (f"{ORDERS}/{{}}/history", "Order not found"),
    ("/api/v1/products/{}", "Product not found"),
    ("/api/v1/wallets/{}", "Wallet not found"),
    ("/api/v1/transactions/{}", "Transaction not found"),
    ("/api/v1/webhooks/{}", "Webhook not found"),
    ("/api/v1/webhooks/{}/deliveries", "Webhook not found"),
    ("/api/v1/categories/{}", "Category not found"),
    ("/api/v1/subcategories/{}", "Sub-category not found"),
    ("/admin/api/v1/clients/{}", "Client not found"),
    ("/admin/api/v1/inventory/batches/{}", "Batch not found"),
]


@pytest.mark.parametrize(("path", "message"), BY_ID, ids=[path for path, _ in BY_ID])
async def test_what_is_no_id_answers_as_an_unknown_one(api: Api, path: str, message: str) -> None:
    who = await api.as_staff() if path.startswith("/admin") else api.key
    for text in ["999999999", *IDS]:
        answer = await api.call("GET", path.format(text), shown=who)
        status, error, said = answer.refusal
        assert (status, error) == (404, "NotFound"), (text, answer.text)
        assert said.lower().replace("-", "") in (message.lower().replace("-", ""), "not found")


NOWHERE = [
    *(
        "/",
        "/nothing",
        "/api",
        "/api/v1",
        "/api/v1/",
        "/api/v1/nothing",
        "/api/v2/orders",
        "/admin",
    ),
    *("/admin/api/v1/nothing", "/api/v1/orders/1/2/3", "/api/v1/orders/1/history/x"),
    *("/%00", "/%FF", "/" + "x" * 5_000, "/openapi.yaml", "/favicon.ico"),
]


@pytest.mark.parametrize("path", NOWHERE, ids=[path[:40] for path in NOWHERE])
async def test_an_unknown_path_answers_404_in_the_contracts_form(api: Api, path: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        answer = await api.call(method, path, shown={})
        assert answer.refusal == (404, "NotFound", "Not found")


METHODS = [
    (ORDERS, {"GET", "POST"}),
    (f"{ORDERS}/1", {"GET"}),
    ("/api/v1/products", {"GET"}),
    ("/api/v1/products/6/charges", {"POST"}),
    ("/auth/login", {"POST"}),
    ("/api/v1/wallets", {"GET"}),
    ("/api/v1/webhooks", {"GET", "POST"}),
    ("/api/v1/webhooks/1", {"GET", "PATCH", "DELETE"}),
    ("/admin/auth/login", {"POST"}),
    ("/admin/api/v1/clients/{client}", {"GET", "PATCH"}),
    ("/openapi.json", {"GET"}),
    ("/api/v1/status", {"GET"}),
]


@pytest.mark.parametrize(("path", "allowed"), METHODS, ids=[path for path, _ in METHODS])
async def test_options_names_every_method_of_a_path(api: Api, path: str, allowed: set[str]) -> None:
    answer = await api.call("OPTIONS", at(path, api), shown={})
    assert (answer.status, answer.text) == (204, "")
    offered = {name.strip() for name in answer.headers["Allow"].split(",")}
    assert offered - {"OPTIONS"} == allowed
    assert "X-Request-Id" in answer.headers
    assert (await api.call("OPTIONS", "/nothing")).refusal == (404, "NotFound", "Not found")


@pytest.mark.parametrize(("path", "allowed"), METHODS, ids=[path for path, _ in METHODS])
async def test_an_unknown_method_answers_405_and_names_the_known_ones(
    api: Api, path: str, allowed: set[str]
) -> None:
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"} - allowed:
        answer = await api.call(method, at(path, api))
        assert answer.refusal == (405, "MethodNotAllowed", "Method not allowed"), (method, path)
        offered = {name.strip() for name in answer.headers["Allow"].split(",")}
        assert offered - {"OPTIONS", "HEAD"} == allowed


@pytest.mark.parametrize(
    ("given", "echoed"),
    [
        ("mine-1.2_3", True),
        ("x" * 64, True),
        ("x" * 65, False),
        ("a b", False),
        ("ä", False),
        ("", False),
        ("<script>", False),
    ],
)
async def test_a_request_id_is_echoed_or_made(api: Api, given: str, echoed: bool) -> None:
    for path in ("/api/v1/status", f"{ORDERS}/0", "/nothing", ORDERS):
        answer = await api.call("GET", path, headers={"X-Request-Id": given})
        found = answer.headers["X-Request-Id"]
        assert (found == given) is echoed
        assert echoed or found.startswith("req_")
        if answer.status >= 400:
            assert answer.json["request_id"] == found


async def test_pages_of_orders_follow_each_other_to_the_end(api: Api) -> None:
    for _ in range(5):
        assert (await api.call("POST", ORDERS, raw=FINE_BODY)).status == 200
    seen: list[int] = []
    path = f"{ORDERS}?limit=2&status=delivered"
    for number in range(1, 1000):
        answer = await api.call("GET", path)
        seen += [order["id"] for order in answer.json]
        total = int(answer.headers["X-Total-Count"])
        assert answer.headers["X-Page"] == str(number)
        assert answer.headers["X-Per-Page"] == "2"
        assert answer.headers["X-Page-Size"] == str(len(answer.json))
        assert int(answer.headers["X-Total-Pages"]) == -(-total // 2)
        links = read_links(answer.headers["Link"])
        assert parse_qsl(urlsplit(links["first"]).query)[-1] == ("page", "1")
        assert ("prev" in links) is (number > 1)
        assert (answer.headers["X-Has-More"] == "true") is ("next" in links)
        if "next" not in links:
            break
        path = links["next"]
    assert len(seen) == total == len(set(seen))
    assert seen == sorted(seen, reverse=True)
    deep, path = [], f"{ORDERS}?limit=3&status=delivered"
    while path:
        answer = await api.call("GET", path)
        deep += [order["id"] for order in answer.json]
        cursor = answer.headers.get("X-Next-Cursor")
        path = f"{ORDERS}?limit=3&status=delivered&cursor={cursor}" if cursor else ""
    assert deep == seen


def read_links(header: str) -> dict[str, str]:
    pairs = [part.split(">; rel=") for part in header.split(", ")]
    return {rel.strip('"'): target.lstrip("<") for target, rel in pairs}


@pytest.mark.parametrize(("path", "size", "_"), PAGED, ids=[path for path, _, _ in PAGED])
async def test_every_list_has_the_paging_headers(api: Api, path: str, size: int, _: int) -> None:
    who = await api.as_staff() if path.startswith("/admin") else api.key
    answer = await api.call("GET", path, shown=who)
    assert isinstance(answer.json, list)
    assert answer.headers["X-Per-Page"] == str(size)
    assert int(answer.headers["X-Page-Size"]) == len(answer.json) <= size
    assert int(answer.headers["X-Total-Count"]) >= len(answer.json)
    beyond = await api.call("GET", f"{path}?page=1000000", shown=who)
    assert (beyond.status, beyond.json) == (200, [])
    assert beyond.headers["X-Has-More"] == "false"
