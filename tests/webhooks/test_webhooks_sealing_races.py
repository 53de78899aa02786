"""Whoever commits when, whoever is killed: no gap, nothing twice, nothing new below a cursor."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import asyncpg
import pytest
from asyncpg.transaction import Transaction

from rewards.infra.db import Database
from rewards.webhooks.envelope import ID_PREFIX
from rewards.webhooks.feed import Feed
from rewards.webhooks.model_feed import FeedAsk
from rewards.webhooks.sealing import Sealer
from tests.sealing import CLIENTS, start
from tests.webhooks.feeding import Clock, breaches, emit, feed

WRITERS, ACTS = 6, 150
CI_SEEDS = 6
LONG_SEEDS = [pytest.param(seed, marks=pytest.mark.long) for seed in range(CI_SEEDS, 200)]
COMMITTED = "SELECT client_id, array_agg(id ORDER BY id) AS ids FROM events GROUP BY client_id"


@dataclass
class Reader:
    """Reads the feed again and again; what it has read stays, and what is new comes after it."""

    db: Database
    seen: dict[int, list[int]] = field(default_factory=dict)
    looks: int = 0

    async def look(self) -> None:
        told: dict[int, list[int]] = {}
        for client_id, sequence, event_id in await feed(self.db):
            mine = told.setdefault(client_id, [])
            mine.append(event_id)
            assert sequence == len(mine)
        for client_id, known in self.seen.items():
            assert told[client_id][: len(known)] == known
        self.seen, self.looks = told, self.looks + 1

    async def check(self) -> None:
        """What was committed is there, all of it, once."""
        await self.look()
        async with self.db.connection() as connection:
            rows = await connection.fetch(COMMITTED)
        assert {row["client_id"]: row["ids"] for row in rows} == {
            client_id: sorted(ids) for client_id, ids in self.seen.items()
        }
        assert await breaches(self.db) == {}


@dataclass
class Follower:
    """Goes from cursor to cursor, as a client does, and remembers what it was told."""

    feed: Feed
    client_id: int
    told: list[int] = field(default_factory=list)
    after: int | None = None

    async def look(self) -> None:
        page = await self.feed.read(FeedAsk(self.client_id, self.after, limit=7))
        self.told += [int(event.id.removeprefix(ID_PREFIX)) for event in page.events]
        self.after = page.after

    async def to_the_end(self) -> list[int]:
        before = -1
        while len(self.told) > before:
            before = len(self.told)
            await self.look()
        return self.told


@dataclass
class Writer:
    """A connection that begins, emits, commits or undoes, one step at a time."""

    connection: asyncpg.Connection
    chance: random.Random
    act: Transaction | None = None

    async def step(self) -> None:
        if self.act is None:
            self.act = self.connection.transaction()
            await self.act.start()
            if self.chance.random() < 0.3:
                await self.connection.execute("SELECT pg_current_xact_id()")
        elif self.chance.random() < 0.6:
            await emit(self.connection, *self.chance.choices([1, 2], k=self.chance.randint(1, 4)))
        else:
            await self.end()

    async def end(self) -> None:
        if self.act is not None:
            await (self.act.rollback() if self.chance.random() < 0.2 else self.act.commit())
        self.act = None


@asynccontextmanager
async def writers(dsn: str, chance: random.Random) -> AsyncIterator[list[Writer]]:
    async with AsyncExitStack() as stack:
        opened = []
        for _ in range(WRITERS):
            connection = await asyncpg.connect(dsn)
            stack.push_async_callback(connection.close)
            opened.append(Writer(connection, chance))
        yield opened


@pytest.mark.parametrize("seed", [*range(CI_SEEDS), *LONG_SEEDS])
async def test_whatever_commits_when_the_feed_only_grows_at_its_end(
    db: Database, dsn: str, seed: int
) -> None:
    """Six transactions at a time, begun, written in, committed and undone in any order."""
    chance = random.Random(seed)
    sealer = Sealer(db, Clock(), batch_max=chance.choice([3, 8, 1_000]))
    reader = Reader(db)
    async with writers(dsn, chance) as opened:
        for _ in range(ACTS):
            if chance.random() < 0.25:
                await sealer.seal()
                await reader.look()
            else:
                await chance.choice(opened).step()
        for writer in opened:
            await writer.end()
    await sealer.drain()
    await reader.check()


@pytest.mark.parametrize("kills", [5, pytest.param(100, marks=pytest.mark.long)])
async def test_processes_that_write_seal_and_are_killed_leave_one_feed(
    db: Database, dsn: str, kills: int
) -> None:
    """Two emit, two seal; a sealer is killed and replaced, again and again, while others read."""

    begin = partial(start, "webhooks", dsn)
    reader = Reader(db)
    followers = [Follower(Feed(db), client_id) for client_id in CLIENTS]
    emitting = [await begin(f"seed-{number}") for number in range(2)]
    sealing = [await begin("seal") for _ in range(2)]
    for _ in range(kills):
        before, until_s = sum(map(len, reader.seen.values())), time.monotonic() + 20
        while sum(map(len, reader.seen.values())) < before + 30:
            assert time.monotonic() < until_s, sealing[0].output() + emitting[0].output()
            await reader.look()
            for follower in followers:
                await follower.look()
            await asyncio.sleep(0.02)
        await sealing.pop(0).kill()
        sealing.append(await begin("seal"))
    for process in (*emitting, *sealing):
        await process.kill()
    await Sealer(db, Clock()).drain()
    await reader.check()
    for follower in followers:
        assert await follower.to_the_end() == reader.seen[follower.client_id]
    print(f"{sum(map(len, reader.seen.values()))} events, {reader.looks} looks")
