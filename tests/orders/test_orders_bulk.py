"""Bulk orders as their client sees them: how far one is, and what the cap on them does (§3)."""

from typing import Any

import httpx

from rewards.clients import service as clients
from rewards.clients.model import NewCredential
from rewards.entry.api import build_app
from rewards.orders.model import Order, Tier
from rewards.wallets.model import WalletStatus
from tests.shop import Shop

CAP = 100


def state(answer: object) -> str:
    assert isinstance(answer, Order), answer
    return str(answer.state)


class Buyer:
    """A client at its API."""

    def __init__(self, shop: Shop, client_id: int) -> None:
        self.shop = shop
        self.client_id = client_id

    async def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        parts = self.shop.parts
        async with parts.db.transaction() as tx:
            [key] = await clients.issue_credentials(
                tx, parts.vault, parts.settings, [NewCredential(self.client_id)], self.shop.now
            )
        await self.shop.refresh()
        transport = httpx.ASGITransport(build_app(parts))
        headers = {"X-API-Key": key.api_key, "X-API-Secret": key.api_secret}
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as http:
            answer = await http.request(method, "/api/v1" + path, json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    async def progress(self, order_id: int) -> tuple[str, int, int, int, int]:
        """State, items, pendingItems, fulfilledFromCache and codes of the order, as it is read."""
        told = await self.ask("GET", f"/orders/{order_id}")
        return (
            f"{told['status']}·{told['sub_status']}",
            len(told["items"]),
            told["pendingItems"],
            told["fulfilledFromCache"],
            len(told["vouchers"]),
        )


async def test_a_bulk_order_shows_how_far_it_is(shop: Shop) -> None:
    product = await shop.product()
    client = await shop.client(minor=10**7)
    buyer = Buyer(shop, client)
    await shop.stock(product, 20)
    body = {"product_id": product.id, "denomination": 25, "quantity": 60}
    placed = await buyer.ask("POST", "/orders", body)
    number = placed["id"]
    # Stock or not: the request makes no items.
    assert placed["items"] == []
    assert await buyer.progress(number) == ("PENDING·INITIAL", 0, 0, 0, 0)
    await shop.retry(number)
    assert await buyer.progress(number) == ("PARTIALLY_DELIVERED·PARTIAL", 60, 40, 20, 20)
    await shop.stock(product, 15)
    assert await shop.eager_tasks.retry_waiting() == 1
    assert await buyer.progress(number) == ("PARTIALLY_DELIVERED·PARTIAL", 60, 25, 35, 35)
    await shop.stock(product, 25)
    assert await shop.eager_tasks.retry_waiting() == 1
    assert await buyer.progress(number) == ("DELIVERED·COMPLETED", 60, 0, 60, 60)
    assert await shop.events(number) == [
        *("order.created", "order.pending"),
        *("order.partially_delivered", "order.partially_delivered", "order.delivered"),
    ]
    assert await shop.broken() == {}


async def test_a_worker_without_auto_retry_leaves_a_bulk_order_as_it_is(shop: Shop) -> None:
    product = await shop.product()
    client = await shop.client(minor=10**7)
    await shop.stock(product, 60)
    order = (await shop.place_one(shop.ask(client, product, 60))).order
    before = await shop.everything()
    assert await shop.tasks.retry_waiting() == 0
    assert await shop.everything() == before
    assert state(await shop.order(order.id)) == "PENDING·INITIAL"


async def test_the_cap_counts_what_still_waits_of_one_client(shop: Shop) -> None:
    product = await shop.product()
    client, other = [await shop.client(minor=10**7) for _ in range(2)]
    orders = [
        (await shop.place_one(shop.ask(who, product, quantity))).order.id
        for who, quantity in ((client, 60), (other, 90), (client, 55), (client, 51), (client, 52))
    ]
    await shop.stock(product, 15)
    first, others, fits, over, last = orders
    # 45 wait, and the other client's 90.
    assert state(await shop.retry(first, bulk_units_max=CAP)) == "PARTIALLY_DELIVERED·PARTIAL"
    waiting = "PENDING·VENDOR_ORDER_PENDING"
    assert state(await shop.retry(others, bulk_units_max=CAP)) == waiting
    # 45 and 55 are the cap, not over it.
    assert state(await shop.retry(fits, bulk_units_max=CAP)) == waiting
    refused = await shop.retry(over, bulk_units_max=CAP)
    assert state(refused) == "CANCELLED·BULK_LIMIT_EXCEEDED"
    assert await shop.item_states(over) == []
    assert (await shop.events(over))[-1] == "order.cancelled"
    seen = await Buyer(shop, client).progress(over)
    assert seen == ("CANCELLED·BULK_LIMIT_EXCEEDED", 0, 0, 0, 0)
    # What is cancelled waits no more, and makes room.
    await shop.cancel(fits)
    assert state(await shop.retry(last, bulk_units_max=CAP)) == waiting
    assert await shop.broken() == {}


async def test_an_order_over_the_cap_whose_wallet_takes_no_money_is_owed(shop: Shop) -> None:
    product = await shop.product()
    client = await shop.client(minor=10**7)
    placed = (await shop.place_one(shop.ask(client, product, CAP + 1))).order
    balance = await shop.balance(client)
    await shop.set_wallet_status(client, WalletStatus.FROZEN)
    assert state(await shop.retry(placed.id, bulk_units_max=CAP)) == "CANCELLED·NOT_REFUNDED"
    assert await shop.balance(client) == balance
    await shop.set_wallet_status(client, WalletStatus.ACTIVE)
    assert state(await shop.pay_owed(placed.id)) == "CANCELLED·REFUNDED"
    assert await shop.balance(client) == balance + placed.amount_minor
    assert await shop.broken() == {}


async def test_bulk_is_what_was_placed_as_such_whatever_its_quantity(shop: Shop) -> None:
    """Products have thresholds of their own (D1)."""
    product = await shop.product(filled_quantity_max=12)
    realtime = await shop.product(7, realtime=True)
    client = await shop.client(minor=10**7)
    # Not bulk, though it waits for more than any bulk order: it was served in the request.
    await shop.stock(realtime, 1)
    partly = (await shop.place_one(shop.ask(client, realtime, 500))).order
    assert str(partly.state) == "PARTIALLY_DELIVERED·PARTIAL"
    small = [
        (await shop.place_one(shop.ask(client, product, 20, tier=Tier.BULK))).order.id
        for _ in range(2)
    ]
    first, second = [await shop.retry(order_id, bulk_units_max=30) for order_id in small]
    assert state(first) == "PENDING·VENDOR_ORDER_PENDING"
    assert state(second) == "CANCELLED·BULK_LIMIT_EXCEEDED"
