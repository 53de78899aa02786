"""Whatever a receiver does, and whoever is killed: each event arrives or is given up (T37)."""

import asyncio
import random
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from rewards.infra.db import Database
from rewards.webhooks.model_sending import ATTEMPTS_MAX
from tests import processes
from tests.processes import Process
from tests.webhooks.posting import Post, open_post, until
from tests.webhooks.receiver import GOOD, Conduct, Heard, status

ENDPOINTS = 20
LONG = timedelta(days=3)
DONE_S = 120.0
OPEN = "SELECT count(*) FROM webhook_deliveries WHERE status = 'PENDING'"
FAULTS = (
    *(Conduct(status(code)) for code in (199, 301, 302, 400, 404, 429, 500, 502, 503, 599)),
    Conduct(status(503, "Retry-After: 1\r\n")),
    Conduct(hangs_up=True),
    Conduct(b"SSH-2.0-OpenSSH_9.2\r\n"),
    Conduct(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000),
    Conduct(status(500, body="\x00\x01 \u20ac"), after_s=0.05),
)
# They acknowledge, in their way.
ODD = (
    Conduct(status(204)),
    Conduct(b"HTTP/1.1 200 OK\r\n\r\n", endless=True),
    Conduct(status(200, body="x" * 100_000)),
    Conduct(after_s=0.1),
)


def conduct(heard: Heard) -> Conduct:
    """Half of what comes meets a fault, whichever attempt it is; p0 takes nothing at all."""
    if heard.path == "p0":
        return FAULTS[0]
    lot = random.random()
    return random.choice(FAULTS) if lot < 0.3 else random.choice(ODD) if lot < 0.4 else GOOD


async def start(post: Post, home: Path) -> Process:
    command = [sys.executable, "-m", "tests.webhooks.sender_process", post.dsn, str(home)]
    process = await processes.start(command)
    await until(lambda: "ready" in process.output() or process.returncode is not None)
    return process


@pytest.mark.parametrize(
    ("events", "kills"), [(5_000, 5), pytest.param(200_000, 40, marks=pytest.mark.long)]
)
async def test_each_event_arrives_whatever_fails_and_whoever_is_killed(
    dsn: str, db: Database, tmp_path: Path, events: int, kills: int
) -> None:
    async with open_post(db, tmp_path) as post:
        post.dsn = dsn
        post.receiver.conduct = conduct
        lanes = [await post.lone(f"p{number}") for number in range(ENDPOINTS)]
        each = -(-events // (ENDPOINTS - 1))
        for number, (client_id, _) in enumerate(lanes):
            # Probed once a second, a dead endpoint would take its time.
            await post.queue(client_id, each if number else 1)
        running = [await start(post, tmp_path) for _ in range(2)]
        heard, killed = 0, 0
        try:
            async with asyncio.timeout(DONE_S + events / 100):
                while await post.value(OPEN):
                    # What waits for its next attempt need not wait in a test.
                    await post.pass_time(LONG)
                    await asyncio.sleep(0.1)
                    if killed < kills and len(post.receiver.all) > heard + events // (kills + 4):
                        heard = len(post.receiver.all)
                        await running[killed % 2].kill()
                        running[killed % 2] = await start(post, tmp_path)
                        killed += 1
        finally:
            for process in running:
                await process.kill()
        assert killed == kills
        await judge(post, lanes, each)


async def judge(post: Post, lanes: list[tuple[int, int]], each: int) -> None:
    arrived = Counter[str]()
    for number, (_, endpoint_id) in enumerate(lanes):
        path = f"p{number}"
        post.verify_all(endpoint_id, path)
        ids = set(post.receiver.ids(path))
        deliveries = await post.deliveries(endpoint_id)
        assert len(deliveries) == (each if number else 1)
        for delivery in deliveries:
            arrived[delivery["status"]] += 1
            if delivery["status"] == "DELIVERED":
                assert f"evt_{delivery['event_id']}" in ids
            else:
                assert delivery["attempts"] == ATTEMPTS_MAX
                assert delivery["last_error"]
        bodies = {(one.id, one.body) for one in post.receiver.heard[path]}
        assert len(bodies) == len(ids), "the same event is the same bytes each time"
        if number == 0:
            assert {delivery["status"] for delivery in deliveries} == {"FAILED"}
    print(dict(arrived), f"{len(post.receiver.all)} requests")
    assert await post.breaches() == {}
