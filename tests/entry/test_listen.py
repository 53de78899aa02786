"""`rewards webhooks listen`: events reach a local server, signed, whatever the network does."""

import asyncio
import json
import re
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from standardwebhooks.webhooks import Webhook

from rewards.clients.model import new_signing_secret
from rewards.entry import listen
from rewards.entry.listen import Access, CannotListen, Tunnel, Wanted, find_access
from rewards.webhooks.model import EventType
from rewards.webhooks.tasks import EVENTS_KEPT, EventTasks
from tests import processes
from tests.webhooks.feeding import Clock
from tests.webhooks.following import Follower, following

LOW, CREDITED = EventType.WALLET_LOW_BALANCE, EventType.WALLET_CREDITED
WITHIN_S = 20
SECRET, KEY = new_signing_secret()


@dataclass
class Local:
    """The developer's server: keeps what it is sent, answers as it is told."""

    url: str = ""
    status: int = 204
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        self.got.append((dict(request.headers), await request.read()))
        return web.Response(status=self.status)

    async def until(self, count: int) -> list[dict[str, Any]]:
        async with asyncio.timeout(WITHIN_S):
            while len(self.got) < count:
                await asyncio.sleep(0.02)
        return [json.loads(body) for _, body in self.got]


@dataclass
class Mood:
    """Stands before the API: at times it answers nothing but this status."""

    app: Any = None
    status: int = 0
    refused: int = 0

    def before(self, app: Any) -> "Mood":
        self.app = app
        return self

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if not self.status:
            await self.app(scope, receive, send)
            return
        self.refused += 1
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": b"<html>a proxy</html>"})


@pytest.fixture
def mood() -> Mood:
    return Mood()


@pytest.fixture
async def follower(dsn: str, tmp_path: Path, mood: Mood) -> AsyncIterator[Follower]:
    async with following(dsn, tmp_path, mood.before) as opened:
        yield opened


