"""Finding orders through the API, searches that are kept, and notes on orders."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rewards.orders.model import Order
from rewards.staff.model_saved import SAVED_MAX
from tests.staff.office import Office, open_office


@pytest.fixture
async def office(dsn: str, tmp_path: Path) -> AsyncIterator[Office]:
    async with open_office(dsn, tmp_path) as made:
        yield made


async def placed(office: Office, quantity: int = 1, stock: int = 0, **facts: Any) -> Order:
    shop = office.shop
    product = shop.parts.catalog.product(6) or await shop.product()
    if stock:
        await shop.stock(product, stock)
    client = await shop.client(minor=100_000)
    return (await shop.place_one(shop.ask(client, product, quantity, **facts))).order


async def found(office: Office, query: str, who: str = "viewer") -> list[int]:
    return [order["id"] for order in await office.ask(who, "GET", f"/orders?{query}")]


async def test_each_parameter_narrows_the_search(office: Office) -> None:
    first = await placed(office, email="Jo@Example.com", ref="PO-1", stock=1)
    second = await placed(office, 3, ref="PO-2")
    later = (second.placed_at + timedelta(hours=30)).isoformat().replace("+00:00", "Z")
    for query, expected in (
        ("", [second, first]),
        ("sort=oldest", [first, second]),
        (f"id={first.id}", [first]),
        ("ref=PO-2", [second]),
        (f"client_id={second.client_id}", [second]),
        ("product_id=6&status=delivered", [first]),
        ("sub_status=vendor_order_pending", [second]),
        ("email=jo@example.com", [first]),
        ("currency=usd&min_amount=70.00", [second]),
        ("currency=USD&max_amount=70", [first]),
        (f"placed_from={later}", []),
        (f"placed_to={later}", [second, first]),
        (f"placed_from={first.placed_at:%Y-%m-%d}", [second, first]),
        (f"placed_to={first.placed_at:%Y-%m-%d}", [second, first]),
        (f"placed_to={first.placed_at - timedelta(days=1):%Y-%m-%d}", []),
        ("older_than=1", []),
        (f"q={first.id}-1", [first]),
        ("q=PO-1", [first]),
        ("q=JO@example.com", [first]),
        ("q=&status=&id=", [second, first]),
        ("status=DELIVERED&sub_status=PARTIAL", []),
    ):
        assert await found(office, query) == [order.id for order in expected], query
    for query in (
        "id=x",
        "status=lost",
        "min_amount=5",
        "currency=USD&min_amount=five",
        "currency=USD&min_amount=5.001",
        "currency=XYZ",
        "older_than=0",
        "older_than=87601",
        "placed_from=yesterday",
        "sort=best",
        "q=%00",
        "cursor=x",
        "ref=" + "r" * 129,
    ):
        told = await office.ask("viewer", "GET", f"/orders?{query}", status=400)
        assert told["code"] == "INVALID_FIELD", query


async def test_searches_are_kept_for_oneself_or_for_all(office: Office) -> None:
    body = {"name": "Stuck", "query": {"status": "PENDING", "older_than": "24", "q": ""}}
    mine = await office.ask("operations", "POST", "/saved-searches", body, 201)
    assert mine["query"] == {"status": "PENDING", "older_than": "24"}
    shared = await office.ask("support", "POST", "/saved-searches", body | {"shared": True}, 201)

    async def names(who: str) -> list[tuple[int, bool]]:
        told = await office.ask(who, "GET", "/saved-searches")
        return [(each["id"], each["mine"]) for each in told]

    assert await names("operations") == [(mine["id"], True), (shared["id"], False)]
    assert await names("viewer") == [(shared["id"], False)]
    path = f"/saved-searches/{mine['id']}"
    assert await office.refused("viewer", "DELETE", path, status=404) == "SAVED_SEARCH_NOT_FOUND"
    theirs = f"/saved-searches/{shared['id']}"
    assert await office.refused("viewer", "DELETE", theirs, status=403) == "NOT_YOUR_SAVED_SEARCH"
    assert await office.status("operations", "DELETE", path) == 204
    # Whoever shared it may be gone.
    assert await office.status("admin", "DELETE", theirs) == 204
    assert await names("operations") == []
    async with office.shop.parts.db.connection() as connection:
        rows = await connection.fetch(
            "SELECT action, facts FROM audit_entries WHERE subject_kind = 'saved_search'"
            " ORDER BY id"
        )
    assert [row["action"].rpartition(".")[2] for row in rows] == ["created"] * 2 + ["deleted"] * 2
    assert rows[0]["facts"]["fields"] == ["older_than", "status"]


async def test_a_search_that_could_not_be_made_is_not_kept(office: Office) -> None:
    for body, message in (
        ({"query": {"status": "PENDING"}}, "Invalid Name: min"),
        ({"name": "n" * 81, "query": {"status": "PENDING"}}, "Invalid Name: max"),
        ({"name": "All"}, "Invalid Query: required"),
        ({"name": "All", "query": {"q": ""}}, "Invalid Query: required"),
        ({"name": "All", "query": {"status": "LOST"}}, "Invalid Status: oneof"),
        ({"name": "All", "query": {"cursor": "LTE"}}, "Invalid Query: unknown"),
        ({"name": "All", "query": {"min_amount": "5"}}, "Invalid Currency: required"),
        ({"name": "All", "query": {"id": 5}}, "Invalid request body format"),
    ):
        before = await office.shop.everything()
        told = await office.ask("support", "POST", "/saved-searches", body, 400)
        assert told["message"] == message
        assert await office.shop.everything() == before
    body = {"name": "One", "query": {"status": "PENDING"}}
    await office.ask("support", "POST", "/saved-searches", body, 201)
    taken = await office.refused("support", "POST", "/saved-searches", body)
    assert taken == "SAVED_SEARCH_NAME_TAKEN"
    async with office.shop.parts.db.transaction() as tx:
        await tx.execute(
            "INSERT INTO saved_searches (staff_id, name, query, shared, created_at)"
            " SELECT $1, 'more ' || n, '{}', false, now() FROM generate_series(2, $2) AS n",
            *(office.people["support"], SAVED_MAX),
        )
    full = await office.refused("support", "POST", "/saved-searches", body | {"name": "Two"})
    assert full == "TOO_MANY_SAVED_SEARCHES"


async def test_notes_are_added_for_colleagues_and_stay(office: Office) -> None:
    order = await placed(office)
    path = f"/orders/{order.id}/notes"
    for text in ("Called their desk.\nThey call back.", "They did."):
        note = await office.ask("support", "POST", path, {"text": f" {text}\r\n"}, 201)
        assert (note["text"], note["author"]) == (text, "support")
    told = await office.ask("viewer", "GET", path)
    assert [each["text"] for each in told] == ["They did.", "Called their desk.\nThey call back."]
    older = await office.ask("viewer", "GET", f"{path}?limit=1&cursor={told[0]['id']}")
    assert older == told[1:]
    assert await office.refused("viewer", "POST", path, {"text": "hm"}, 403) == "FORBIDDEN"
    for who, method, body in (("viewer", "GET", None), ("support", "POST", {"text": "hm"})):
        told = await office.refused(who, method, "/orders/999999/notes", body, 404)
        assert told == "ORDER_NOT_FOUND"
    for text in ("", " \n ", "x" * 2_001, "a\x00b", "a\tb"):
        assert await office.refused("support", "POST", path, {"text": text}, 400) == "INVALID_FIELD"
    async with office.shop.parts.db.connection() as connection:
        facts = await connection.fetch(
            "SELECT facts FROM audit_entries WHERE action = 'order.noted'"
        )
    assert [row["facts"]["characters"] for row in facts] == [34, 9]
    assert "desk" not in str(facts)
