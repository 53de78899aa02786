"""Every committed event has one number in its client's feed, in an order that never changes."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from structlog.testing import capture_logs

from rewards.infra import sealing
from rewards.infra.db import Database
from rewards.infra.sealing import Sealed
from rewards.webhooks import service
from rewards.webhooks.model import EventType
from rewards.webhooks.sealing import Sealer
from rewards.webhooks.sql_sealing import EVENTS
from tests.counting import statements
from tests.webhooks.feeding import (
    AT,
    Clock,
    breaches,
    emit,
    emitted,
    endpoint,
    event,
    feed,
)

DELIVERIES = """
SELECT endpoint_id, client_id, event_id, sequence, event_type, status, attempts, created_at,
    next_at <= clock_timestamp()
FROM webhook_deliveries ORDER BY id
"""
STATE = "SELECT sealed::text, target::text, after_id, upto_id FROM event_sealing"


@pytest.fixture
def sealer(db: Database) -> Sealer:
    return Sealer(db, Clock())


@pytest.fixture
async def held(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection whose transaction the test begins and ends itself."""
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()


async def test_events_are_numbered_by_client_from_one(db: Database, sealer: Sealer) -> None:
    await emitted(db, 1, 2, 1)
    await emitted(db, 2, 1)
    assert await sealer.drain() == 5
    assert await feed(db) == [(1, 1, 1), (1, 2, 3), (1, 3, 5), (2, 1, 2), (2, 2, 4)]
    await emitted(db, 2, 3)
    assert await sealer.seal() == Sealed(2, 0, behind=False)
    assert (await feed(db))[-2:] == [(2, 3, 6), (3, 1, 7)]
    async with db.connection() as connection:
        assert await connection.fetchval("SELECT min(sealed_at) FROM event_feed") == AT
    assert await breaches(db) == {}


async def test_nothing_new_is_one_read(db: Database, sealer: Sealer) -> None:
    await emitted(db, 1)
    await sealer.drain()
    async with db.connection() as connection:
        before = await connection.fetchval("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")
        for _ in range(5):
            assert await sealer.seal() == sealing.NOTHING
        with statements(connection) as sent:
            assert not await EVENTS.due(connection)
        after = await connection.fetchval("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")
    assert len(sent) == 1
    assert int(after) - int(before) <= 1


async def test_a_late_commit_comes_after_what_was_seen(
    db: Database, sealer: Sealer, held: asyncpg.Connection
) -> None:
    """Its event was written first, with the lowest id and the oldest transaction."""
    late = held.transaction()
    await late.start()
    await emit(held, 1)
    await emitted(db, 1, 1)
    await sealer.drain()
    assert await feed(db) == [(1, 1, 2), (1, 2, 3)]
    await emitted(db, 1)
    await sealer.drain()
    await late.commit()
    assert await sealer.drain() == 1
    assert await feed(db) == [(1, 1, 2), (1, 2, 3), (1, 3, 4), (1, 4, 1)]
    assert await breaches(db) == {}


async def test_a_long_transaction_holds_nobody_back(
    db: Database, sealer: Sealer, held: asyncpg.Connection
) -> None:
    idle = held.transaction()
    await idle.start()
    await held.execute("SELECT pg_current_xact_id()")
    for count in range(1, 4):
        await emitted(db, 1)
        assert await sealer.drain() == 1
        assert len(await feed(db)) == count
    await idle.rollback()
    assert await sealer.drain() == 0


async def test_what_is_rolled_back_has_no_number(
    db: Database, sealer: Sealer, held: asyncpg.Connection
) -> None:
    undone = held.transaction()
    await undone.start()
    await emit(held, 1)
    await emitted(db, 1)
    await sealer.drain()
    await undone.rollback()
    await emitted(db, 1)
    await sealer.drain()
    assert await feed(db) == [(1, 1, 2), (1, 2, 3)]


async def test_who_waited_for_another_comes_after_it(
    db: Database, sealer: Sealer, held: asyncpg.Connection
) -> None:
    """The second began first, so its transaction is the older one; it wrote its event later."""
    second = held.transaction()
    await second.start()
    await held.execute("SELECT pg_current_xact_id()")
    await emitted(db, 1)
    await emit(held, 1)
    await second.commit()
    await sealer.drain()
    assert await feed(db) == [(1, 1, 1), (1, 2, 2)]


