"""Whether a process says truly, and in time, how it stands: with a server that dies and hangs."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from rewards.entry.api import build_app
from rewards.infra import migrate as migrations
from rewards.infra import postgres_files
from rewards.infra.beats import Heart, ProcessKind
from rewards.infra.db import Database
from rewards.infra.readiness import WAIT_S, Part, State
from rewards.infra.settings import Settings
from rewards.orders.service import Orders
from tests.conftest import StartServer, new_home
from tests.processes import strike
from tests.shop import Shop, open_shop

# Not asserted of the time itself but of the most that may be waited for: far above WAIT_S.
PATIENCE_S = 20.0
BACK_S = 60.0


@asynccontextmanager
async def asking(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(build_app(shop.parts), client=("127.0.0.1", 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as http:
        yield http


async def ready(http: httpx.AsyncClient) -> tuple[int, dict[str, Any]]:
    async with asyncio.timeout(PATIENCE_S):
        answer = await http.get("/readyz")
    assert (answer.status_code == 200) == (answer.json()["status"] == "ready")
    if answer.status_code == 503:
        assert int(answer.headers["Retry-After"]) > 0
    parts: dict[str, Any] = answer.json()["parts"]
    return answer.status_code, parts


async def until(http: httpx.AsyncClient, status: int) -> dict[str, Any]:
    deadline_s = time.monotonic() + BACK_S
    while True:
        found, parts = await ready(http)
        if found == status:
            return parts
        assert time.monotonic() < deadline_s, parts
        await asyncio.sleep(0.05)


async def alive(http: httpx.AsyncClient) -> bool:
    async with asyncio.timeout(PATIENCE_S):
        return (await http.get("/healthz")).status_code == 200


async def test_every_part_is_named_and_nothing_else(dsn: str, tmp_path: Path) -> None:
    async with open_shop(dsn, tmp_path) as shop, asking(shop) as http:
        status, parts = await ready(http)
        # Orders are taken without a worker, but that there is none is told.
        assert status == 200
        assert parts == {
            "database": "ok",
            "schema": "ok",
            "change_feed": "ok",
            "worker": "silent",
            "desk": "ok",
        }
        await Heart(shop.parts.db, ProcessKind.WORKER).beat()
        assert (await ready(http))[1]["worker"] == "ok"
        text = (await http.get("/readyz")).text
        assert not any(word in text for word in ("postgres", "127.0.0.1", str(tmp_path)))


async def test_a_missing_migration_is_told(dsn: str, tmp_path: Path) -> None:
    async with open_shop(dsn, tmp_path) as shop, asking(shop) as http:
        last = migrations.migrations()[-1].name
        async with shop.parts.db.transaction() as tx:
            await tx.execute("DELETE FROM schema_migrations WHERE name = $1", last)
        assert (await ready(http))[0] == 503
        assert (await ready(http))[1]["schema"] == "missing"
        async with shop.parts.db.transaction() as tx:
            await tx.execute("DROP TABLE schema_migrations")
        assert (await ready(http))[1]["schema"] == "missing"
        assert (await http.get("/api/v1/status")).status_code == 503


async def test_a_newer_schema_is_no_trouble(dsn: str, tmp_path: Path) -> None:
    async with open_shop(dsn, tmp_path) as shop, asking(shop) as http:
        async with shop.parts.db.transaction() as tx:
            await tx.execute("INSERT INTO schema_migrations VALUES ('9999_later.sql', 'x')")
        assert (await ready(http))[0] == 200


async def test_a_stale_change_feed_is_told(dsn: str, tmp_path: Path) -> None:
    async with open_shop(dsn, tmp_path) as shop, asking(shop) as http:
        # What others change is not heard of: the table is gone, the rest of the database is there.
        async with shop.parts.db.transaction() as tx:
            await tx.execute("ALTER TABLE changes RENAME TO elsewhere")
        await asyncio.sleep(0)
        shop.parts.feed.expire()
        status, parts = await ready(http)
        assert status == 503
        assert parts["change_feed"] == "stale"
        assert parts["database"] == "ok"


async def test_a_full_desk_is_told(dsn: str, tmp_path: Path) -> None:
    async with open_shop(dsn, tmp_path) as shop, asking(shop) as http:
        orders: Orders = shop.parts.orders
        await orders.close(0)
        assert (await ready(http)) == (503, {**(await ready(http))[1], "desk": "full"})


async def test_a_server_that_dies_and_comes_back(own_server: StartServer, tmp_path: Path) -> None:
    home = new_home()
    server = await own_server(home)
    await migrations.migrate(server.owner_dsn, app_role="rewards_app")
    async with open_shop(server.owner_dsn, tmp_path) as shop, asking(shop) as http:
        assert (await ready(http))[0] == 200
        strike([postmaster(home)], signal.SIGKILL)
        parts = await until(http, 503)
        assert parts["database"] == "away"
        assert await alive(http)
        assert (await http.get("/api/v1/status")).status_code == 503
        await own_server(home)
        assert (await until(http, 200))["database"] == "ok"


async def test_a_server_that_hangs_keeps_nobody_waiting(
    own_server: StartServer, tmp_path: Path
) -> None:
    home = new_home()
    server = await own_server(home)
    await migrations.migrate(server.owner_dsn, app_role="rewards_app")
    async with open_shop(server.owner_dsn, tmp_path) as shop, asking(shop) as http:
        assert (await ready(http))[0] == 200
        frozen = strike([*await backends(server.owner_dsn), postmaster(home)], signal.SIGSTOP)
        try:
            told = [await ready(http) for _ in range(3)]
            assert {status for status, _ in told} == {503}
            assert {parts["database"] for _, parts in told} == {"away"}
            # Ten who ask at once share one look; nobody queues behind another.
            async with asyncio.timeout(PATIENCE_S):
                answers = await asyncio.gather(*(http.get("/readyz") for _ in range(10)))
            assert {answer.status_code for answer in answers} == {503}
            assert await alive(http)
        finally:
            strike(frozen, signal.SIGCONT)
        assert (await until(http, 200))["database"] == "ok"


async def test_a_heart_says_goodbye_and_waits_out_what_is_away(
    dsn: str, db: Database, settings: Settings
) -> None:
    stop = asyncio.Event()
    beating = asyncio.create_task(Heart(db, ProcessKind.WORKER).run(stop))
    async with asyncio.timeout(PATIENCE_S):
        while not (rows := await read(dsn)):
            await asyncio.sleep(0.02)
    assert rows[0]["stopped_at"] is None
    stop.set()
    await beating
    [row] = await read(dsn)
    assert row["stopped_at"] is not None
    assert (row["kind"], row["pid"] > 0) == ("WORKER", True)
    # One whose database went away ends all the same.
    other = await Database.connect(dsn, settings)
    lost = asyncio.Event()
    beating = asyncio.create_task(Heart(other, ProcessKind.WORKER).run(lost))
    other._pool.terminate()
    lost.set()
    async with asyncio.timeout(PATIENCE_S):
        await beating


async def test_the_states_are_words_of_their_own() -> None:
    assert WAIT_S < 2
    assert {str(part) for part in Part} >= {"database", "schema", "change_feed", "desk", "worker"}
    assert all(json.dumps(state) for state in State)


async def read(dsn: str) -> list[Any]:
    connection = await asyncpg.connect(dsn)
    try:
        return list(await connection.fetch("SELECT * FROM process_beats"))
    finally:
        await connection.close()


def postmaster(home: Path) -> int:
    pid_file = postgres_files.place(home).data / "postmaster.pid"
    return int(pid_file.read_text().split("\n", 1)[0])


async def backends(dsn: str) -> list[int]:
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(
            "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL"
        )
        return [row["pid"] for row in rows]
    finally:
        await connection.close()