@pytest.fixture
async def local() -> AsyncIterator[Local]:
    taking = Local()
    app = web.Application()
    app.router.add_post("/hook", taking.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    taking.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield taking
    await runner.cleanup()


def access_of(follower: Follower, who: object = 1) -> Access:
    key = follower.keys[who]
    return Access(follower.url, key["X-API-Key"], key["X-API-Secret"])


async def until_said(process: processes.Process, word: str) -> None:
    async with asyncio.timeout(WITHIN_S):
        while word not in process.output():
            assert process.returncode is None, process.output()
            await asyncio.sleep(0.02)


async def test_events_reach_the_local_server_signed_as_they_come(
    follower: Follower, local: Local, tmp_path: Path
) -> None:
    """The command itself, with what the sandbox's card says; Ctrl-C ends it without a word."""
    await follower.happens(CREDITED)
    key = follower.keys[1]
    client = {"api_key": key["X-API-Key"], "api_secret": key["X-API-Secret"]}
    card = {"base_url": follower.url, "client": client}
    (tmp_path / "sandbox.json").write_text(json.dumps(card))
    command = [sys.executable, "-m", "rewards.entry", "webhooks", "listen"]
    process = await processes.start([*command, "--forward-to", local.url, "--home", str(tmp_path)])
    await until_said(process, "after event 1")
    await follower.happens(LOW)
    await local.until(1)
    local.status = 500
    await follower.happens(CREDITED, LOW)
    told = await local.until(3)
    assert [each["sequence"] for each in told] == [2, 3, 4]
    await until_said(process, "#4")
    # Byte for byte what the feed shows, and what a webhook would bring.
    async with follower.session.get(follower.url + "/api/v1/events?after=1", headers=key) as answer:
        assert await answer.read() == b"[" + b",".join(body for _, body in local.got) + b"]"
    secret = re.search(r"whsec_\S+", process.output())
    assert secret is not None
    for sent, body in local.got:
        Webhook(secret[0]).verify(body, sent)
        assert sent["Content-Type"] == "application/json"
    assert client["api_secret"] not in process.output()
    assert process.output().count("→ 204 in") == 1
    assert process.output().count("→ 500 in") == 2
    process.signal(signal.SIGINT)
    assert await process.wait() == 0
    assert "Traceback" not in process.output()


async def test_it_goes_on_where_it_was_when_the_api_was_away(
    follower: Follower, local: Local, mood: Mood, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listen, "WAIT_S", 1)
    monkeypatch.setattr(listen, "PAUSE_FIRST_S", 0.02)
    wanted = Wanted(local.url, after=0, types="wallet.low_balance")
    async with aiohttp.ClientSession() as session:
        listening = asyncio.create_task(Tunnel(session, access_of(follower), wanted, KEY).listen())
        await follower.happens(LOW, CREDITED)
        await local.until(1)
        for status in (503, 502, 429):
            mood.status = status
            before = mood.refused
            async with asyncio.timeout(WITHIN_S):
                while mood.refused < before + 2:
                    await asyncio.sleep(0.02)
            mood.status = 0
            await follower.happens(LOW)
        told = await local.until(4)
        assert [each["sequence"] for each in told] == [1, 3, 4, 5]
        listening.cancel()
        await asyncio.wait({listening})


async def test_one_event_is_brought_again_by_its_id_or_its_number(
    follower: Follower, local: Local
) -> None:
    await follower.happens(*[CREDITED] * 4)
    _, shown, _ = await follower.get()
    names = [shown[2]["id"], "2"]
    async with aiohttp.ClientSession() as session:
        access = access_of(follower)
        again = Tunnel(session, access, Wanted(local.url, replay=names), KEY)
        assert await again.replay() == 0
        assert await local.until(2) == [shown[2], shown[1]]
        local.status = 500
        assert await again.replay() == 1
        nobody = Tunnel(session, access, Wanted("http://127.0.0.1:9/", replay=["1"]), KEY)
        assert await nobody.replay() == 1
        for unknown in ("evt_999", "first", "0"):
            missing = Tunnel(session, access, Wanted(local.url, replay=[unknown]), KEY)
            with pytest.raises(CannotListen, match="there is no event"):
                await missing.replay()


async def test_what_is_forgotten_is_said_and_the_rest_brought(
    follower: Follower, local: Local, capsys: pytest.CaptureFixture[str]
) -> None:
    await follower.happens(CREDITED, CREDITED)
    clock = Clock()
    clock.at += EVENTS_KEPT + timedelta(days=1)
    assert await EventTasks(follower.parts.db, clock).forget() == 2
    await follower.happens(LOW)
    async with aiohttp.ClientSession() as session:
        wanted = Wanted(local.url, after=0)
        tunnel = Tunnel(session, access_of(follower), wanted, KEY)
        listening = asyncio.create_task(tunnel.listen())
        assert [each["sequence"] for each in await local.until(1)] == [3]
        listening.cancel()
        await asyncio.wait({listening})
        found = Tunnel(session, access_of(follower), Wanted(local.url, replay=["1"]), KEY)
        with pytest.raises(CannotListen, match="there is no event 1"):
            await found.replay()
    assert "events up to 2 are kept no longer" in capsys.readouterr().err


async def test_without_a_server_events_are_shown(
    follower: Follower, capsys: pytest.CaptureFixture[str]
) -> None:
    await follower.happens(LOW)
    async with aiohttp.ClientSession() as session:
        assert await Tunnel(session, access_of(follower), Wanted(replay=["1"]), KEY).replay() == 0
    assert re.search(
        r"12:00:00  #1  evt_\d+  wallet.low_balance  {\"note\"", capsys.readouterr().out
    )


async def test_what_is_wrong_is_said(follower: Follower, mood: Mood, tmp_path: Path) -> None:
    async def said(access: Access, wanted: Wanted | None = None) -> str:
        async with aiohttp.ClientSession() as session:
            with pytest.raises(CannotListen) as told:
                await Tunnel(session, access, wanted or Wanted(), KEY).listen()
        return str(told.value)

    good = access_of(follower)
    assert "look at --api-key" in await said(Access(good.base_url, good.api_key, "wrong"))
    assert "scope webhooks:read" in await said(access_of(follower, "narrow"))
    assert "EVENTS_AHEAD" in await said(good, Wanted(after=7))
    assert "INVALID_FIELD" in await said(good, Wanted(after=0, types="order.sold"))
    mood.status = 200
    assert "this is not our API" in await said(good)
    with pytest.raises(CannotListen, match="REWARDS_API_KEY"):
        find_access(tmp_path, "", "", "")
    with pytest.raises(CannotListen, match="--url is no"):
        find_access(tmp_path, "ftp://x", "key", "secret")
    with pytest.raises(CannotListen, match="--forward-to is no"):
        await listen.run(good, Wanted("localhost:3000"))
    with pytest.raises(CannotListen, match="whsec_"):
        await listen.run(good, Wanted(secret="mine"))
