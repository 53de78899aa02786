"""A vendor's simulator on a real socket, and its adapter as the platform builds it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from rewards.vendors.port import Vendor
from rewards.vendors.registry import ADAPTERS
from rewards.vendors.simulators.serving import Simulator
from rewards.vendors.throttle import Breaker, Throttle
from rewards.vendors.wire import Exchange, Limits, Wire, open_session


@dataclass
class Kept:
    """The exchanges that were recorded."""

    exchanges: list[Exchange] = field(default_factory=list)

    async def record(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)

    @property
    def text(self) -> str:
        return "\n".join(f"{e.path} {e.request} {e.answer} {e.problem}" for e in self.exchanges)


@dataclass
class Stand:
    """A simulator, the adapter that talks to it, and what was kept of their talk."""

    simulator: Simulator
    vendor: Any
    kept: Kept
    url: str
    wire: Wire


Open = Callable[..., Awaitable[Stand]]


@pytest.fixture
async def stand(buys_by_hand: None) -> AsyncIterator[Open]:
    """`await stand("sandbox", SandboxSimulator(book), config, secrets)`.

    `{url}` in the config stands for where the simulator serves.
    """
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(open_session())

        async def start(
            adapter: str,
            simulator: Simulator,
            config: Mapping[str, str],
            secrets: Mapping[str, str],
            *,
            path: str = "",
            throttle: Throttle | None = None,
            timeout_s: float = 1.0,
        ) -> Stand:
            url = await stack.enter_async_context(simulator.serve())
            kind, kept = ADAPTERS[adapter], Kept()
            wire = Wire(
                *(session, url + path, kept),
                safe=kind.safe,
                throttle=throttle or Throttle({}),
                breaker=Breaker(opens_after=1_000),
                limits=Limits(timeout_s=timeout_s, connect_s=timeout_s),
            )
            told = {name: value.replace("{url}", url) for name, value in config.items()}
            vendor: Vendor = kind.build({**told, "base_url": url + path}, secrets, wire)
            return Stand(simulator, vendor, kept, url, wire)

        yield start


def now() -> datetime:
    return datetime.now(UTC)
