"""What a process tells of itself at `/metrics`, and to whom."""

import asyncio
import math
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from rewards.catalog.model import Denomination
from rewards.clients import service as clients
from rewards.clients.model import NewCredential
from rewards.entry import figures
from rewards.entry.api import build_app
from rewards.infra import metrics
from rewards.infra.db import Database
from rewards.infra.jobs import JobAsk, enqueue
from rewards.orders.placing import FILL_JOB
from tests import processes
from tests.shop import Shop, open_shop

HERE = ("127.0.0.1", 4711)
ELSEWHERE = ("192.0.2.7", 4711)
LOCAL = {"metrics_networks": ("127.0.0.0/8",)}


def told(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every series: its name and labels, and what it says."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@asynccontextmanager
async def calling(shop: Shop, peer: tuple[str, int] = HERE) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(build_app(shop.parts), client=peer)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as http:
        yield http


async def key_of(shop: Shop, client_id: int) -> dict[str, str]:
    parts = shop.parts
    async with parts.db.transaction() as tx:
        [issued] = await clients.issue_credentials(
            tx, parts.vault, parts.settings, [NewCredential(client_id)], shop.now
        )
    await shop.refresh()
    return {"X-API-Key": issued.api_key, "X-API-Secret": issued.api_secret}


async def test_orders_requests_and_refusals_are_counted(dsn: str, tmp_path: Path) -> None:
    async with open_shop(dsn, tmp_path, **LOCAL) as shop, calling(shop) as http:
        product = await shop.product()
        await shop.stock(product, 1)
        client_id = await shop.client(minor=100_000)
        key = await key_of(shop, client_id)

        async def series() -> dict[Any, float]:
            answer = await http.get("/metrics")
            assert answer.status_code == 200
            return told(answer.text)

        def delta(name: str, **labels: str) -> float:
            where = (f"rewards_{name}", tuple(sorted(labels.items())))
            return after.get(where, 0) - before.get(where, 0)

        before = await series()
        body = {"product_id": product.id, "denomination": 25, "quantity": 1}
        for raw in (body, body, {**body, "denomination": 26}):
            await http.post("/api/v1/orders", json=raw, headers=key)
        login = {"username": "nobody", "password": "wrong-password"}
        await http.post("/admin/auth/login", json=login)
        await http.get("/nowhere/at/all")
        answered = await http.get("/api/v1/orders/4711", headers=key)
        assert answered.status_code == 404
        after = await series()
        assert delta("orders_total", status="DELIVERED", tier="REQUEST") == 1
        assert delta("orders_total", status="PENDING", tier="REQUEST") == 1
        assert delta("desk_seconds_count") == delta("desk_batch_seconds_count") == 2
        orders = "POST /api/v1/orders"
        assert delta("http_request_seconds_count", route=orders, status="2xx") == 2
        assert delta("http_request_seconds_count", route=orders, status="4xx") == 1
        assert delta("http_request_seconds_count", route="none", status="4xx") == 1
        one = "GET /api/v1/orders/{order_id}"
        assert delta("http_request_seconds_count", route=one, status="4xx") == 1
        denied = {"route": "POST /admin/auth/login", "code": "UNAUTHORIZED"}
        assert delta("refusals_total", **denied) == 1
        assert delta("refusals_total", route=orders, code="DENOMINATION_NOT_AVAILABLE") == 1


async def test_nothing_told_names_a_client_a_row_or_a_secret(dsn: str, tmp_path: Path) -> None:
    async with open_shop(dsn, tmp_path, **LOCAL) as shop, calling(shop) as http:
        product = await shop.product()
        await shop.stock(product, 3)
        client_id = await shop.client(minor=100_000)
        key = await key_of(shop, client_id)
        body = {"product_id": product.id, "denomination": 25, "quantity": 1, "email": "a@b.example"}
        order = (await http.post("/api/v1/orders", json=body, headers=key)).json()
        read = await http.get(f"/api/v1/orders/{order['id']}", headers=key)
        assert read.status_code == 200
        text = (await http.get("/metrics")).text
    for secret in (*shop.codes, *key.values(), "Test client", "b.example"):
        assert secret not in text
    labels = {name for _, pairs in told(text) for name, _ in pairs}
    assert not labels & {"client", "client_id", "order", "order_id", "id", "path", "address"}
    assert "CANARY" not in text


@pytest.mark.parametrize(
    ("chosen", "peer", "headers", "status"),
    [
        ({}, HERE, {}, 404),
        (LOCAL, HERE, {}, 200),
        (LOCAL, ELSEWHERE, {}, 404),
        # Who comes through a proxy is not this machine.
        ({**LOCAL, "trusted_proxies": ("127.0.0.1",)}, HERE, {"X-Forwarded-For": "8.8.8.8"}, 404),
        ({"metrics_token": "s3cret"}, ELSEWHERE, {"Authorization": "Bearer s3cret"}, 200),
        ({"metrics_token": "s3cret"}, ELSEWHERE, {"Authorization": "Bearer guess"}, 404),
    ],
)
async def test_who_may_read(
    dsn: str,
    tmp_path: Path,
    chosen: dict[str, Any],
    peer: tuple[str, int],
    headers: dict[str, str],
    status: int,
) -> None:
    async with open_shop(dsn, tmp_path, **chosen) as shop, calling(shop, peer) as http:
        answer = await http.get("/metrics", headers=headers)
        assert answer.status_code == status
        if status == 404:
            # As any path that is not there.
            other = await http.get("/nowhere", headers=headers)
            told_apart = {"request_id"}
            assert {k: v for k, v in answer.json().items() if k not in told_apart} == {
                k: v for k, v in other.json().items() if k not in told_apart
            }


async def test_what_stands_in_the_database_is_told(dsn: str, tmp_path: Path) -> None:
    async with open_shop(dsn, tmp_path) as shop:
        product = await shop.product(denominations=(Denomination(2500, 2500), Denomination(1, 900)))
        await shop.stock(product, 3)
        await shop.stock(product, 2, minor=700)
        client_id = await shop.client(minor=1_000_000)
        await shop.place_one(shop.ask(client_id, product, 4, denomination_minor=2500))
        bulk = await shop.place_one(shop.ask(client_id, product, 60))
        assert bulk.order.status == "PENDING"
        async with shop.parts.db.transaction() as tx:
            await enqueue(tx, [JobAsk(FILL_JOB, {"order_id": 1})])
            await tx.execute("UPDATE pgqueuer SET execute_after = now() - interval '90 s'")
        await shop.parts.figures.refresh()
        pool = {"product": "6", "currency": "USD"}
        value = metrics.value
        assert value("pool_units", denomination="25.00", **pool) == 0
        assert value("pool_units", denomination="7.00", **pool) == 2
        assert value("open_orders", sub_status="INITIAL") == 1
        assert value("open_orders", sub_status="PARTIAL") == 1
        assert value("open_order_oldest_seconds", sub_status="INITIAL") >= 0
        assert value("job_oldest_seconds", job_name=FILL_JOB) >= 90
        assert value("jobs_due", job_name=FILL_JOB) == 1
        assert value("db_up") == 1
        # Nobody seals here.
        assert value("events_unsealed_seconds") > 0


async def test_one_look_serves_many_scrapers(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0
    real = figures.StoredFigures._read

    async def counted(self: figures.StoredFigures, tx: Any) -> None:
        nonlocal looks
        looks += 1
        await real(self, tx)

    monkeypatch.setattr(figures.StoredFigures, "_read", counted)
    async with open_shop(dsn, tmp_path) as shop:
        stored = shop.parts.figures
        await asyncio.gather(*(stored.refresh() for _ in range(20)))
        await stored.refresh()
        assert looks == 1
        stored._until_s = 0
        await stored.refresh()
        assert looks == 2


async def test_what_was_known_is_forgotten_also_while_nobody_looks_again(
    dsn: str, tmp_path: Path
) -> None:
    async with open_shop(dsn, tmp_path) as shop:
        stored = shop.parts.figures
        await stored.refresh()
        assert metrics.value("processes", kind="worker") == 0
        # After a look that failed late the next one is far away.
        stored._until_s, stored._told_until_s = float("inf"), 0
        await stored.refresh()
        assert math.isnan(metrics.value("events_unsealed_seconds"))


async def test_a_look_with_a_bug_is_told_of_and_not_repeated_at_once(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def breaks(_self: figures.StoredFigures, _tx: Any) -> None:
        raise KeyError("XYZ")

    monkeypatch.setattr(figures.StoredFigures, "_read", breaks)
    async with open_shop(dsn, tmp_path) as shop:
        for _ in range(3):
            await shop.parts.figures.refresh()
    assert capsys.readouterr().out.count("figures_broke") == 1


async def test_without_a_database_the_rest_is_told(dsn: str, tmp_path: Path) -> None:
    async with open_shop(dsn, tmp_path, **LOCAL) as shop, calling(shop) as http:
        assert (await http.get("/metrics")).status_code == 200
        stored = shop.parts.figures
        stored._until_s = 0
        await shop.parts.feed.stop()
        shop.parts.db._pool.terminate()
        answer = await http.get("/metrics")
        assert answer.status_code == 200
        assert "rewards_db_up 0.0" in answer.text
        # For a while what was known is told; then nobody knows.
        stored._until_s, stored._told_until_s = 0, 0
        answer = await http.get("/metrics")
        assert not re.search(r"^rewards_pool_units\{", answer.text, re.MULTILINE)
        assert "rewards_events_unsealed_seconds NaN" in answer.text


async def test_a_worker_tells_its_own_at_its_port(dsn: str, db: Database, tmp_path: Path) -> None:
    async with open_shop(dsn, tmp_path) as shop:
        await shop.client()
    port = processes.free_port()
    environment = {
        "REWARDS_DATABASE_URL": dsn,
        "REWARDS_HOME": str(tmp_path),
        "REWARDS_METRICS_PORT": str(port),
    }
    command = [sys.executable, "-m", "rewards.entry", "worker"]
    worker = await processes.start(command, environment, port=port)
    # A second one finds the port taken, says so, and works.
    other = await processes.start(command, environment)
    try:
        async with httpx.AsyncClient(trust_env=False) as http:
            text = (await http.get(f"http://127.0.0.1:{port}/metrics")).text
        async with asyncio.timeout(processes.START_TIMEOUT_S):
            while "worker_ready" not in other.output():
                await asyncio.sleep(processes.POLL_S)
    finally:
        await worker.stop()
        await other.stop()
    series = told(text)
    [build] = [labels for name, labels in series if name == "rewards_build_info"]
    assert dict(build)["process"] == "worker"
    assert series["rewards_db_up", ()] == 1
    assert ("rewards_db_connections", (("pool", "webhooks"), ("state", "idle"))) in series
    assert "process_resident_memory_bytes" in text
    assert "metrics_port_not_opened" in other.output()
