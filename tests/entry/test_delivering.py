"""The sender as a worker has it: what is committed arrives, and changes are heard of."""

import asyncio
from pathlib import Path

from rewards.core.actor import SYSTEM
from rewards.core.clock import SystemClock
from rewards.entry.delivering import delivering
from rewards.infra.changes import ChangeFeed
from rewards.infra.db import Database
from rewards.infra.settings import Settings
from rewards.webhooks import endpoints, service
from rewards.webhooks.model import Event, EventType
from rewards.webhooks.model_endpoints import EndpointChange
from rewards.webhooks.sealing import Sealer
from tests.webhooks.posting import LOCAL, open_post, until
from tests.webhooks.receiver import Conduct


async def test_an_event_arrives_by_itself_and_a_change_is_obeyed(
    dsn: str, db: Database, tmp_path: Path
) -> None:
    clock, stop = SystemClock(), asyncio.Event()
    async with open_post(db, tmp_path) as post:
        post.receiver.conduct = lambda heard: Conduct(after_s=0.5 if heard.path == "old" else 0)
        client_id, endpoint_id = await post.lone("old")
        feed = ChangeFeed(db)
        await feed.start()
        settings = Settings(webhook_local=True)
        async with delivering(dsn, settings, post.vault, feed, clock) as sender:
            running = [
                asyncio.create_task(each(stop)) for each in (Sealer(db, clock).run, sender.run)
            ]
            async with db.transaction() as tx:
                told = Event(client_id, EventType.WALLET_CREDITED, None, {"amount": 1})
                await service.emit(tx, [told] * 10, clock.now())
            await until(lambda: bool(post.receiver.heard["old"]))
            async with db.transaction() as tx:
                await endpoints.change(
                    *(tx, post.vault, LOCAL, client_id, endpoint_id),
                    *(EndpointChange(url=post.receiver.url("new")), SYSTEM, clock.now()),
                )
            await until(lambda: len(post.receiver.all) == 10)
            stop.set()
            await asyncio.gather(*running)
        await feed.stop()
        assert post.receiver.ids("new"), "what had not begun went where it belongs now"
        assert {each["status"] for each in await post.deliveries(endpoint_id)} == {"DELIVERED"}
        post.verify_all(endpoint_id, "old")
        post.verify_all(endpoint_id, "new")
        assert await post.breaches() == {}
