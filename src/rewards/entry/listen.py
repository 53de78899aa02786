"""`rewards webhooks listen`: brings a client's events to a server on the developer's machine.

It follows the feed over HTTP, as any client could, and needs no address that we can reach.
"""

import asyncio
import json
import random
import re
import signal
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec
import typer

from rewards.clients.model import new_signing_secret
from rewards.core.clock import SystemClock
from rewards.sandbox.card import CARD_FILE
from rewards.webhooks.envelope import ID_PREFIX, Envelope, body
from rewards.webhooks.signing import headers, key_of

WAIT_S = 25
PAGE = 100
SEARCH_PAGE, SEARCH_PAGES_MAX = 1_000, 10_000
ANSWER_TIMEOUT_S = 15.0
FORWARD_TIMEOUT_S = 15.0
CONNECT_TIMEOUT_S = 5.0
PAUSE_FIRST_S, PAUSE_MAX_S = 0.5, 30.0
ENVELOPES = msgspec.json.Decoder(list[Envelope])
# What another try may change.
TRY_AGAIN = frozenset((408, 429, 500, 502, 503, 504))


class CannotListen(Exception):
    """Says to a person what is wrong, and what to do about it."""


@dataclass(frozen=True, slots=True)
class Access:
    """Where the API is, and a client's key."""

    base_url: str
    api_key: str
    api_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to listen to, and where to bring it; without `forward_to` it is only shown."""

    forward_to: str = ""
    # `whsec_…`, as the local server has it; empty: one is made and shown.
    secret: str = field(default="", repr=False)
    # None: what happens from now on.
    after: int | None = None
    types: str = ""
    # Ids or sequences: only these, and then it is over.
    replay: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Heard:
    events: Sequence[Envelope]
    after: int
    last: int


def find_access(home: Path, url: str, api_key: str, api_secret: str) -> Access:
    """What was given, and what is missing from the sandbox's card. Raises CannotListen."""
    card = _card(home)
    client = card.get("client", {})
    found = Access(
        (url or card.get("base_url", "")).rstrip("/"),
        api_key or client.get("api_key", ""),
        api_secret or client.get("api_secret", ""),
    )
    if not (found.base_url and found.api_key and found.api_secret):
        raise CannotListen(
            f"no API key: there is no sandbox at {home / CARD_FILE}; give --url and set"
            " REWARDS_API_KEY and REWARDS_API_SECRET"
        )
    _check_url("--url", found.base_url)
    return found


def _card(home: Path) -> dict[str, Any]:
    try:
        card = json.loads((home / CARD_FILE).read_text())
    except (OSError, ValueError):
        return {}
    return card if isinstance(card, dict) else {}


