"""What the pool lacks, bought for real: API, worker and a vendor's server, each a process."""

import asyncio
import itertools
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from rewards.entry import doctor
from rewards.infra.settings import Settings
from rewards.sandbox.seed import seed
from tests import processes

VENDOR = "sandbox simulator"
# Never in stock.
PRODUCT = 1
# The first look at an unknown outcome comes two seconds after it.
SETTLED_WITHIN_S = 60
POLL_S = 0.1
ASK = {"reason": "the client waits", "vendor": VENDOR}


@dataclass
class Street:
    """A shop, its staff and client, and the vendor across the street."""

    dsn: str
    client: aiohttp.ClientSession
    staff: aiohttp.ClientSession
    vendor: aiohttp.ClientSession

    async def order(self, quantity: int, **more: Any) -> int:
        body = {"product_id": PRODUCT, "denomination": 25, "quantity": quantity, **more}
        async with self.client.post("/api/v1/orders", json=body) as answer:
            placed = await answer.json()
        assert (placed["status"], placed["sub_status"]) == ("PENDING", "VENDOR_ORDER_PENDING")
        return int(placed["id"])

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """A member of staff asks the admin API."""
        async with self.staff.request(method, f"/admin/api/v1{path}", json=body) as answer:
            return answer.status, await answer.json()

    async def until(self, order_id: int, *states: str) -> dict[str, Any]:
        """The order as its client sees it, once it is in one of these states."""
        async with asyncio.timeout(SETTLED_WITHIN_S):
            while True:
                async with self.client.get(f"/api/v1/orders/{order_id}") as answer:
                    order: dict[str, Any] = await answer.json()
                if f"{order['status']}·{order['sub_status']}" in states:
                    return order
                await asyncio.sleep(POLL_S)

    async def history(self, order_id: int) -> list[str]:
        async with self.client.get(f"/api/v1/orders/{order_id}/history") as answer:
            steps = await answer.json()
        walked = [f"{step['to_status']}·{step['to_sub_status']}" for step in steps]
        return [place for place, _ in itertools.groupby(walked)]

    async def script(self, fault: str) -> None:
        script = [{"fault": fault, "call": "place", "times": 1}]
        async with self.vendor.post("/_simulator/script", json=script) as answer:
            assert answer.status == 200

    async def book(self) -> dict[str, Any]:
        async with self.vendor.get("/_simulator/book") as answer:
            book: dict[str, Any] = await answer.json()
        return book


@pytest.fixture
async def street(dsn: str, tmp_path: Path) -> AsyncIterator[Street]:
    api, simulator = processes.free_port(), processes.free_port()
    base, across = f"http://127.0.0.1:{api}", f"http://127.0.0.1:{simulator}"
    settings = Settings(
        home=tmp_path, environment="test", sandbox=True, public_url=base, vendor_loopback=True
    )
    card = await seed(dsn, settings, simulators={"sandbox": across})
    env = {
        "REWARDS_HOME": str(tmp_path),
        "REWARDS_DATABASE_URL": dsn,
        "REWARDS_ENVIRONMENT": "test",
        "REWARDS_PUBLIC_URL": base,
        "REWARDS_VENDOR_LOOPBACK": "true",
    }
    command = [sys.executable, "-m", "rewards.entry"]
    simulate = [*command, "vendors", "simulate", "sandbox", "--port", str(simulator)]
    async with AsyncExitStack() as stack:
        for words, port in (
            (simulate, simulator),
            ([*command, "api", "--port", str(api)], api),
            ([*command, "worker"], None),
        ):
            process = await processes.start(words, env, port=port)
            stack.push_async_callback(process.stop)
        key = {"X-API-Key": card["client"]["api_key"], "X-API-Secret": card["client"]["api_secret"]}
        opened = [
            await stack.enter_async_context(aiohttp.ClientSession(url, headers=headers))
            for url, headers in ((base, key), (base, {}), (across, {}))
        ]
        made = Street(dsn, *opened)
        async with made.staff.post("/admin/auth/login", json=card["staff"]["operations"]) as answer:
            token = (await answer.json())["access_token"]
        made.staff.headers["Authorization"] = f"Bearer {token}"
        yield made


async def test_a_miss_waits_for_a_person_and_is_bought_fetched_and_delivered(
    street: Street,
) -> None:
    order_id = await street.order(3)
    status, [option] = await street.ask("GET", f"/orders/{order_id}/vendor-options")
    assert (status, option["vendor"], option["available"]) == (200, VENDOR, True)
    assert (option["quantity"], option["cost"], option["margin"]) == (3, 72.75, 2.25)
    assert (await street.book())["calls"].get("place", 0) == 0, "nobody has asked for it yet"
    status, approved = await street.ask("POST", f"/orders/{order_id}/vendor-fulfilment", ASK)
    assert (status, approved["order"]["status"]) == (200, "PENDING")
    order = await street.until(order_id, "DELIVERED·COMPLETED")
    assert (order["pendingItems"], order["fulfilledFromCache"]) == (0, 3)
    assert await street.history(order_id) == [
        "PLACED·INITIAL",
        "PENDING·VENDOR_ORDER_PENDING",
        "PENDING·VENDOR_ORDER_CREATED",
        "PENDING·VENDOR_VOUCHER_FETCHED",
        "DELIVERED·COMPLETED",
    ]
    [sale] = (await street.book())["sales"]
    assert {each["card_number"] for each in order["vouchers"]} == set(sale["codes"])
    _, [bought] = await street.ask("GET", f"/orders/{order_id}/vendor-orders")
    assert (bought["key"], bought["state"], bought["received"]) == (sale["key"], "FULFILLED", 3)
    assert (await street.ask("POST", f"/orders/{order_id}/vendor-fulfilment", ASK))[0] == 409
    assert await doctor.run_doctor(street.dsn, True) == doctor.CLEAN


async def test_a_lost_answer_is_read_back_and_a_refusal_is_a_persons_to_settle(
    street: Street,
) -> None:
    lost, refused = await street.order(2), await street.order(1)
    await street.script("DROP_AFTER")
    await street.ask("POST", f"/orders/{lost}/vendor-fulfilment", ASK)
    await street.until(lost, "PENDING·PENDING_REPROCESS", "DELIVERED·COMPLETED")
    await street.script("OUT_OF_STOCK")
    await street.ask("POST", f"/orders/{refused}/vendor-fulfilment", ASK)
    await street.until(refused, "PENDING·VENDOR_ORDER_FAILED")
    await street.until(lost, "DELIVERED·COMPLETED")
    assert "PENDING·PENDING_REPROCESS" in await street.history(lost)
    book = await street.book()
    assert [len(sale["codes"]) for sale in book["sales"]] == [2], "bought once"
    assert book["calls"]["place"] == 2
    status, _ = await street.ask("POST", f"/orders/{refused}/cancel", {"reason": "not to be had"})
    assert status == 200
    cancelled = await street.until(refused, "CANCELLED·REFUNDED")
    assert cancelled["refunded_amount"] == cancelled["amount"]
    assert await doctor.run_doctor(street.dsn, True) == doctor.CLEAN
