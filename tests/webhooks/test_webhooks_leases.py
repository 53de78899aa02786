"""Leases: who holds a delivery, what ends with them, and what a lost database changes."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from rewards.infra.db import Database
from rewards.infra.settings import Settings
from tests.market import MovedClock
from tests.webhooks.posting import Post, open_post, sending, until
from tests.webhooks.receiver import Conduct, Heard, status

OTHERS = """
UPDATE webhook_deliveries SET lease = $2, leased_until = now() + $3::interval
WHERE id = ANY (ARRAY(
    SELECT id FROM webhook_deliveries WHERE endpoint_id = $1 ORDER BY id LIMIT $4
))
"""
TERMINATE = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'rewards' AND pid <> pg_backend_pid()
"""
OPEN = "SELECT count(*) FROM webhook_deliveries WHERE status = 'PENDING'"
HOUR = timedelta(hours=1)


@pytest.fixture
async def post(db: Database, tmp_path: Path) -> AsyncIterator[Post]:
    async with open_post(db, tmp_path) as opened:
        yield opened


async def test_nothing_overtakes_what_another_worker_holds(post: Post) -> None:
    """Not even a later delivery that nobody holds; once those leases end, all go out in order."""
    client_id, endpoint_id = await post.lone()
    await post.queue(client_id, 5)
    await post.execute(OTHERS, endpoint_id, uuid4(), HOUR, 2)
    one = post.sender()
    assert await one.drain() == 0
    await post.execute(OTHERS, endpoint_id, uuid4(), -HOUR, 2)
    assert await one.drain() == 5
    firsts = sorted(await post.attempts(endpoint_id), key=lambda each: each["started_at"])
    assert [each["delivery_id"] for each in firsts] == [1, 2, 3, 4, 5]


async def test_what_comes_after_the_lease_counts_for_nothing(post: Post) -> None:
    """Somebody else has taken it meanwhile; what he meets is written down."""
    post.receiver.conduct = lambda _: Conduct(after_s=0.2)
    client_id, endpoint_id = await post.lone()
    await post.queue(client_id)
    other = uuid4()
    with capture_logs() as logs:
        draining = asyncio.create_task(post.sender().drain())
        await until(lambda: bool(post.receiver.heard["hook"]))
        await post.execute(OTHERS, endpoint_id, other, HOUR, 1)
        await draining
    [delivery] = await post.deliveries(endpoint_id)
    assert (delivery["status"], delivery["attempts"], delivery["lease"]) == ("PENDING", 0, other)
    assert await post.attempts(endpoint_id) == []
    assert [each["attempts"] for each in logs if each["event"] == "webhook_attempts_late"] == [1]


async def test_clocks_of_workers_a_day_apart_change_nothing(post: Post) -> None:
    """Leases and retries go by the database's clock; only the time of sending is the worker's."""

    def once(heard: Heard) -> Conduct:
        return Conduct(status(500)) if len(post.receiver.heard[heard.path]) == 1 else Conduct()

    post.receiver.conduct = once
    client_id, endpoint_id = await post.lone()
    await post.queue(client_id, 30)
    early = post.sender()
    post.clock = MovedClock(timedelta(days=1))
    async with sending(early, post.sender()):
        await until(lambda: len(post.receiver.heard["hook"]) == 30)
    assert len(set(post.receiver.ids("hook"))) == 30
    [waiting] = [each for each in await post.deliveries(endpoint_id) if each["status"] == "PENDING"]
    due_s = await post.value(
        "SELECT extract(epoch FROM next_at - now())::float8 FROM webhook_deliveries WHERE id = $1",
        waiting["id"],
    )
    assert 0 < due_s <= 33


async def test_a_lost_database_loses_nothing(dsn: str, post: Post) -> None:
    """Its connections end again and again; what was sent and not written down is sent once more."""
    post.receiver.conduct = lambda _: Conduct(after_s=0.01)
    lanes = [await post.lone(f"p{number}") for number in range(10)]
    for client_id, _ in lanes:
        await post.queue(client_id, 40)
    own = await Database.connect(dsn, Settings(), size=3)
    struck = Post(own, post.vault, post.receiver, post.poster)
    try:
        async with sending(struck.sender(lease_s=8.0), struck.sender(lease_s=8.0)):
            for _ in range(4):
                await until(lambda: len(post.receiver.all) > 20)
                await post.value(TERMINATE)
                await asyncio.sleep(0.2)
            async with asyncio.timeout(60):
                while await post.value(OPEN):
                    # An attempt may have failed on a machine as busy as this one may be.
                    await post.pass_time(HOUR)
                    await asyncio.sleep(0.05)
    finally:
        await own.close()
    for number, (_, endpoint_id) in enumerate(lanes):
        assert {each["status"] for each in await post.deliveries(endpoint_id)} == {"DELIVERED"}
        assert len(set(post.receiver.ids(f"p{number}"))) == 40
    assert await post.breaches() == {}


async def test_a_secret_that_does_not_open_stops_its_endpoint_alone(post: Post) -> None:
    good_client, _ = await post.lone("good")
    bad_client, bad = await post.lone("bad")
    await post.queue(bad_client, 2)
    await post.queue(good_client, 2)
    await post.execute("UPDATE webhook_endpoints SET secret = 'broken' WHERE id = $1", bad)
    with capture_logs() as logs:
        assert await post.sender().drain() == 2
    assert len(post.receiver.heard["good"]) == 2
    assert "bad" not in post.receiver.heard
    assert [each["endpoint_id"] for each in logs if each["event"] == "webhook_secret_broken"] == [
        bad
    ]
    assert all(each["lease"] is None for each in await post.deliveries(bad))
