"""`rewards sandbox` as its user meets it: starts from nothing, sells, stops, keeps its data."""

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from rewards.vendors.registry import ADAPTERS
from tests import processes
from tests.processes import Process
from tests.watch import Watch

READY_TIMEOUT_S = 60
# Of a fifth of a second each.
MAIL_LOOKS_MAX = 150
# It sells more than the sandbox has products for.
SELLS_MORE = {"reloadly_airtime"}
REASON = {"reason": "the client waits"}


async def started(home: Path, port: int) -> tuple[Process, dict[str, Any]]:
    command = [sys.executable, "-m", "rewards.entry", "sandbox", "--port", str(port)]
    process = await processes.start([*command, "--home", str(home)])
    async with asyncio.timeout(READY_TIMEOUT_S):
        while not (home / "sandbox.json").exists() or "Ready" not in process.output():
            assert process.returncode is None, process.output()
            await asyncio.sleep(0.05)
    return process, json.loads((home / "sandbox.json").read_text())


async def order(card: dict[str, Any], **body: Any) -> tuple[int, dict[str, Any]]:
    headers = {"X-API-Key": card["client"]["api_key"], "X-API-Secret": card["client"]["api_secret"]}
    async with (
        aiohttp.ClientSession(card["base_url"], headers=headers) as session,
        session.post("/api/v1/orders", json=body) as answer,
    ):
        return answer.status, await answer.json()


async def hears_of(card: dict[str, Any], order_id: int) -> None:
    """By the feed, and by the webhook that the sandbox registered, which brings the same."""
    key = {"X-API-Key": card["client"]["api_key"], "X-API-Secret": card["client"]["api_secret"]}
    asked = f"{card['base_url']}/api/v1/events?limit=1000&type=order.delivered"
    received = f"{card['webhook_sink']['received']}?order_id={order_id}&type=order.delivered"
    async with aiohttp.ClientSession() as session, asyncio.timeout(READY_TIMEOUT_S):
        told: list[dict[str, Any]] = []
        while not told:
            async with session.get(asked, headers=key) as answer:
                told = [
                    each for each in await answer.json() if each["data"]["order_id"] == order_id
                ]
            await asyncio.sleep(0.1)
        came: list[dict[str, Any]] = []
        while not came:
            async with session.get(received) as answer:
                came = await answer.json()
            await asyncio.sleep(0.1)
    assert came[0]["verified"]
    assert came[0]["body"] == told[0]


async def mails_vouchers(card: dict[str, Any]) -> None:
    """To the order's address, into the sandbox's own mailbox, which shows it."""
    to = "customer@shop.example"
    status, placed = await order(card, product_id=6, denomination=25.00, quantity=1, email=to)
    assert (status, placed["status"]) == (200, "DELIVERED")
    sink = card["mail_sink"]
    async with aiohttp.ClientSession() as session:
        for _ in range(MAIL_LOOKS_MAX):
            async with session.get(sink["received"], params={"to": to}) as answer:
                mails = await answer.json()
            if mails:
                break
            await asyncio.sleep(0.2)
        [mail] = mails
        assert placed["vouchers"][0]["card_number"] in mail["text"]
        assert (mail["from"], mail["to"]) == ("Sandbox Client <rewards@sandbox.example>", [to])
        async with session.get(sink["page"]) as answer:
            assert mail["subject"] in await answer.text()


async def buys_from_its_vendors(card: dict[str, Any], process: Process) -> None:
    """Each adapter has an account that reaches its simulator, and sells what we sell."""
    assert set(card["vendors"]) == set(ADAPTERS)
    async with aiohttp.ClientSession(card["base_url"]) as session:
        async with session.post("/admin/auth/login", json=card["staff"]["admin"]) as answer:
            token = (await answer.json())["access_token"]
        session.headers["Authorization"] = f"Bearer {token}"
        for name, vendor in card["vendors"].items():
            path = f"/admin/api/v1/vendors/{vendor['id']}"
            async with session.get(path) as answer:
                account = await answer.json()
            assert account["config"]["base_url"].startswith(vendor["simulator_url"])
            assert account["status"] == "ACTIVE"
            async with session.get(f"{path}/products") as answer:
                mapped = {each["product_id"] for each in await answer.json()}
            assert mapped
            async with session.get(f"{vendor['simulator_url']}/_simulator/book") as answer:
                assert (await answer.json())["sales"] == []
            # A worker reads at once what the vendor tells.
            async with asyncio.timeout(READY_TIMEOUT_S):
                while "CATALOGUE" not in {each["what"] for each in account["readings"]}:
                    assert process.returncode is None
                    await asyncio.sleep(0.2)
                    async with session.get(path) as answer:
                        account = await answer.json()
            assert not any(each["problem"] for each in account["readings"]), account
            async with session.get(f"{path}/offers?limit=500") as answer:
                offered = {int(each["sku"]) for each in await answer.json()}
            assert offered > mapped if name in SELLS_MORE else offered == mapped
        async with session.post(
            f"/admin/api/v1/vendors/{card['vendors']['sandbox']['id']}/check"
        ) as answer:
            assert (await answer.json())["ok"]


