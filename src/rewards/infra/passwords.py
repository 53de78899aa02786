"""Slow password digests, made and checked off the event loop by a few threads at most."""

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from rewards.core.errors import Unavailable

Result = TypeVar("Result")

# OWASP's floor for argon2id is 19 MiB and two passes; memory at work is THREADS_MAX times this.
MEMORY_KIB = 19 * 1024
PASSES = 2
THREADS_MAX = 2
# More waiting than this and a login flood would only make everybody wait longer.
WAITING_MAX = 64
# The threads stand back for the event loop and the database: with a digest on every core the loop
# came back three times as late without it, and orders wait for no login.
NICE = 10


_HASHER = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=1)


@cache
def _of_nobody() -> str:
    """A digest, once a process."""
    return _HASHER.hash("nobody")


class Passwords:
    """One a process. `digest` and `matches` cost about 20 ms of one thread each."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(
            THREADS_MAX, thread_name_prefix="passwords", initializer=_stand_back
        )
        self._waiting = 0
        # Checked against when there is no such user, so that both answers take as long.
        self._nobody = _of_nobody()

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def digest(self, password: str) -> str:
        """The argon2id digest to store. Raises Unavailable when too many wait."""
        return await self._run(_HASHER.hash, password)

    async def digests(self, passwords: Sequence[str]) -> list[str]:
        """Each one's digest, in order."""
        return [await self.digest(each) for each in passwords]

    async def matches(self, digest: str | None, password: str) -> bool:
        """Whether `password` made `digest`; None (no such user) is as slow, and False.

        Raises Unavailable when too many wait.
        """
        fits = await self._run(self._verify, digest or self._nobody, password)
        return fits and digest is not None

    def _verify(self, digest: str, password: str) -> bool:
        try:
            return _HASHER.verify(digest, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[..., Result], *values: str) -> Result:
        if self._waiting >= WAITING_MAX:
            raise Unavailable
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, work, *values)
        finally:
            self._waiting -= 1


def _stand_back() -> None:
    # Linux alone takes a thread's number for a process's.
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
