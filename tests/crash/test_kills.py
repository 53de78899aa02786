"""APIs, workers and database servers are killed under load: nothing promised is lost or doubled."""

import asyncio
import collections
import contextlib
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import asyncpg
import pytest

from rewards.infra import postgres_files
from rewards.infra.migrate import migrate
from rewards.infra.postgres_files import APP_ROLE
from rewards.orders.model import SubStatus
from tests.cluster import LOST, Api, Buyer, Cluster, Load, loaded, open_cluster
from tests.conftest import StartServer, new_home
from tests.processes import strike

FULL = pytest.mark.long
FUNDS_MINOR = 10**11
LEASE_S = 2.0
# What killed work takes to be done elsewhere, with two busy cores in mind.
RESUMED_WITHIN_S = 30.0
BACK_WITHIN_S = 30.0
AWAY_S = 1.0
PROCESSING = "SELECT count(*) FROM orders WHERE sub_status = $1"
# No statement waits for longer than ten seconds, and giving its connection back for two; who stood
# in line behind it waits two more for a connection of their own.
PATIENCE_S = 15.0
STOPPED_WITHIN_S = 10.0


@pytest.mark.parametrize("kills", [8, pytest.param(60, marks=FULL)])
async def test_a_killed_api_loses_and_doubles_nothing(dsn: str, tmp_path: Path, kills: int) -> None:
    """T16. CI: 8 times SIGKILL to one of two APIs under load, which is then started again."""
    async with open_cluster(dsn, tmp_path) as cluster:
        [buyer] = await cluster.buyers(1, minor=FUNDS_MINOR)
        await cluster.shop.stock(cluster.product, 1_000)
        ready_s = []
        async with loaded(cluster, buyer, callers=16) as load:
            for _ in range(kills):
                await asyncio.sleep(random.uniform(0.05, 0.5))
                api = random.choice(cluster.apis)
                await api.kill()
                ready_s.append(await api.start())
        print(f"ready again after {min(ready_s):.2f} to {max(ready_s):.2f} s; {told(load)}")
        await load.assert_kept(FUNDS_MINOR)
        assert load.lost
        await cluster.assert_clean()


def told(load: Load) -> str:
    statuses = collections.Counter(reply.status for reply in load.seen)
    return f"{len(load.placed)} orders, answers {dict(statuses)}, {load.lost} answers lost"


@pytest.mark.parametrize("kills", [5, pytest.param(60, marks=FULL)])
async def test_a_killed_worker_leaves_no_order_half_filled(
    dsn: str, tmp_path: Path, kills: int
) -> None:
    """T17. CI: 5 times SIGKILL to the worker while it fills 40 orders of 11 to 50."""
    async with open_cluster(dsn, tmp_path, worker=True, job_lease_s=LEASE_S) as cluster:
        [buyer] = await cluster.buyers(1, minor=FUNDS_MINOR)
        resumed_s = []
        units = left = 0
        for _ in range(kills):
            # Enough for about two in three.
            await cluster.shop.stock(cluster.product, 800)
            units += 800
            sizes = [random.randint(11, 50) for _ in range(40)]
            asks = (cluster.post(buyer, cluster.order(size)) for size in sizes)
            placing = asyncio.gather(*asks)
            await asyncio.sleep(random.uniform(0.02, 0.4))
            await cluster.kill_worker()
            replies = await placing
            assert {reply.status for reply in replies} == {200}
            left += await cluster.count(PROCESSING, SubStatus.PROCESSING)
            began_s = time.monotonic()
            await cluster.start_worker()
            await until_filled(cluster, began_s + RESUMED_WITHIN_S)
            resumed_s.append(time.monotonic() - began_s)
        print(f"{left} left behind, filled after {min(resumed_s):.2f} to {max(resumed_s):.2f} s")
        bound = await cluster.count("SELECT count(unit_id) FROM order_items")
        assert bound == units
        await cluster.assert_clean()


async def until_filled(cluster: Cluster, deadline_s: float) -> None:
    while left := await cluster.count(PROCESSING, SubStatus.PROCESSING):
        assert time.monotonic() < deadline_s, f"{left} orders are still PROCESSING"
        await asyncio.sleep(0.05)


Strike: TypeAlias = Callable[[Path, str], Awaitable[None]]


def postmaster(home: Path) -> int:
    pid_file = postgres_files.place(home).data / "postmaster.pid"
    return int(pid_file.read_text().split("\n", 1)[0])


async def kill_postmaster(home: Path, _owner_dsn: str) -> None:
    os.kill(postmaster(home), signal.SIGKILL)


async def stop_at_once(home: Path, _owner_dsn: str) -> None:
    os.kill(postmaster(home), signal.SIGQUIT)


async def kill_one_backend(_home: Path, owner_dsn: str) -> None:
    """The server then throws everybody out and recovers by itself."""
    pids = await backends(owner_dsn)
    random.shuffle(pids)
    assert any(strike([pid], signal.SIGKILL) for pid in pids), "there was none to kill"


async def end_every_backend(_home: Path, owner_dsn: str) -> None:
    """As an administrator does it."""
    assert strike(await backends(owner_dsn), signal.SIGTERM), "there was none to end"


