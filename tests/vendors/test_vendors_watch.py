"""T36: the watch over all simulators tells of what nobody asked for, and of nothing else."""

import subprocess
import sys
from pathlib import Path

from tests.processes import TREE

NESTED = """
import sys
import aiohttp
from tests import processes
from tests.market import open_market
from tests.vendors.office import simulator

async def buy():
    made = simulator()
    async with made.serve() as url, aiohttp.ClientSession() as session:
        ask = {"key": "k", "sku": "AMZ-25", "face_minor": 2500, "quantity": 1}
        async with session.post(url + "/orders", json=ask) as answer:
            assert answer.status == 201

async def test_bought_by_nobody():
    await buy()

async def test_tried_by_nobody():
    # One is refused, one never comes to the book.
    made = simulator()
    async with made.serve() as url, aiohttp.ClientSession(url) as session:
        ask = {"key": "r", "sku": "none such", "face_minor": 2500, "quantity": 1}
        async with session.post("/orders", json=ask) as answer:
            assert answer.status == 422
        struck = {"X-Simulate": "ERROR_BEFORE"}
        async with session.post("/orders", json=ask | {"key": "e"}, headers=struck) as answer:
            assert answer.status == 503
    assert made.book.sales == {}

async def test_bought_by_hand(buys_by_hand):
    await buy()

async def test_bought_in_another_process():
    port = processes.free_port()
    simulate = ["-m", "rewards.entry", "vendors", "simulate", "sandbox", "--port", str(port)]
    child = await processes.start([sys.executable, *simulate], port=port)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        ask = {"key": "c", "sku": "1", "face_minor": 2500, "quantity": 1}
        async with session.post("/orders", json=ask) as answer:
            assert answer.status == 201
        struck = {"X-Simulate": "ERROR_BEFORE"}
        async with session.post("/orders", json=ask | {"key": "f"}, headers=struck) as answer:
            assert answer.status == 503
    await child.kill()

async def approved(market):
    order = await market.waiting(1)
    await market.approve(order.id)
    return order

async def test_bought_by_staff(dsn, tmp_path):
    async with open_market(dsn, tmp_path) as market:
        await market.settle((await approved(market)).id)
        assert market.sold() == [1]

async def test_bought_by_ourselves(dsn, tmp_path):
    async with open_market(dsn, tmp_path) as market:
        order = await approved(market)
        async with market.shop.parts.db.transaction() as tx:
            # All is there, but nobody of the staff wanted it.
            await tx.execute("ALTER TABLE audit_entries DISABLE TRIGGER ALL")
            await tx.execute("UPDATE audit_entries SET actor_kind = 'SYSTEM', actor_id = NULL")
        await market.settle(order.id)
        assert market.sold() == [1]
"""


def test_a_session_in_which_somebody_and_nobody_asked(tmp_path: Path) -> None:
    file = tmp_path / "test_nested.py"
    file.write_text(NESTED)
    command = [
        *(sys.executable, "-m", "pytest", "-q", "-c", str(TREE / "pyproject.toml")),
        *("--rootdir", str(TREE), "-p", "tests.conftest", str(file)),
    ]
    ran = subprocess.run(command, cwd=TREE, capture_output=True, text=True, timeout=240)
    assert ran.returncode == 1
    assert "6 passed, 1 error" in ran.stdout, ran.stdout
    assert "6 sales that nobody asked for" in ran.stdout, ran.stdout
    for name, told in (
        *(("bought_by_nobody", True), ("bought_by_ourselves", True), ("tried_by_nobody", True)),
        ("bought_in_another_process", True),
        *(("bought_by_hand", False), ("bought_by_staff", False)),
    ):
        assert (f"::test_{name}" in ran.stdout) == told, (name, ran.stdout)
