"""When endpoints are disabled, and that whoever must know is told once (T38)."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rewards.clients import service as clients
from rewards.clients.model import NewCredential
from rewards.infra.db import Database
from rewards.infra.settings import Settings
from tests.webhooks.posting import Post, open_post, sending, until
from tests.webhooks.receiver import Conduct, Heard, status

LONG = timedelta(days=2)


@pytest.fixture
async def post(db: Database, tmp_path: Path) -> AsyncIterator[Post]:
    async with open_post(db, tmp_path) as opened:
        yield opened


def fails(_heard: Heard) -> Conduct:
    return Conduct(status(500))


async def told(post: Post, kind: str) -> list[dict[str, Any]]:
    """What the client is told of its endpoints, by events of this type."""
    rows = await post.rows("SELECT data FROM events WHERE type = $1 ORDER BY id", kind)
    return [row["data"] for row in rows]


async def audited(post: Post) -> list[tuple[int, Any]]:
    rows = await post.rows("SELECT * FROM audit_entries WHERE action = 'webhook.disabled'")
    assert all((row["actor_kind"], row["subject_kind"]) == ("SYSTEM", "webhook") for row in rows)
    return [(row["subject_id"], row["facts"]["reason"]) for row in rows]


async def has_failed_for(post: Post, endpoint_id: int, since: timedelta) -> None:
    await post.execute(
        "UPDATE webhook_endpoints SET failing_since = now() - $2::interval WHERE id = $1",
        *(endpoint_id, since),
    )


async def test_410_disables_once_whoever_hears_it_first(post: Post) -> None:
    post.receiver.conduct = lambda _: Conduct(status(410), after_s=0.05)
    client_id, endpoint_id = await post.lone()
    _, other = await post.lone("other")
    await post.queue(client_id, 8)
    one, two = post.sender(), post.sender()
    assert await one.drain() == 1
    health = await post.health(endpoint_id)
    assert (health["status"], health["disabled_reason"]) == ("DISABLED", "GONE")
    assert health["disabled_at"] is not None
    gone, *waiting = await post.deliveries(endpoint_id)
    assert (gone["status"], gone["last_error"]) == ("FAILED", "answered 410")
    assert all((each["status"], each["lease"]) == ("PENDING", None) for each in waiting)
    await post.pass_time(LONG)
    assert await two.drain() == 0
    [event] = await told(post, "webhook.disabled")
    assert (event["webhook_id"], event["reason"], event["host"]) == (
        *(endpoint_id, "GONE", "127.0.0.1"),
    )
    assert await audited(post) == [(endpoint_id, "GONE")]
    assert (await post.health(other))["status"] == "ENABLED"
    assert await post.breaches() == {}


async def test_five_days_of_nothing_but_failures_disable_once(post: Post) -> None:
    post.receiver.conduct = fails
    client_id, endpoint_id = await post.lone()
    await post.queue(client_id, 4)
    assert await post.sender().drain() > 0
    assert (await post.health(endpoint_id))["failing_since"] is not None
    await has_failed_for(post, endpoint_id, timedelta(days=4, hours=23, minutes=59))
    await post.pass_time(LONG)
    await post.sender().drain()
    assert (await post.health(endpoint_id))["status"] == "ENABLED"
    await has_failed_for(post, endpoint_id, timedelta(days=5))
    await post.pass_time(LONG)
    async with sending(post.sender(), post.sender()):
        await until(lambda: len(post.receiver.heard["hook"]) > 4)
        async with asyncio.timeout(20):
            while (await post.health(endpoint_id))["status"] == "ENABLED":
                await asyncio.sleep(0.02)
    assert (await post.health(endpoint_id))["disabled_reason"] == "FAILING"
    [event] = await told(post, "webhook.disabled")
    assert event["reason"] == "FAILING"
    assert event["failing_since"] is not None
    assert await audited(post) == [(endpoint_id, "FAILING")]
    for delivery in await post.deliveries(endpoint_id):
        assert (delivery["status"], delivery["lease"]) == ("PENDING", None)


async def test_one_success_and_five_days_begin_anew(post: Post) -> None:
    good = False
    post.receiver.conduct = lambda _: Conduct() if good else Conduct(status(500))
    client_id, endpoint_id = await post.lone()
    await post.queue(client_id)
    await post.sender().drain()
    await has_failed_for(post, endpoint_id, timedelta(days=4))
    good = True
    await post.pass_time(LONG)
    await post.sender().drain()
    assert (await post.health(endpoint_id))["failing_since"] is None
    good = False
    await post.queue(client_id)
    await post.sender().drain()
    health = await post.health(endpoint_id)
    assert health["status"] == "ENABLED"
    [young] = await post.rows(
        "SELECT now() - failing_since < interval '1 hour' AS young FROM webhook_endpoints"
    )
    assert young["young"]


async def test_a_day_of_failures_is_told_once_for_each_time(post: Post) -> None:
    good = False
    post.receiver.conduct = lambda _: Conduct() if good else Conduct(status(500))
    client_id, endpoint_id = await post.lone()
    for times in (1, 2):
        good = False
        await post.queue(client_id)
        await post.sender().drain()
        assert len(await told(post, "webhook.failing")) == times - 1
        await has_failed_for(post, endpoint_id, timedelta(days=1))
        if times == 2:
            # What was told before belongs to the failures before.
            await post.execute(
                "UPDATE webhook_endpoints SET failing_told_at = now() - interval '2 days'"
            )
        for _ in range(2):
            await post.pass_time(LONG)
            await post.sender().drain()
            assert len(await told(post, "webhook.failing")) == times
        good = True
        await post.pass_time(LONG)
        await post.sender().drain()
    last = (await told(post, "webhook.failing"))[-1]
    assert (last["webhook_id"], last["reason"], last["name"]) == (endpoint_id, None, "hook")
    assert await told(post, "webhook.disabled") == []


async def test_of_its_url_only_the_host_is_told(post: Post) -> None:
    """A path or a query may hold what is secret to the client."""
    post.receiver.conduct = lambda _: Conduct(status(410))
    client_id, _ = await post.lone("hidden-4711?token=hidden-4712", name="sink")
    await post.queue(client_id)
    await post.sender().drain()
    [event] = await told(post, "webhook.disabled")
    rows = await post.rows("SELECT facts FROM audit_entries WHERE action = 'webhook.disabled'")
    assert "hidden" not in json.dumps([event, *(row["facts"] for row in rows)])


async def test_nothing_is_sent_unsigned(post: Post) -> None:
    """Signed with a credential's secret; once that is revoked the endpoint is disabled."""
    client_id = await post.client()
    async with post.db.transaction() as tx:
        [issued] = await clients.issue_credentials(
            tx, post.vault, Settings(), [NewCredential(client_id)], post.clock.now()
        )
    endpoint_id = await post.endpoint(client_id, "hook", credential_id=issued.id)
    post.secrets[endpoint_id] = issued.signing_secret
    await post.queue(client_id)
    assert await post.sender().drain() == 1
    post.verify_all(endpoint_id, "hook")
    await post.execute("UPDATE credentials SET revoked_at = now() WHERE id = $1", issued.id)
    await post.queue(client_id, 3)
    for _ in range(2):
        assert await post.sender().drain() == 0
    assert len(post.receiver.heard["hook"]) == 1
    assert await audited(post) == [(endpoint_id, "CREDENTIAL_REVOKED")]
    assert len(await told(post, "webhook.disabled")) == 1
    assert await post.breaches() == {}