async def test_each_endpoint_that_subscribed_gets_a_delivery(db: Database, sealer: Sealer) -> None:
    every = await endpoint(db, 1)
    some = await endpoint(db, 1, ["wallet.low_balance"])
    await endpoint(db, 1, status="DISABLED")
    await endpoint(db, 1, deleted=True)
    stranger = await endpoint(db, 2)
    low = event(1, EventType.WALLET_LOW_BALANCE)
    test = event(1, EventType.WEBHOOK_TEST, endpoint_id=some)
    async with db.transaction() as tx:
        await service.emit(tx, [event(1), low, test, event(2)], AT)
    assert await sealer.seal() == Sealed(4, 5, behind=False)
    async with db.connection() as connection:
        rows = [tuple(row) for row in await connection.fetch(DELIVERIES)]
    due = ("PENDING", 0, AT, True)
    assert rows == [
        (every, 1, 1, 1, "wallet.credited", *due),
        (every, 1, 2, 2, "wallet.low_balance", *due),
        (some, 1, 2, 2, "wallet.low_balance", *due),
        (some, 1, 3, 3, "webhook.test", *due),
        (stranger, 2, 4, 1, "wallet.credited", *due),
    ]
    assert await breaches(db) == {}


async def test_a_backlog_is_numbered_in_bounded_rounds(
    db: Database, held: asyncpg.Connection
) -> None:
    """Those of a transaction that was open meanwhile are found when it ends."""
    small = Sealer(db, Clock(), batch_max=10)
    late = held.transaction()
    await late.start()
    await emit(held, 1)
    for _ in range(5):
        await emitted(db, 1, 2, 1, 2, 1)
    rounds = [await small.seal()]
    await late.commit()
    await emitted(db, 1)
    while rounds[-1].behind:
        rounds.append(await small.seal())
    assert [done.rows for done in rounds] == [10, 10, 5]
    assert await small.drain() == 2
    numbered = await feed(db)
    assert len(numbered) == 27
    assert [row[2] for row in numbered if row[0] == 2] == sorted(
        row[2] for row in numbered if row[0] == 2
    )
    assert numbered[16][2] == 1 or numbered[15][2] == 1
    # The same again, now that sealing has begun.
    for _ in range(5):
        await emitted(db, 1, 2, 1, 2, 1)
    rounds = [await small.seal()]
    await emitted(db, 2)
    while rounds[-1].behind:
        rounds.append(await small.seal())
    assert sum(done.rows for done in rounds) + await small.drain() == 26
    assert max(done.rows for done in rounds) == 10
    assert await breaches(db) == {}
    async with db.connection() as connection:
        state = await connection.fetchrow(STATE)
    assert list(state)[1:] == [None, None, None]


async def test_a_restored_database_goes_on_where_it_was(db: Database, sealer: Sealer) -> None:
    """Into a younger cluster: its transactions count from low numbers again."""
    async with db.transaction() as tx:
        await emit(tx, 1, 1)
        await tx.execute(
            "INSERT INTO events (client_id, type, data, created_at, xid)"
            " VALUES (1, 'wallet.credited', '{}', now(), '5000000000')"
        )
        await tx.execute("INSERT INTO event_feed VALUES (1, 1, 1, now())")
        await tx.execute("INSERT INTO event_counters VALUES (1, 1)")
        await tx.execute("UPDATE event_sealing SET sealed = '5000000001:5000000001:'")
    await emitted(db, 1)
    assert await sealer.drain() == 3
    await emitted(db, 1)
    assert await sealer.drain() == 1
    assert await feed(db) == [(1, number, number) for number in range(1, 6)]
    assert await breaches(db) == {}


async def test_one_seals_at_a_time(db: Database, sealer: Sealer, held: asyncpg.Connection) -> None:
    await emitted(db, 1)
    other = held.transaction()
    await other.start()
    await held.execute(EVENTS.turn_statement)
    assert await sealer.seal() == sealing.NOTHING
    await other.rollback()
    await emitted(*(db, *range(1, 20)))
    rounds = await asyncio.gather(*(Sealer(db, Clock()).seal() for _ in range(5)))
    assert sum(done.rows for done in rounds) == 20
    assert len(await feed(db)) == 20


async def test_it_runs_until_it_is_stopped_and_waits_out_an_absent_database(
    db: Database, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "AWAY_S", 0.05)
    stop = asyncio.Event()
    with capture_logs() as logs:
        running = asyncio.create_task(Sealer(db, Clock()).run(stop))
        await emitted(db, 1)
        connection = await asyncpg.connect(dsn)
        await _until_numbered(connection, 1)
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'rewards' AND datname = current_database()"
        )
        async with connection.transaction():
            await emit(connection, 1)
        await _until_numbered(connection, 2)
        await connection.close()
        stop.set()
        await asyncio.wait_for(running, 5)
    assert len([line for line in logs if line["event"] == "sealing_interrupted"]) <= 1


async def _until_numbered(connection: asyncpg.Connection, count: int) -> None:
    async with asyncio.timeout(10):
        while await connection.fetchval("SELECT count(*) FROM event_feed") < count:
            await asyncio.sleep(0.02)