async def test_it_starts_sells_stops_and_starts_again_with_its_data(sandbox_home: Path) -> None:
    home, port = sandbox_home, processes.free_port()
    process, card = await started(home, port)
    assert (home / "sandbox.json").stat().st_mode & 0o777 == 0o600
    parts = {"base_url", "client", "staff", "wallets", "vendors", "webhook_sink", "mail_sink"}
    assert set(card) == parts | {"database_url"}
    await buys_from_its_vendors(card, process)
    await mails_vouchers(card)
    assert set(card["staff"]) == {"admin", "operations", "finance", "support"}
    assert set(card["wallets"]) == {"USD", "EUR", "INR"}
    status, placed = await order(card, product_id=6, denomination=25.00, quantity=5, ref="KEPT")
    assert (status, placed["status"], placed["amount"]) == (200, "DELIVERED", 127.5)
    await hears_of(card, placed["id"])
    status, waiting = await order(card, product_id=1, denomination=25.00, quantity=1)
    assert (status, waiting["status"]) == (200, "PENDING")
    assert card["client"]["api_secret"] in process.output()

    other = await processes.start(
        [sys.executable, "-m", "rewards.entry", "sandbox", "--port", str(port), "--home", str(home)]
    )
    assert await other.wait(20) == 1
    assert "is taken" in other.output()

    process.signal(signal.SIGINT)
    assert await process.wait(10) == 0
    process, again = await started(home, port)
    moved = {name: again[name] for name in ("vendors", "webhook_sink", "mail_sink")}
    assert again == card | moved
    assert again["webhook_sink"]["secret"] == card["webhook_sink"]["secret"]
    assert {name: vendor["id"] for name, vendor in again["vendors"].items()} == {
        name: vendor["id"] for name, vendor in card["vendors"].items()
    }
    await buys_from_its_vendors(again, process)
    assert card["client"]["api_secret"] not in process.output()
    _, later = await order(again, product_id=6, denomination=25.00, quantity=1)
    await hears_of(again, later["id"])
    status, refused = await order(again, product_id=6, denomination=25.00, quantity=5, ref="KEPT")
    assert (status, refused["details"]) == (400, {"order_id": placed["id"]})
    assert await process.stop() == 0


@pytest.mark.usefixtures("buys_by_hand")
async def test_what_its_vendors_are_asked_to_sell_is_watched(sandbox_home: Path) -> None:
    """T36: what staff bought is asked for; what somebody else tries there is not."""
    process, card = await started(sandbox_home, processes.free_port())
    _, waiting = await order(card, product_id=1, denomination=25.00, quantity=1)
    vendor = card["vendors"]["sandbox"]["simulator_url"]
    planted = {"sku": "1", "face_minor": 2500, "quantity": 1}
    async with aiohttp.ClientSession(card["base_url"]) as session:
        async with session.post("/admin/auth/login", json=card["staff"]["admin"]) as answer:
            session.headers["Authorization"] = f"Bearer {(await answer.json())['access_token']}"
        path = f"/admin/api/v1/orders/{waiting['id']}"
        async with session.post(f"{path}/vendor-fulfilment", json=REASON) as answer:
            assert answer.status == 200
        for key, quantity, status, struck in (
            *(("sold", 1, 201, {}), ("refused", 10**9, 422, {})),
            ("failed", 1, 503, {"X-Simulate": "ERROR_BEFORE"}),
        ):
            body = planted | {"key": key, "quantity": quantity}
            async with session.post(f"{vendor}/orders", json=body, headers=struck) as answer:
                assert answer.status == status
        async with asyncio.timeout(READY_TIMEOUT_S):
            while waiting["status"] != "DELIVERED":
                await asyncio.sleep(0.1)
                async with session.get(path) as answer:
                    waiting = await answer.json()
    watch = Watch([process])
    await watch.look(card["database_url"])
    assert len(watch.heard) == 4
    assert {each.key for each in watch.open} == {"sold", "refused", "failed"}
    assert process.test in watch.complaint()
    await process.kill()


async def test_a_killed_sandbox_leaves_no_process_and_starts_again(sandbox_home: Path) -> None:
    home, port = sandbox_home, processes.free_port()
    process, card = await started(home, port)
    _, placed = await order(card, product_id=6, denomination=25.00, quantity=1, ref="KEPT")
    await process.kill()
    async with asyncio.timeout(10):
        while await _answers(port):
            await asyncio.sleep(0.1)
    process, again = await started(home, port)
    assert again["client"] == card["client"]
    _, refused = await order(again, product_id=6, denomination=25.00, quantity=1, ref="KEPT")
    assert refused["details"] == {"order_id": placed["id"]}
    assert await process.stop() == 0


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
