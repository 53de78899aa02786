"""The change feed: nothing committed is missed, and nobody is told that stale is fresh."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import asyncpg
import pytest

from rewards.core.errors import Unavailable
from rewards.infra import changes
from rewards.infra.changes import ChangeFeed, announce, forget
from rewards.infra.db import Database
from rewards.infra.settings import Settings

# The feed begins at the oldest transaction of the whole server.
pytestmark = pytest.mark.usefixtures("quiet")


class Told:
    """A subscriber that remembers."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    async def __call__(self, subject_ids: list[int]) -> None:
        self.batches.append(subject_ids)

    @property
    def ids(self) -> list[int]:
        return [each for batch in self.batches for each in batch]


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
async def feed(db: Database, told: Told) -> AsyncIterator[ChangeFeed]:
    """Not polling by itself: each test says when."""
    made = ChangeFeed(db)
    made.subscribe("clients", told)
    await made.ensure_fresh()
    yield made
    await made.stop()


async def poll(feed: ChangeFeed) -> None:
    feed.expire()
    await feed.ensure_fresh()


async def say(db: Database, *subject_ids: int, topic: str = "clients") -> None:
    async with db.transaction() as tx:
        await announce(tx, topic, subject_ids)


async def test_a_committed_change_is_told_once(db: Database, feed: ChangeFeed, told: Told) -> None:
    await say(db, 3, 1, 3)
    await poll(feed)
    await poll(feed)
    assert told.batches == [[1, 3]]


async def test_other_topics_are_other_peoples(db: Database, feed: ChangeFeed, told: Told) -> None:
    await say(db, 1, topic="prices")
    await say(db, 2)
    await poll(feed)
    assert told.batches == [[2]]


async def test_what_is_rolled_back_is_not_told(db: Database, feed: ChangeFeed, told: Told) -> None:
    async def undone() -> None:
        async with db.transaction() as tx:
            await announce(tx, "clients", [1])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await undone()
    await poll(feed)
    assert told.batches == []


async def test_nothing_is_written_for_no_subjects(db: Database, feed: ChangeFeed) -> None:
    await say(db)
    async with db.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM changes") == 0


async def test_what_was_said_before_the_feed_began_is_not_told(db: Database, told: Told) -> None:
    await say(db, 1)
    feed = ChangeFeed(db)
    feed.subscribe("clients", told)
    await feed.ensure_fresh()
    await poll(feed)
    assert told.batches == []


async def test_a_poll_that_ended_this_very_moment_is_not_taken_for_a_new_one(
    db: Database, feed: ChangeFeed
) -> None:
    """Who asks just as a poll ends waits for another."""
    looks: list[asyncio.Task[None]] = []

    async def ask_as_it_ends(subject_ids: list[int]) -> None:
        # Its first step comes after the last of the poll, before anybody learns that it ended.
        looks.append(asyncio.create_task(poll(feed)))

    feed.subscribe("prices", ask_as_it_ends)
    await say(db, 1, topic="prices")
    await poll(feed)
    [look] = looks
    await look
    assert feed.fresh


async def test_a_late_commit_is_never_missed(db: Database, feed: ChangeFeed, told: Told) -> None:
    async with db.transaction() as early:
        await announce(early, "clients", [1])
        await poll(feed)
        for subject_id in (2, 3):
            await say(db, subject_id)
            await poll(feed)
        assert told.ids == [2, 3]
    await poll(feed)
    await poll(feed)
    assert told.ids == [2, 3, 1]


async def test_many_writers_and_polls_at_once_lose_and_repeat_nothing(
    db: Database, feed: ChangeFeed, told: Told
) -> None:
    async def write(first: int) -> None:
        for subject_id in range(first, first + 20):
            async with db.transaction() as tx:
                await announce(tx, "clients", [subject_id])
                await asyncio.sleep(0.0005 * (subject_id % 5))

    async def poll_on() -> None:
        while True:
            await poll(feed)

    polling = asyncio.create_task(poll_on())
    await asyncio.gather(*(write(100 * each) for each in range(1, 6)))
    polling.cancel()
    await poll(feed)
    assert sorted(told.ids) == [100 * e + n for e in range(1, 6) for n in range(20)]


async def test_a_fresh_feed_asks_nothing(
    db: Database, feed: ChangeFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    await db.close()
    for _ in range(100):
        await feed.ensure_fresh()


async def test_without_the_background_a_stale_feed_polls_before_it_answers(
    db: Database, feed: ChangeFeed, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "FRESH_S", 0.05)
    await say(db, 1)
    assert told.ids == []
    await asyncio.sleep(0.06)
    await feed.ensure_fresh()
    assert told.ids == [1]


async def test_waiters_share_a_poll_and_one_that_leaves_does_not_stop_it(
    db: Database, feed: ChangeFeed, told: Told
) -> None:
    reads = 0
    read = feed._read

    async def counted() -> None:
        nonlocal reads
        reads += 1
        await asyncio.sleep(0.01)
        await read()

    feed._read = counted  # type: ignore[method-assign]
    await say(db, 1)
    feed.expire()
    waiters = [asyncio.create_task(feed.ensure_fresh()) for _ in range(50)]
    await asyncio.sleep(0.005)
    waiters[0].cancel()
    await asyncio.gather(*waiters[1:])
    assert (reads, told.ids) == (1, [1])


async def test_a_poll_that_began_before_a_commit_of_ours_does_not_count(
    db: Database, feed: ChangeFeed, told: Told
) -> None:
    entered, go = asyncio.Event(), asyncio.Event()
    read = feed._read

    async def slow() -> None:
        await read()
        began_s = feed._began_s
        entered.set()
        await go.wait()
        feed._began_s = began_s

    feed._read = slow  # type: ignore[method-assign]
    feed.expire()
    first = asyncio.create_task(feed.ensure_fresh())
    await entered.wait()
    feed._read = read  # type: ignore[method-assign]
    await say(db, 1)
    feed.expire()
    second = asyncio.create_task(feed.ensure_fresh())
    await asyncio.sleep(0.01)
    assert not second.done()
    go.set()
    await asyncio.gather(first, second)
    assert told.ids == [1]


async def test_nobody_is_let_in_on_stale_entries_while_the_database_is_away(
    db: Database, feed: ChangeFeed
) -> None:
    await db.close()
    feed.expire()
    with pytest.raises(Unavailable):
        await feed.ensure_fresh()


async def test_the_background_polls_and_survives_an_outage(
    dsn: str, server_dsn: str, settings: Settings, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "POLL_INTERVAL_S", 0.02)
    db = await Database.connect(dsn, settings)
    feed = ChangeFeed(db)
    feed.subscribe("clients", told)
    await feed.start()
    name = urlsplit(dsn).path.lstrip("/")
    admin = await asyncpg.connect(server_dsn)
    try:
        await admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name
        )
        feed.expire()
        with pytest.raises((Unavailable, asyncpg.PostgresError)):
            await feed.ensure_fresh()
        await asyncio.sleep(0.1)
        await admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        await say(db, 7)
        async with asyncio.timeout(3):
            while not told.ids:
                await asyncio.sleep(0.01)
    finally:
        await admin.close()
        await feed.stop()
        await db.close()
    assert told.ids == [7]


async def test_old_rows_can_be_forgotten(db: Database) -> None:
    await say(db, 1, 2)
    now = datetime.now(UTC)
    async with db.transaction() as tx:
        assert await forget(tx, now - timedelta(hours=24)) == 0
        assert await forget(tx, now + timedelta(minutes=1)) == 2
