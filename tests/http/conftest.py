"""The whole API on a loopback port over the sandbox's data, once a session."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from rewards.clients import service as clients
from rewards.clients.model import ClientChange
from rewards.core.clock import Clock
from rewards.entry.api import build_app
from rewards.entry.wiring import open_parts
from rewards.infra.settings import Settings
from rewards.sandbox.seed import seed
from tests.databases import lasting_copy
from tests.http.calling import Api
from tests.serving import served
from tests.shop import WIDE


@asynccontextmanager
async def open_api(
    dsn: str, home: Path, clock: Clock | None = None, **chosen: Any
) -> AsyncIterator[Api]:
    """The sandbox's data in an empty, migrated database; its client may order without limits."""
    settings = Settings(home=home, environment="test", sandbox=True, **chosen)
    card = await seed(dsn, settings, simulators={"sandbox": "http://127.0.0.1:9"})
    async with open_parts(dsn, settings, clock) as parts:
        async with parts.db.transaction() as tx:
            await clients.change(tx, card["client"]["client_id"], ClientChange(limits=WIDE))
        parts.feed.expire()
        await parts.feed.ensure_fresh()
        key = {
            "X-API-Key": card["client"]["api_key"],
            "X-API-Secret": card["client"]["api_secret"],
        }
        async with served(build_app(parts)) as url, aiohttp.ClientSession() as session:
            yield Api(url, session, parts, card, key)


@pytest.fixture(scope="session")
async def api(
    server_dsn: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Api]:
    async with (
        lasting_copy(server_dsn, template, "http") as dsn,
        open_api(dsn, tmp_path_factory.mktemp("http")) as opened,
    ):
        yield opened