def _check_url(option: str, url: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise CannotListen(f"{option} is no http:// or https:// address")


async def run(access: Access, wanted: Wanted) -> int:
    """Listen until SIGINT or SIGTERM, or until all of `replay` was sent again; the exit code."""
    if wanted.forward_to:
        _check_url("--forward-to", wanted.forward_to)
    try:
        key = key_of(wanted.secret) if wanted.secret else b""
    except ValueError as bad:
        raise CannotListen(f"--secret: {bad}") from None
    if wanted.forward_to and not key:
        secret, key = new_signing_secret()
        typer.echo(f"Signing secret {secret}")
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    connect = aiohttp.ClientTimeout(total=None, connect=CONNECT_TIMEOUT_S)
    async with aiohttp.ClientSession(trust_env=False, timeout=connect) as session:
        tunnel = Tunnel(session, access, wanted, key)
        listening = asyncio.create_task(tunnel.replay() if wanted.replay else tunnel.listen())
        stop = asyncio.create_task(stopping.wait())
        await asyncio.wait({listening, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not listening.done():
            listening.cancel()
            await asyncio.wait({listening})
            return 0
        return listening.result()


class Tunnel:
    """One run of the command."""

    def __init__(
        self, session: aiohttp.ClientSession, access: Access, wanted: Wanted, key: bytes
    ) -> None:
        self._session = session
        self._access = access
        self._wanted = wanted
        self._key = key

    async def listen(self) -> int:
        """Bring every event as it comes, one after the other. Raises CannotListen."""
        after = self._wanted.after
        if after is None:
            after = (await self._heard(limit=1)).last
        typer.echo(f"Listening to {self._access.base_url} after event {after}; Ctrl-C ends it")
        while True:
            page = await self._heard(after=after, limit=PAGE, wait=WAIT_S, type=self._wanted.types)
            for event in page.events:
                await self._bring(event)
            after = page.after

    async def replay(self) -> int:
        """Bring these again, in the order they were given; 0 when all of them were taken."""
        taken = True
        for name in self._wanted.replay:
            taken &= await self._bring(await self._find(name))
        return 0 if taken else 1

    async def _find(self, name: str) -> Envelope:
        if re.fullmatch(r"[0-9]{1,15}", name) and int(name):
            async for event in self._all(int(name) - 1, 1):
                if event.sequence == int(name):
                    return event
                break
        elif name.startswith(ID_PREFIX):
            async for event in self._all(None, SEARCH_PAGE):
                if event.id == name:
                    return event
        raise CannotListen(f"there is no event {name}; give its id, {ID_PREFIX}…, or its sequence")

    async def _all(self, after: int | None, limit: int) -> AsyncIterator[Envelope]:
        for _ in range(SEARCH_PAGES_MAX):
            page = await self._heard(after=after, limit=limit)
            for event in page.events:
                yield event
            if page.after >= page.last:
                return
            after = page.after

    async def _heard(self, **query: object) -> Heard:
        """One page; tries again, ever more rarely, while nobody answers. Raises CannotListen."""
        pause_s = PAUSE_FIRST_S
        while True:
            try:
                return await self._ask(
                    {name: v for name, v in query.items() if v not in (None, "")}
                )
            except (aiohttp.ClientError, TimeoutError, OSError) as problem:
                said = type(problem).__name__ if not isinstance(problem, Passing) else str(problem)
                typer.echo(f"{self._access.base_url}: {said}; trying again", err=True)
            await asyncio.sleep(pause_s * random.uniform(0.8, 1.2))  # noqa: S311
            pause_s = min(pause_s * 2, PAUSE_MAX_S)

    async def _ask(self, query: dict[str, object]) -> Heard:
        async with (
            asyncio.timeout(WAIT_S + ANSWER_TIMEOUT_S),
            self._session.get(
                f"{self._access.base_url}/api/v1/events",
                params={name: str(value) for name, value in query.items()},
                headers={
                    "X-API-Key": self._access.api_key,
                    "X-API-Secret": self._access.api_secret,
                },
                allow_redirects=False,
            ) as answer,
        ):
            raw = await answer.read()
            if answer.status in TRY_AGAIN:
                raise Passing(f"answered {answer.status}")
            if answer.status == 410:
                return Heard((), *_gone(raw))
            if answer.status != 200 or "X-Next-After" not in answer.headers:
                raise CannotListen(_refused(answer.status, raw))
            told = answer.headers
            last = int(told["X-Last-Sequence"])
            return Heard(ENVELOPES.decode(raw), int(told["X-Next-After"]), last)

    async def _bring(self, event: Envelope) -> bool:
        """Show it, and hand it to the local server; whether that took it."""
        line = f"{event.timestamp:%H:%M:%S}  #{event.sequence}  {event.id}  {event.type}"
        if not self._wanted.forward_to:
            typer.echo(f"{line}  {bytes(event.data).decode()}")
            return True
        sent, began_s = body(event), time.monotonic()
        stamp_s = int(SystemClock().now().timestamp())
        signed = headers([self._key], event.id, stamp_s, sent)
        try:
            async with (
                asyncio.timeout(FORWARD_TIMEOUT_S),
                self._session.post(
                    self._wanted.forward_to,
                    data=sent,
                    headers={"Content-Type": "application/json", **signed},
                    allow_redirects=False,
                ) as answer,
            ):
                said, taken = str(answer.status), 200 <= answer.status < 300
        except (aiohttp.ClientError, TimeoutError, OSError) as problem:
            said, taken = f"nobody took it ({type(problem).__name__})", False
        typer.echo(f"{line}  → {said} in {(time.monotonic() - began_s) * 1000:.0f} ms")
        return taken


class Passing(aiohttp.ClientError):
    """The API answered that it cannot now."""


def _gone(raw: bytes) -> tuple[int, int]:
    """Where to go on, of the refusal that says what is kept no longer; the end is further on."""
    after = int(json.loads(raw)["details"]["after"])
    typer.echo(f"events up to {after} are kept no longer; going on from there", err=True)
    return after, after + 1


def _refused(status: int, raw: bytes) -> str:
    """The API's own words, where it has some."""
    try:
        said = json.loads(raw)
        told = f"{said['message']} ({said['code']})"
    except (ValueError, TypeError, KeyError):
        told = "this is not our API"
    hints = {
        401: "; look at --api-key and --api-secret",
        403: "; the key needs the scope webhooks:read",
        404: "; look at --url",
    }
    return f"the API refuses with {status}: {told}{hints.get(status, '')}"
