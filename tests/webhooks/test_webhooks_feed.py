"""`GET /events` over HTTP: whoever follows the cursor misses nothing, however he asks."""

import asyncio
import json
import re
import signal
import sys
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rewards.webhooks import feed as feed_module
from rewards.webhooks.model import EventType
from rewards.webhooks.tasks import EVENTS_KEPT, EventTasks
from rewards.webhooks.waiting import WAITING_OF_CLIENT_MAX
from tests import processes
from tests.webhooks.feeding import AT, Clock, emitted
from tests.webhooks.following import Follower, following

WAKES_WITHIN_S = 8
# However busy the machine is.
BEGINS_WITHIN_S = 20
LOW = EventType.WALLET_LOW_BALANCE


@pytest.fixture
async def follower(dsn: str, tmp_path: Path) -> AsyncIterator[Follower]:
    async with following(dsn, tmp_path) as opened:
        yield opened


async def test_a_feed_is_read_page_by_page_to_its_end(follower: Follower) -> None:
    assert await follower.get() == (200, [], (0, False))
    assert await follower.get(after=0) == (200, [], (0, False))
    await follower.happens(*[EventType.WALLET_CREDITED] * 5)
    await follower.happens(LOW, client_id=2)
    assert await follower.numbers(limit=2) == ([1, 2], 2, True)
    assert await follower.numbers(limit=2, after=2) == ([3, 4], 4, True)
    assert await follower.numbers(limit=2, after=4) == ([5], 5, False)
    assert await follower.numbers(limit=1, after=4) == ([5], 5, False)
    assert await follower.numbers(limit=2, after=5) == ([], 5, False)
    async with follower.session.get(
        follower.url + "/api/v1/events?limit=1", headers=follower.keys[1]
    ) as answer:
        assert answer.headers["X-Last-Sequence"] == "5"
    assert await follower.numbers(2) == ([1], 1, False)
    assert await follower.numbers(after="", limit="", type="", wait="") == (
        [1, 2, 3, 4, 5],
        5,
        False,
    )


async def test_an_event_reads_as_its_webhook_does(follower: Follower) -> None:
    await follower.happens(LOW)
    _, [shown], _ = await follower.get()
    assert re.fullmatch(r"evt_[0-9]+", shown["id"])
    assert shown["event"] == shown["type"] == "wallet.low_balance"
    assert (shown["timestamp"], shown["sequence"]) == ("2026-11-21T12:00:00Z", 1)
    assert shown.keys() == {"id", "event", "type", "timestamp", "sequence", "data"}
    assert isinstance(shown["data"]["note"], int)


