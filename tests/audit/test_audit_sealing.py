"""Whoever commits when, whoever is killed: each entry has one place, for good."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial

import asyncpg
import pytest

from rewards.audit import sql_chain
from rewards.audit.sealing import AuditSealer
from rewards.core.clock import SystemClock
from rewards.core.errors import Unavailable
from rewards.infra.db import Database, Tx
from rewards.infra.sql_sealing import Look
from tests.audit.trailing import AT, KEY, chain, found, sealer, write, written
from tests.sealing import start
from tests.webhooks.feeding import Clock

COMMITTED = "SELECT id FROM audit_entries ORDER BY id"
WRITERS, ACTS, SEEDS = 6, 120, 4
LONG_SEEDS = [pytest.param(seed, marks=pytest.mark.long) for seed in range(SEEDS, 100)]


@pytest.fixture
async def held(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection whose transaction the test begins and ends itself."""
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()


async def whole(db: Database, dsn: str) -> list[int]:
    """What was committed is in the chain, all of it, once, and the doctor agrees."""
    done = await chain(db)
    async with db.connection() as connection:
        rows = await connection.fetch(COMMITTED)
    assert sorted(done) == [row["id"] for row in rows]
    assert await found(dsn) == {}
    return done


async def test_a_clock_that_is_far_ahead_holds_no_later_seal_there(db: Database, dsn: str) -> None:
    await written(db, 1)
    assert await AuditSealer(db, Clock(AT + timedelta(days=3_650)), KEY).drain() == 1
    await written(db, 1)
    assert await sealer(db).drain() == 1
    async with db.connection() as connection:
        rows = await connection.fetch("SELECT sealed_at - now() AS ahead FROM audit_seals")
    assert len(rows) == 2
    assert max(row["ahead"] for row in rows) <= timedelta(minutes=1)
    assert await whole(db, dsn) == [1, 2]


async def test_a_late_commit_comes_after_what_was_sealed(
    db: Database, dsn: str, held: asyncpg.Connection
) -> None:
    """Its entry was written first, with the lowest id and the oldest transaction."""
    late = held.transaction()
    await late.start()
    await write(held)
    await written(db, 2)
    assert await sealer(db).drain() == 2
    await written(db, 1)
    assert await sealer(db).drain() == 1
    await late.commit()
    assert await sealer(db).drain() == 1
    assert await whole(db, dsn) == [2, 3, 4, 1]


async def test_a_round_makes_one_seal_and_nothing_new_makes_none(db: Database, dsn: str) -> None:
    await written(db, 3)
    done = await sealer(db).seal()
    assert (done.rows, done.made) == (3, 1)
    assert await sealer(db).drain() == 0
    async with db.connection() as connection:
        head = await sql_chain.head(connection)
    assert (head.sequence, head.position) == (1, 3)


async def test_a_backlog_is_sealed_in_bounded_rounds(db: Database, dsn: str) -> None:
    small = sealer(db, batch_max=4)
    await written(db, 5, 5)
    await small.seal()
    await written(db, 3)
    assert await small.drain() + 4 == 13
    await written(db, 9)
    assert await small.drain() == 9
    await whole(db, dsn)


async def test_a_restored_database_goes_on_where_it_was(db: Database, dsn: str) -> None:
    """Into a younger cluster: its transactions count from low numbers again."""
    await written(db, 2)
    await sealer(db).drain()
    async with db.transaction() as tx:
        await tx.execute("SET LOCAL session_replication_role = replica")
        await tx.execute("UPDATE audit_entries SET xid = '5000000000'")
        await tx.execute("UPDATE audit_sealing SET sealed = '5000000001:5000000001:'")
    await written(db, 1)
    assert await sealer(db).drain() == 1
    await written(db, 1)
    assert await sealer(db).drain() == 1
    assert await whole(db, dsn) == [1, 2, 3, 4]


class Dying(AuditSealer):
    """Its connection ends between its steps, as when the process is killed."""

    async def place(self, tx: Tx, look: Look) -> int:
        made = await super().place(tx, look)
        tx.terminate()
        return made


async def test_one_that_dies_between_its_steps_leaves_nothing_half_done(
    db: Database, dsn: str
) -> None:
    await written(db, 3)
    for _ in range(2):
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, Unavailable)):
            await Dying(db, SystemClock(), KEY).seal()
        assert await chain(db) == []
        assert (await found(dsn)).keys() == {"i20_sealing_keeps_up"}
    assert await sealer(db).drain() == 3
    assert await whole(db, dsn) == [1, 2, 3]


@pytest.mark.parametrize("seed", [*range(SEEDS), *LONG_SEEDS])
async def test_whatever_commits_when_the_chain_only_grows_at_its_end(
    db: Database, dsn: str, seed: int
) -> None:
    """Six transactions at a time, begun, written in, committed and undone in any order."""
    chance = random.Random(seed)
    sealing = sealer(db, batch_max=chance.choice([3, 8, 1_000]))
    before: list[int] = []
    async with AsyncExitStack() as stack:
        connections, acts = [], {}
        for _ in range(WRITERS):
            connection = await asyncpg.connect(dsn)
            stack.push_async_callback(connection.close)
            connections.append(connection)
        for _ in range(ACTS):
            connection = chance.choice(connections)
            if chance.random() < 0.25:
                await sealing.seal()
                now = await chain(db)
                assert now[: len(before)] == before
                before = now
            elif connection not in acts:
                acts[connection] = connection.transaction()
                await acts[connection].start()
            elif chance.random() < 0.6:
                await write(connection, chance.randint(1, 4))
            else:
                act = acts.pop(connection)
                await (act.rollback() if chance.random() < 0.2 else act.commit())
        for act in acts.values():
            await act.commit()
    await sealing.drain()
    assert (await whole(db, dsn))[: len(before)] == before


@pytest.mark.parametrize("kills", [4, pytest.param(80, marks=pytest.mark.long)])
async def test_processes_that_write_seal_and_are_killed_leave_one_chain(
    db: Database, dsn: str, kills: int
) -> None:
    """Two write, two seal; a sealer is killed with -9 and replaced, again and again."""

    begin = partial(start, "audit", dsn)
    writing = [await begin(f"seed-{number}") for number in range(2)]
    sealing = [await begin("seal") for _ in range(2)]
    before: list[int] = []
    for _ in range(kills):
        count, until_s = len(before), time.monotonic() + 60
        while len(before) < count + 30:
            assert time.monotonic() < until_s, sealing[0].output() + writing[0].output()
            now = await chain(db)
            assert now[: len(before)] == before
            before = now
            await asyncio.sleep(0.02)
        await sealing.pop(0).kill()
        sealing.append(await begin("seal"))
    for process in (*writing, *sealing):
        await process.kill()
    await sealer(db).drain()
    assert (await whole(db, dsn))[: len(before)] == before
