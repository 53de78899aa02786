"""A receiver for the sandbox client's webhooks: takes every delivery, checks it, and shows it."""

import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aiohttp import web

from rewards.core.clock import Clock
from rewards.infra.loopback import serving
from rewards.webhooks.signing import verified

HOOK, RECEIVED = "/hook", "/received.json"
# The newest are kept, in memory.
DELIVERIES_MAX = 1_000
BODY_BYTES_MAX = 64 * 1024
SHOWN_HEADERS = ("webhook-id", "webhook-timestamp", "x-timestamp", "user-agent", "content-type")


@dataclass(frozen=True, slots=True)
class Received:
    """One delivery as it came in, and whether its signature fits the endpoint's secret."""

    number: int
    at: datetime
    headers: dict[str, str]
    body: Any
    verified: bool

    def told(self) -> dict[str, Any]:
        """As JSON tells it."""
        return {
            "number": self.number,
            "received_at": self.at.isoformat().replace("+00:00", "Z"),
            "verified": self.verified,
            "headers": self.headers,
            "body": self.body,
        }


@dataclass
class WebhookSink:
    """Answers 204 to whatever is signed well, 401 to all else; keeps both."""

    clock: Clock
    url: str = ""
    # What the endpoint's secret stands for; empty until it is registered: nothing fits then.
    key: bytes = field(default=b"", repr=False)
    deliveries: deque[Received] = field(default_factory=lambda: deque(maxlen=DELIVERIES_MAX))
    count: int = 0

    def app(self) -> web.Application:
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        app.router.add_post(HOOK, self._take)
        app.router.add_get(RECEIVED, self._show)
        return app

    async def _take(self, request: web.Request) -> web.Response:
        raw, now = await request.read(), self.clock.now()
        given = {name.lower(): value for name, value in request.headers.items()}
        good = bool(self.key) and verified(self.key, given, raw, now.timestamp())
        shown = {name: given[name] for name in SHOWN_HEADERS if name in given}
        self.count += 1
        self.deliveries.append(Received(self.count, now, shown, _parsed(raw), good))
        return web.Response(status=204 if good else 401)

    async def _show(self, request: web.Request) -> web.Response:
        """What came, oldest first; `?type=` and `?order_id=` narrow it."""
        kind, order_id = request.query.get("type"), request.query.get("order_id")
        told = [
            each.told()
            for each in self.deliveries
            if (kind is None or _part(each.body, "type") == kind)
            and (order_id is None or str(_part(_part(each.body, "data"), "order_id")) == order_id)
        ]
        return web.json_response(told, headers={"Cache-Control": "no-store"})


def _parsed(raw: bytes) -> Any:
    """JSON, or the text of what is none."""
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode(errors="replace")


def _part(body: Any, name: str) -> Any:
    return body.get(name) if isinstance(body, dict) else None


@asynccontextmanager
async def open_webhook_sink(clock: Clock) -> AsyncIterator[WebhookSink]:
    """Serve on a port of its own until left; `url` says where."""
    sink = WebhookSink(clock)
    async with serving(sink.app()) as sink.url:
        yield sink
