"""Staff and orders, through the whole application: retry, cancel, and who did it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from rewards.entry import doctor
from rewards.entry.api import build_app
from rewards.infra import checks
from rewards.orders.model import Order
from rewards.staff.model import Role
from rewards.wallets.model import WalletStatus
from tests.shop import Shop, open_shop
from tests.staff.signed_in import bearer, sign_in

API = "/admin/api/v1/orders"


@dataclass
class Desk:
    """A shop, its application, and a member of the operations team who is logged in."""

    shop: Shop
    http: httpx.AsyncClient
    headers: dict[str, str]
    staff_id: int
    dsn: str

    async def post(self, path: str, body: Any = None, status: int = 200) -> dict[str, Any]:
        answer = await self.http.post(API + path, json=body, headers=self.headers)
        assert answer.status_code == status, answer.text
        told: dict[str, Any] = answer.json()
        return told

    async def get(self, path: str, status: int = 200) -> httpx.Response:
        answer = await self.http.get(API + path, headers=self.headers)
        assert answer.status_code == status, answer.text
        return answer

    async def refused(self, path: str, body: Any, status: int) -> dict[str, Any]:
        before = await self.shop.everything()
        told = await self.post(path, body, status)
        assert await self.shop.everything() == before
        return told

    async def waiting_order(self, quantity: int = 3, *, stock: int = 0) -> Order:
        """An order for 3 of which `stock` were there."""
        product = await self.shop.product()
        client = await self.shop.client(minor=100_000)
        if stock:
            await self.shop.stock(product, stock)
        return (await self.shop.place_one(self.shop.ask(client, product, quantity))).order

    async def trail(self, order_id: int) -> list[dict[str, Any]]:
        async with self.shop.parts.db.connection() as connection:
            rows = await connection.fetch(
                "SELECT * FROM audit_entries WHERE subject_kind = 'order' AND subject_id = $1"
                " ORDER BY id",
                order_id,
            )
        return [dict(row) for row in rows]

    async def assert_sound(self) -> None:
        found = await checks.run(self.dsn, doctor.all_checks())
        assert [
            (one.name, one.rows, one.problem) for one in found if one.breaches or one.problem
        ] == []


@pytest.fixture
async def desk(dsn: str, tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_shop(dsn, tmp_path) as shop:
        async with shop.parts.db.connection() as connection:
            staff_id = await connection.fetchval(
                "INSERT INTO staff_users (username, role, password_hash, created_at)"
                " VALUES ('olga', $1, 'none', now()) RETURNING id",
                Role.OPERATIONS,
            )
            await sign_in(connection, staff_id)
        transport = httpx.ASGITransport(build_app(shop.parts), client=("192.0.2.7", 4711))
        async with httpx.AsyncClient(transport=transport, base_url="http://desk") as http:
            headers = bearer(shop.parts.vault, staff_id, shop.now)
            yield Desk(shop, http, headers, staff_id, dsn)


async def test_a_retry_delivers_what_has_come_in_since(desk: Desk) -> None:
    order = await desk.waiting_order()
    product = desk.shop.parts.catalog.product(order.product_id)
    assert product is not None
    unchanged = await desk.post(f"/{order.id}/retry")
    assert (unchanged["status"], unchanged["sub_status"]) == ("PENDING", "VENDOR_ORDER_PENDING")
    await desk.shop.stock(product, 2)
    partly = await desk.post(f"/{order.id}/retry", {"reason": "stock came in"})
    assert (partly["status"], partly["fulfilledFromCache"]) == ("PARTIALLY_DELIVERED", 2)
    await desk.shop.stock(product, 5)
    whole = await desk.post(f"/{order.id}/retry", {})
    assert (whole["status"], whole["sub_status"]) == ("DELIVERED", "COMPLETED")
    # Codes are for the client, not for staff.
    assert whole["vouchers"] == []
    assert [item["status"] for item in whole["items"]] == ["DELIVERED"] * 3
    assert not any(code in str(whole) for code in desk.shop.codes)
    trail = await desk.trail(order.id)
    assert [row["action"] for row in trail] == [
        "order.placed",
        "order.retry_found_nothing",
        "order.retried",
        "order.retried",
    ]
    assert {(row["actor_kind"], row["actor_id"], row["address"]) for row in trail[1:]} == {
        ("STAFF", desk.staff_id, "192.0.2.7")
    }
    assert trail[2]["reason"] == "stock came in"
    assert (await desk.refused(f"/{order.id}/retry", None, 409))["code"] == "ORDER_NOT_RETRYABLE"
    await desk.assert_sound()


async def test_a_cancel_refunds_the_rest_and_says_why(desk: Desk) -> None:
    order = await desk.waiting_order(stock=1)
    assert order.status == "PARTIALLY_DELIVERED"
    before = await desk.shop.balance(order.client_id)
    told = await desk.post(f"/{order.id}/cancel", {"reason": "cannot be sourced"})
    assert (told["status"], told["sub_status"]) == ("CANCELLED", "REFUNDED")
    refunded = await desk.shop.balance(order.client_id) - before
    assert refunded == order.amount_minor * 2 // 3
    assert told["refunded_amount"] == refunded / 100
    entry = (await desk.trail(order.id))[-1]
    assert (entry["action"], entry["reason"], entry["actor_id"]) == (
        "order.cancelled",
        "cannot be sourced",
        desk.staff_id,
    )
    again = await desk.refused(f"/{order.id}/cancel", {"reason": "again"}, 409)
    assert again["code"] == "ORDER_NOT_CANCELLABLE"
    await desk.assert_sound()


async def test_named_items_of_a_delivered_order_are_recalled(desk: Desk) -> None:
    order = await desk.waiting_order(stock=3)
    assert order.status == "DELIVERED"
    told = await desk.post(
        f"/{order.id}/cancel", {"reason": "recall", "item_ids": [f"{order.id}-2"]}
    )
    assert (told["status"], told["refunded_amount"]) == (
        "CANCELLED",
        (order.amount_minor // 3) / 100,
    )
    assert await desk.shop.item_states(order.id) == ["DELIVERED", "REVOKED", "DELIVERED"]
    twice = await desk.refused(
        f"/{order.id}/cancel", {"reason": "recall", "item_ids": [f"{order.id}-2"]}, 409
    )
    assert twice["code"] == "ORDER_NOT_CANCELLABLE"
    await desk.assert_sound()


async def test_staff_see_every_clients_orders_and_no_code(desk: Desk) -> None:
    product = await desk.shop.product()
    await desk.shop.stock(product, 3)
    placed = []
    for _ in range(3):
        client = await desk.shop.client(minor=100_000)
        placed += [
            (await desk.shop.place_one(desk.shop.ask(client, product, quantity))).order
            for quantity in (1, 2)
        ]
    seen: list[int] = []
    cursor = ""
    for _ in range(3):
        answer = await desk.get(f"?limit=2{cursor}")
        seen += [order["id"] for order in answer.json()]
        cursor = f"&cursor={answer.headers.get('x-next-cursor')}"
    assert answer.headers["x-has-more"] == "false"
    assert seen == sorted((order.id for order in placed), reverse=True)
    last = placed[-1]
    ones = (await desk.get(f"?client_id={last.client_id}&limit=1")).json()
    twos = await desk.get(f"?client_id={last.client_id}&status=pending")
    assert [order["id"] for order in ones] == [last.id]
    assert {order["status"] for order in twos.json()} == {"PENDING"}
    assert (await desk.get("?status=failed")).json() == []
    first = (await desk.get(f"/{placed[0].id}")).json()
    assert (first["client_id"], first["vouchers"]) == (placed[0].client_id, [])
    assert [item["status"] for item in first["items"]] == ["DELIVERED"]
    [act] = first["history"]
    assert (act["actor"], act["actor_id"]) == ("CLIENT", placed[0].client_id)
    assert act["path"][-1] == "DELIVERED·COMPLETED"
    assert not any(code in str(first) for code in desk.shop.codes)
    for query in ("?status=lost", "?sub_status=x", "?client_id=x", "?cursor=x", "?limit=501"):
        assert (await desk.get(query, 400)).json()["code"] == "INVALID_FIELD"
    assert (await desk.get("/999999", 404)).json()["code"] == "ORDER_NOT_FOUND"


async def test_what_makes_no_sense_changes_nothing(desk: Desk) -> None:
    order = await desk.waiting_order()
    for body, message in (
        (None, "Invalid request body format"),
        ({}, "Invalid Reason: required"),
        ({"reason": "  "}, "Invalid Reason: required"),
        ({"reason": "x" * 501}, "Invalid Reason: max"),
        ({"reason": "a\x00b"}, "Invalid Reason: printable"),
        ({"reason": "x", "item_ids": []}, "Invalid ItemIds: min"),
        ({"reason": "x", "item_ids": ["1"] * 10_001}, "Invalid ItemIds: max"),
        ({"reason": "x", "item_ids": ["999-1"]}, "Invalid ItemIds: unknown"),
        ({"reason": "x", "item_ids": "all"}, "Invalid request body format"),
        ({"reason": "x", "status": "FAILED"}, "Invalid request body format"),
    ):
        told = await desk.refused(f"/{order.id}/cancel", body, 400)
        assert told["message"] == message
    for act, body in (("retry", {}), ("cancel", {"reason": "x"})):
        for order_id in ("999999", "0", "x"):
            told = await desk.refused(f"/{order_id}/{act}", body, 404)
            assert (told["code"], told["message"]) == ("ORDER_NOT_FOUND", "Order not found")


async def test_of_many_cancels_and_retries_at_once_one_wins(desk: Desk) -> None:
    order = await desk.waiting_order()
    product = desk.shop.parts.catalog.product(order.product_id)
    assert product is not None
    await desk.shop.stock(product, 3)
    before = await desk.shop.balance(order.client_id)

    async def act(turn: int) -> int:
        path, body = ("retry", {}) if turn % 2 else ("cancel", {"reason": "race"})
        answer = await desk.http.post(f"{API}/{order.id}/{path}", json=body, headers=desk.headers)
        assert answer.status_code in (200, 409), answer.text
        return answer.status_code

    answers = await asyncio.gather(*(act(turn) for turn in range(12)))
    after = await desk.shop.order(order.id)
    refunded = await desk.shop.balance(order.client_id) - before
    # A cancel after the delivery is a recall: whatever came first, the books are right.
    assert refunded in (0, order.amount_minor)
    assert after.status in ("DELIVERED", "CANCELLED")
    assert 200 in answers
    await desk.assert_sound()


async def test_an_owed_refund_is_retried_by_staff(desk: Desk) -> None:
    order = await desk.waiting_order()
    path = f"/{order.id}/refund-retry"
    assert (await desk.refused(path, None, 409))["code"] == "REFUND_NOT_OWED"
    assert (await desk.refused("/999999/refund-retry", None, 404))["code"] == "ORDER_NOT_FOUND"
    await desk.shop.set_wallet_status(order.client_id, WalletStatus.FROZEN)
    owed = await desk.post(f"/{order.id}/cancel", {"reason": "cannot be sourced"})
    assert (owed["sub_status"], owed["refund_owed_amount"]) == ("NOT_REFUNDED", 76.5)
    assert (await desk.refused(path, None, 409))["code"] == "WALLET_FROZEN"
    await desk.shop.set_wallet_status(order.client_id, WalletStatus.ACTIVE)
    paid = await desk.post(path)
    assert (paid["status"], paid["sub_status"]) == ("CANCELLED", "REFUNDED")
    assert (paid["refunded_amount"], paid["refund_owed_amount"]) == (76.5, 0)
    last = (await desk.trail(order.id))[-1]
    assert (last["action"], last["actor_id"]) == ("order.refunded", desk.staff_id)
    assert (await desk.refused(path, None, 409))["code"] == "REFUND_NOT_OWED"
    await desk.assert_sound()


async def test_staff_see_whose_rate_an_order_was_charged(desk: Desk) -> None:
    await desk.shop.rates(EUR="1.25")
    product = await desk.shop.product()
    client = await desk.shop.client(minor=100_000, currencies=("EUR",))
    order = (await desk.shop.place_one(desk.shop.ask(client, product))).order
    assert order.forex_rate_at is not None
    told = (await desk.get(f"/{order.id}")).json()
    assert (told["forex_rate"], told["forex_rate_source"]) == (0.8, "test")
    assert datetime.fromisoformat(told["forex_rate_at"]) == order.forex_rate_at
    [line] = (await desk.get(f"?client_id={client}")).json()
    assert line["forex_rate_at"] == told["forex_rate_at"]
    await desk.assert_sound()
