"""The sandbox's webhook sink: registered at every start; says what was signed and what was not."""

import json
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

from rewards.clients import service as clients
from rewards.clients.model import NewClient
from rewards.infra.crypto import Vault
from rewards.infra.db import Database
from rewards.infra.settings import Settings
from rewards.infra.targets import Targets
from rewards.sandbox import webhooks
from rewards.sandbox.webhook_sink import HOOK, RECEIVED, WebhookSink, open_webhook_sink
from rewards.webhooks import signing
from rewards.webhooks.model_endpoints import ENDPOINTS_MAX
from tests.webhooks.feeding import Clock

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
BODY = json.dumps({"type": "order.delivered", "data": {"order_id": 7}}).encode()
ENDPOINTS = """
SELECT id, url, status, event_types FROM webhook_endpoints WHERE deleted_at IS NULL ORDER BY id
"""


async def send(
    session: aiohttp.ClientSession, sink: WebhookSink, key: bytes, body: bytes = BODY
) -> int:
    headers = signing.headers([key], "evt_1", int(NOW.timestamp()), body)
    async with session.post(sink.url + HOOK, data=body, headers=headers) as answer:
        return answer.status


async def test_what_is_signed_is_taken_and_all_is_shown() -> None:
    async with open_webhook_sink(Clock(NOW)) as sink, aiohttp.ClientSession() as session:
        assert await send(session, sink, b"k" * 32) == 401
        sink.key = b"k" * 32
        assert await send(session, sink, b"k" * 32) == 204
        assert await send(session, sink, b"x" * 32) == 401
        assert await send(session, sink, b"k" * 32, b"no json") == 204
        async with session.get(sink.url + RECEIVED) as answer:
            told = await answer.json()
        assert [each["verified"] for each in told] == [False, True, False, True]
        assert told[1]["body"] == json.loads(BODY)
        assert told[1]["headers"]["webhook-id"] == "evt_1"
        assert told[1]["received_at"] == "2026-11-21T12:00:00Z"
        assert told[3]["body"] == "no json"
        for query, count in (("?type=order.delivered", 3), ("?order_id=8", 0), ("?order_id=7", 3)):
            async with session.get(sink.url + RECEIVED + query) as answer:
                assert len(await answer.json()) == count


@pytest.fixture
async def vault(db: Database, tmp_path: Path) -> Vault:
    return await Vault.open_database(db, Settings(home=tmp_path))


@pytest.fixture
async def client_id(db: Database) -> int:
    async with db.transaction() as tx:
        [client] = await clients.create(tx, [NewClient("one")], NOW)
    return client.id


async def test_it_is_registered_once_and_follows_the_sink(
    db: Database, vault: Vault, client_id: int
) -> None:
    targets = Targets.from_settings(Settings(webhook_local=True))

    async def register(url: str) -> dict[str, object]:
        async with db.transaction() as tx:
            return await webhooks.register(tx, vault, targets, client_id, url, NOW)

    first = await register("http://127.0.0.1:41000/hook")
    async with db.transaction() as tx:
        await tx.execute(
            "UPDATE webhook_endpoints SET status = 'DISABLED', disabled_reason = 'FAILING',"
            " disabled_at = now()"
        )
    assert await register("http://127.0.0.1:42000/hook") == first
    assert signing.key_of(str(first["secret"]))
    async with db.connection() as connection:
        [row] = await connection.fetch(ENDPOINTS)
    assert tuple(row) == (first["webhook_id"], "http://127.0.0.1:42000/hook", "ENABLED", None)


async def test_a_client_full_of_webhooks_keeps_its_own(
    db: Database, vault: Vault, client_id: int
) -> None:
    targets = Targets.from_settings(Settings(webhook_local=True))
    async with db.transaction() as tx:
        await tx.execute(
            "INSERT INTO webhook_endpoints (client_id, name, url, secret, status, created_at,"
            " updated_at) SELECT $1, '', 'https://example.com', '', 'ENABLED', now(), now()"
            " FROM generate_series(1, $2)",
            *(client_id, ENDPOINTS_MAX),
        )
        assert await webhooks.register(tx, vault, targets, client_id, "http://x/hook", NOW) == {}