async def test_types_are_picked_and_the_cursor_moves_past_the_others(
    follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    credited = EventType.WALLET_CREDITED
    await follower.happens(credited, LOW, credited, credited, LOW, credited)
    assert await follower.numbers(type="wallet.low_balance") == ([2, 5], 6, False)
    assert await follower.numbers(type="Wallet.Low_Balance", limit=1) == ([2], 2, True)
    assert await follower.numbers(type="wallet.low_balance, wallet.credited", limit=4) == (
        [1, 2, 3, 4],
        4,
        True,
    )
    assert await follower.numbers(type="order.failed") == ([], 6, False)
    # Where few are wanted a page looks at so many and then says where to go on.
    monkeypatch.setattr(feed_module, "LOOK_MAX", 2)
    assert await follower.numbers(type="wallet.low_balance", after=2) == ([], 4, True)
    assert await follower.numbers(type="wallet.low_balance", after=4) == ([5], 6, False)


async def test_what_is_kept_no_longer_is_said(follower: Follower) -> None:
    clock = Clock()
    await follower.happens(LOW, LOW, LOW)
    clock.at += timedelta(days=10)
    await emitted(follower.parts.db, 1, 1)
    await follower.seal(clock)
    clock.at = AT + EVENTS_KEPT + timedelta(days=1)
    assert await EventTasks(follower.parts.db, clock).forget() == 3
    for after in (0, 1, 2):
        status, refused, _ = await follower.get(after=after)
        assert (status, refused) == (410, ("EVENTS_FORGOTTEN", {"after": 3}))
    assert await follower.numbers(after=3) == ([4, 5], 5, False)
    assert await follower.numbers() == ([4, 5], 5, False)
    clock.at += timedelta(days=90)
    assert await EventTasks(follower.parts.db, clock).forget() == 2
    assert await follower.numbers() == ([], 5, False)
    assert await follower.numbers(after=5) == ([], 5, False)
    status, refused, _ = await follower.get(after=4)
    assert (status, refused) == (410, ("EVENTS_FORGOTTEN", {"after": 5}))
    status, refused, _ = await follower.get(after=6)
    assert (status, refused) == (409, ("EVENTS_AHEAD", {"last": 5}))


@pytest.mark.parametrize(
    ("query", "rule"),
    [
        ({"after": "-1"}, "Invalid After: number"),
        ({"after": "1.5"}, "Invalid After: number"),
        ({"after": 2**53}, "Invalid After: max"),
        ({"limit": 0}, "Invalid Limit: min"),
        ({"limit": 1001}, "Invalid Limit: max"),
        ({"type": "order.sold"}, "Invalid Type: oneof"),
        ({"type": "order.failed,"}, "Invalid Type: oneof"),
        ({"wait": 31}, "Invalid Wait: max"),
        ({"wait": "soon"}, "Invalid Wait: number"),
    ],
)
async def test_nonsense_is_refused(follower: Follower, query: dict[str, Any], rule: str) -> None:
    params = {name: str(value) for name, value in query.items()}
    async with follower.session.get(
        follower.url + "/api/v1/events", params=params, headers=follower.keys[1]
    ) as answer:
        body = await answer.json()
    assert (answer.status, body["message"]) == (400, rule)


async def test_strangers_and_keys_without_the_scope_are_refused(follower: Follower) -> None:
    await follower.happens(LOW)
    assert (await follower.get("nobody"))[0] == 401
    assert (await follower.get("narrow"))[0] == 403


async def asleep(follower: Follower, many: int) -> None:
    """Return once so many requests wait for something to happen."""
    async with asyncio.timeout(BEGINS_WITHIN_S):
        while len(follower.parts.events._waiting._above) < many:
            await asyncio.sleep(0.01)


async def test_who_waits_is_answered_when_something_happens(follower: Follower) -> None:
    await follower.happens(LOW)
    waiting = asyncio.create_task(follower.numbers(after=1, wait=30))
    picky = asyncio.create_task(follower.numbers(after=1, wait=30, type="order.failed"))
    await asleep(follower, 2)
    stranger = asyncio.create_task(follower.numbers(2, wait=1))
    assert not waiting.done()
    began_s = time.monotonic()
    await follower.happens(LOW, LOW)
    assert await asyncio.wait_for(waiting, WAKES_WITHIN_S) == ([2, 3], 3, False)
    assert not picky.done()
    async with follower.parts.db.transaction() as tx:
        await tx.execute(
            "INSERT INTO events (client_id, type, order_id, data, created_at)"
            " VALUES (1, 'order.failed', 7, '{\"order_id\": 7}', now())"
        )
    await follower.seal()
    assert await asyncio.wait_for(picky, WAKES_WITHIN_S) == ([4], 4, False)
    assert await stranger == ([], 0, False)
    print(f"all woken after {time.monotonic() - began_s:.2f} s")
    # What is there already is not waited for.
    assert await asyncio.wait_for(follower.numbers(after=3, wait=30), 5) == ([4], 4, False)


async def test_only_so_many_may_wait_and_they_are_answered_when_the_process_ends(
    follower: Follower,
) -> None:
    waiting = [asyncio.create_task(follower.get(wait=30)) for _ in range(WAITING_OF_CLIENT_MAX)]
    await asleep(follower, WAITING_OF_CLIENT_MAX)
    status, refused, headers = await follower.get(wait=30)
    assert (status, refused) == (429, ("RATE_LIMITED", {"waiting": WAITING_OF_CLIENT_MAX}))
    assert headers["Retry-After"] == "1"
    assert await follower.get() == (200, [], (0, False))
    other = asyncio.create_task(follower.get(2, wait=30))
    await asleep(follower, WAITING_OF_CLIENT_MAX + 1)
    assert not other.done()
    follower.parts.events.close()
    answers = await asyncio.wait_for(asyncio.gather(*waiting, other), WAKES_WITHIN_S)
    assert {json.dumps(answer) for answer in answers} == {json.dumps((200, [], (0, False)))}
    # Nobody waits any more where the process is about to end.
    assert (await asyncio.wait_for(follower.get(wait=30), WAKES_WITHIN_S))[0] == 200


async def test_a_process_that_is_told_to_stop_answers_those_who_wait(
    follower: Follower, dsn: str, tmp_path: Path
) -> None:
    await follower.happens(LOW)
    port = processes.free_port()
    process = await processes.start(
        [sys.executable, "-m", "rewards.entry", "api", "--port", str(port)],
        {
            "REWARDS_HOME": str(tmp_path),
            "REWARDS_DATABASE_URL": dsn,
            "REWARDS_ENVIRONMENT": "test",
        },
        port=port,
    )
    follower.url = f"http://127.0.0.1:{port}"
    waiting = [asyncio.create_task(follower.numbers(after=1, wait=30)) for _ in range(3)]
    await asyncio.sleep(1)
    assert not any(task.done() for task in waiting)
    process.signal(signal.SIGTERM)
    answers = await asyncio.wait_for(asyncio.gather(*waiting), WAKES_WITHIN_S)
    assert answers == [([], 1, False)] * 3
    assert await process.wait() == 0
