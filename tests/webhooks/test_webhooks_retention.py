"""Old events are forgotten with all that became of them; the rest keeps its numbers."""

from datetime import timedelta

import pytest

from rewards.infra.db import Database
from rewards.webhooks import tasks
from rewards.webhooks.sealing import Sealer
from rewards.webhooks.tasks import EVENTS_KEPT, EventTasks
from tests.webhooks.feeding import AT, Clock, breaches, emitted, endpoint, feed

REPEAT = """
INSERT INTO webhook_deliveries (endpoint_id, client_id, event_id, sequence, event_type, next_at,
    redelivery_of, created_at)
SELECT endpoint_id, client_id, event_id, sequence, event_type, now(), id, now()
FROM webhook_deliveries
"""
ATTEMPT = """
WITH tried AS (UPDATE webhook_deliveries SET attempts = 1 RETURNING id)
INSERT INTO webhook_attempts (delivery_id, number, started_at, took_ms, status_code)
SELECT id, 1, now(), 5, 500 FROM tried
"""
LEFT = """
SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM webhook_deliveries),
    (SELECT count(*) FROM webhook_attempts)
"""


async def test_what_is_old_is_forgotten_with_all_that_became_of_it(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "EVENTS_A_CLIENT", 2)
    monkeypatch.setattr(tasks, "CLIENTS_A_ROUND", 1)
    await endpoint(db, 1)
    clock = Clock()
    for days, clients in ((0, (1, 1, 1, 2)), (1, (1, 1, 2)), (89, (1,))):
        clock.at = AT + timedelta(days=days)
        await emitted(db, *clients)
        await Sealer(db, clock).drain()
    async with db.transaction() as tx:
        await tx.execute(REPEAT)
        await tx.execute(ATTEMPT)
    assert await breaches(db) == {}
    clock.at = AT + EVENTS_KEPT
    assert await EventTasks(db, clock).forget() == 0
    clock.at += timedelta(seconds=1)
    assert await EventTasks(db, clock).forget() == 4
    assert await feed(db) == [(1, 4, 5), (1, 5, 6), (1, 6, 8), (2, 2, 7)]
    async with db.connection() as connection:
        assert tuple(await connection.fetchrow(LEFT)) == (4, 6, 6)
    assert await breaches(db) == {}
    clock.at += timedelta(days=100)
    assert await EventTasks(db, clock).forget() == 4
    await emitted(db, 1)
    await Sealer(db, clock).drain()
    assert [row[:2] for row in await feed(db)] == [(1, 7)]


async def test_a_clock_that_was_behind_leaves_no_gap(db: Database) -> None:
    clock = Clock()
    for days in (0, 2, 0, 3):
        clock.at = AT + timedelta(days=days)
        await emitted(db, 1)
        await Sealer(db, clock).drain()
    clock.at = AT + EVENTS_KEPT + timedelta(days=1)
    assert await EventTasks(db, clock).forget() == 1
    assert [row[1] for row in await feed(db)] == [2, 3, 4]