async def backends(owner_dsn: str) -> list[int]:
    """Asked again while the server still recovers from the strike before."""
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            connection = await asyncpg.connect(owner_dsn)
            break
        except asyncpg.CannotConnectNowError:
            assert time.monotonic() < deadline_s, "the server never recovered"
            await asyncio.sleep(0.05)
    try:
        rows = await connection.fetch(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'rewards'"
        )
    finally:
        await connection.close()
    return [row["pid"] for row in rows]


STRIKES: dict[Strike, tuple[int, int]] = {
    kill_postmaster: (3, 20),
    stop_at_once: (2, 8),
    kill_one_backend: (3, 8),
    end_every_backend: (3, 8),
}


@pytest.mark.parametrize("full", [False, pytest.param(True, marks=FULL)])
async def test_a_killed_database_loses_no_acknowledged_order(
    own_server: StartServer, tmp_path: Path, full: bool
) -> None:
    """T18. CI: 3 killed and 2 immediately stopped servers, 3 killed and 3 times all backends."""
    home = new_home()
    server = await own_server(home)
    await migrate(server.owner_dsn, app_role=APP_ROLE)
    strikes = [strike for strike, often in STRIKES.items() for _ in range(often[full])]
    random.shuffle(strikes)
    async with open_cluster(server.app_dsn, tmp_path, owner_dsn=server.owner_dsn) as cluster:
        [buyer] = await cluster.buyers(1, minor=FUNDS_MINOR)
        await cluster.shop.stock(cluster.product, 1_000)
        back_s: collections.defaultdict[str, list[float]] = collections.defaultdict(list)
        async with loaded(cluster, buyer) as load:
            for strike in strikes:
                await asyncio.sleep(random.uniform(0.2, 0.6))
                await strike(home, server.owner_dsn)
                if strike in (kill_postmaster, stop_at_once):
                    await asyncio.sleep(AWAY_S)
                    await assert_away(cluster, buyer)
                    await own_server(home)
                back_s[strike.__name__].append(await until_served(load))
        for name, seconds in back_s.items():
            print(f"{name}: served again after {min(seconds):.2f} to {max(seconds):.2f} s")
        print(told(load))
        assert {reply.status for reply in load.seen if not reply.retry_after} == {200}
        assert load.lost == 0
        await load.assert_kept(FUNDS_MINOR)
        await cluster.assert_clean()


async def _ended(api: Api, began_s: float) -> tuple[int, float]:
    """How a process ended, and how long after that moment."""
    code = await api.running.wait()
    return code, time.monotonic() - began_s


async def test_a_frozen_database_holds_up_nobody_for_ever(
    own_server: StartServer, tmp_path: Path
) -> None:
    """T21, T23. Every request is told 503 in time; a process that is told to stop does."""
    home = new_home()
    server = await own_server(home)
    await migrate(server.owner_dsn, app_role=APP_ROLE)
    async with open_cluster(server.app_dsn, tmp_path, owner_dsn=server.owner_dsn) as cluster:
        [buyer] = await cluster.buyers(1, minor=FUNDS_MINOR)
        assert (await cluster.post(buyer, cluster.order())).status == 200
        served_by = [*await backends(server.owner_dsn), postmaster(home)]
        frozen = strike(served_by, signal.SIGSTOP)
        try:
            stopping, staying = cluster.apis
            asked = asyncio.create_task(cluster.post_all([buyer] * 20, stopping))
            await asyncio.sleep(0.3)
            began_s = time.monotonic()
            stopping.running.signal(signal.SIGTERM)
            ended = asyncio.create_task(_ended(stopping, began_s))
            replies = await cluster.post_all([buyer] * 20, staying)
            answered_s = time.monotonic() - began_s
            assert {(reply.status, reply.retry_after) for reply in replies} == {(503, True)}
            code, stopped_s = await ended
            assert code == 0
        finally:
            strike(frozen, signal.SIGCONT)
        print(f"answered after {answered_s:.1f} s, stopped after {stopped_s:.1f} s")
        assert answered_s < PATIENCE_S
        assert stopped_s < STOPPED_WITHIN_S
        # Cut off where the grace of the one that stopped ended before the database's time.
        with contextlib.suppress(*LOST):
            assert {(reply.status, reply.retry_after) for reply in await asked} == {(503, True)}
        assert (await cluster.insist(buyer, cluster.order(), "after-the-thaw")).status == 200
        await cluster.assert_clean()


async def assert_away(cluster: Cluster, buyer: Buyer) -> None:
    """Whatever needs the database says 503 and when to come back; the process says it lives."""
    for api in cluster.apis:
        for path, status in {
            "/healthz": 200,
            "/readyz": 503,
            "/api/v1/orders": 503,
            "/api/v1/wallets": 503,
            f"/api/v1/products/{cluster.product.id}": 503,
        }.items():
            async with cluster.session.get(f"{api.url}{path}", headers=buyer.headers) as answer:
                assert answer.status == status, (path, await answer.text())
                assert status == 200 or "Retry-After" in answer.headers


async def until_served(load: Load) -> float:
    """Seconds until five more orders were placed."""
    began_s, before = time.monotonic(), len(load.placed)
    while len(load.placed) < before + 5:
        assert time.monotonic() < began_s + BACK_WITHIN_S, "nobody is served any more"
        await asyncio.sleep(0.01)
    return time.monotonic() - began_s
