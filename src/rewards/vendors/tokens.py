"""A short-lived token that all calls of one vendor account share."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import TypeVar

from rewards.vendors.wire import NoAnswer, NotSent

Got = TypeVar("Got")

# A token is given up this much of its life early: it must not end on its way.
EARLY = 10


@dataclass(frozen=True, slots=True, eq=False)
class Token:
    """One that was fetched; another one is another object, whatever its text."""

    text: str = field(repr=False)
    lives_s: int


class Tokens:
    """Fetches a token when there is none, it nears its end or was rejected; once for all callers.

    `fetch` raises NotSent, NoAnswer, or SignInRefused for a clear no.
    """

    def __init__(
        self, fetch: Callable[[], Awaitable[Token]], now: Callable[[], float] = monotonic
    ) -> None:
        self._fetch = fetch
        self._now = now
        self._lock = asyncio.Lock()
        self._held: Token | None = None
        self._renew_at = 0.0

    async def current(self, rejected: Token | None = None) -> Token:
        """The token to use; never `rejected`, which the vendor has just refused.

        Raises NotSent when none is to be had: what it was wanted for was not sent.
        """
        async with self._lock:
            held, asked_at = self._held, self._now()
            if held is None or held is rejected or asked_at >= self._renew_at:
                self._held = None
                try:
                    held = await self._fetch()
                except NoAnswer as trouble:
                    raise NotSent(f"no token: {trouble}") from None
                # Its life began at the latest when it was asked for.
                self._renew_at = asked_at + held.lives_s - held.lives_s / EARLY
                self._held = held
            return held

    async def call(
        self, send: Callable[[Token], Awaitable[Got]], rejected: Callable[[Got], bool]
    ) -> Got:
        """What `send` brings under the token; once more under a new one where that was `rejected`.

        Only for a rejection that proves that nothing else was done, also when placing. Raises what
        `send` raises, and as `current` does.
        """
        token = await self.current()
        got = await send(token)
        if not rejected(got):
            return got
        return await send(await self.current(rejected=token))
