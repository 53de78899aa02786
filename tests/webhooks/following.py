"""The whole API on a loopback port, and two clients who follow their events."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from rewards.clients import service as clients
from rewards.clients.model import NewClient, NewCredential
from rewards.entry.api import build_app
from rewards.entry.wiring import Parts, open_parts
from rewards.infra.settings import Settings
from rewards.webhooks import service
from rewards.webhooks.model import EventType
from rewards.webhooks.sealing import Sealer
from tests.serving import served
from tests.webhooks.feeding import AT, Clock, event


@dataclass
class Follower:
    """Two clients with a key each, and one key without the scope."""

    url: str
    session: aiohttp.ClientSession
    parts: Parts
    keys: dict[object, dict[str, str]] = field(default_factory=lambda: {"nobody": {}})

    async def get(self, who: object = 1, **query: object) -> tuple[int, Any, Any]:
        """Status, body, and the cursor (of a page) or the headers (of a refusal)."""
        params = {name: str(value) for name, value in query.items()}
        asked = self.session.get(self.url + "/api/v1/events", params=params, headers=self.keys[who])
        async with asked as answer:
            body = await answer.json()
            if answer.status != 200:
                return answer.status, (body["code"], body.get("details")), answer.headers
            told = answer.headers
            assert told["X-Page-Size"] == str(len(body))
            assert told["Link"].endswith(f'after={told["X-Next-After"]}>; rel="next"')
            return 200, body, (int(told["X-Next-After"]), told["X-Has-More"] == "true")

    async def numbers(self, who: object = 1, **query: object) -> tuple[list[int], int, bool]:
        status, body, (after, more) = await self.get(who, **query)
        assert status == 200
        return [each["sequence"] for each in body], after, more

    async def happens(self, *kinds: EventType, client_id: int = 1) -> None:
        async with self.parts.db.transaction() as tx:
            await service.emit(tx, [event(client_id, kind) for kind in kinds], AT)
        await self.seal()

    async def seal(self, clock: Clock | None = None) -> None:
        await Sealer(self.parts.db, clock or Clock()).drain()


@asynccontextmanager
async def following(
    dsn: str, home: Path, around: Callable[[Any], Any] = lambda app: app
) -> AsyncIterator[Follower]:
    """`around`: what stands before the application."""
    settings = Settings(home=home, environment="test")
    async with open_parts(dsn, settings) as parts:
        async with parts.db.transaction() as tx:
            made = await clients.create(tx, [NewClient("one"), NewClient("two")], AT)
            one, two = (client.id for client in made)
            asks = [
                NewCredential(one, scopes=frozenset({"webhooks:read"})),
                NewCredential(two, scopes=frozenset({"webhooks:read"})),
                NewCredential(one, scopes=frozenset({"orders:read", "webhooks:write"})),
            ]
            issued = await clients.issue_credentials(tx, parts.vault, settings, asks, AT)
        app = around(build_app(parts))
        async with served(app) as url, aiohttp.ClientSession() as session:
            opened = Follower(url, session, parts)
            for name, key in zip((1, 2, "narrow"), issued, strict=True):
                opened.keys[name] = {"X-API-Key": key.api_key, "X-API-Secret": key.api_secret}
            yield opened
            parts.events.close()
