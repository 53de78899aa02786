"""Keeps the lines of the request log until they are written, many at once and beside the requests.

A request costs an append to a list. Lines are dropped, and counted, rather than waited for: where
the database is away, and where more come than it takes.
"""

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, TypeAlias, cast

import structlog
from litestar.types import Scope

from rewards.clients import service as clients
from rewards.clients.model import Principal
from rewards.core.clock import Clock
from rewards.infra.address import Address, text_of
from rewards.infra.db import TROUBLE, Database, Tx
from rewards.traffic import service
from rewards.traffic.model import slot_of

log = structlog.get_logger()

FLUSH_ROWS = 1_000
FLUSH_EVERY_S = 1.0
# Of one process: what it may hold, and so what one COPY may be.
ROWS_MAX = 10_000
CLOSE_TIMEOUT_S = 0.5
# What is answered so, or above, found no order of the client's.
REFUSED = 400
# Keys whose last hour of use this process knows to be written.
NOTED_MAX = 50_000

# Principal, end, microseconds, request id, method, route, status, code, address, order.
Noted: TypeAlias = tuple[
    Principal, datetime, int, str, str, str, int, str | None, Address | None, int | None
]


class RequestLog:
    """One a process: `note` for `infra.http.RequestIds`, `start` and `close` around it."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._held: list[Noted] = []
        self._full = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        # Hour by credential.
        self._used: dict[int, datetime] = {}
        self._failing = False
        self._writing = asyncio.Lock()
        self.written = 0
        self.dropped = 0

    def note(self, scope: Scope, status: int, took_s: float) -> None:
        """Keep one line of a request that was let in; nothing of any other. Never waits."""
        facts = cast("dict[str, Any]", scope)
        who = facts.get("rewards_principal")
        if who is None:
            return
        held = self._held
        if len(held) >= ROWS_MAX:
            self.dropped += 1
            return
        held.append(
            (
                who,
                self._clock.now(),
                int(took_s * 1_000_000),
                facts["rewards_request_id"],
                facts["method"],
                facts["path_template"],
                status,
                facts.get("rewards_code"),
                facts["rewards_address"],
                _order_of(facts) if status < REFUSED else None,
            )
        )
        if len(held) == FLUSH_ROWS:
            self._full.set()

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="request-log")

    async def close(self) -> None:
        """Write what is left, if the database takes it now."""
        self._closing = True
        self._full.set()
        if self._task is not None:
            # It may be in the middle of a flush that a database which does not answer holds up.
            await asyncio.wait({self._task}, timeout=CLOSE_TIMEOUT_S)
            if not self._task.done():
                self._task.cancel()
                return
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self.flush()
        self.dropped += len(self._held)
        self._held = []

    async def _run(self) -> None:
        while not self._closing:
            with suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_EVERY_S):
                    await self._full.wait()
            # By itself: a bug in one is told, and does not end the log.
            flushing = asyncio.create_task(self.flush())
            await asyncio.wait([flushing])
            if not flushing.cancelled() and (problem := flushing.exception()) is not None:
                log.error("request_log_failed", problem=type(problem).__name__, exc_info=problem)

    async def flush(self) -> None:
        """Return once all that is held now is written. What the database does not take is gone,
        and counted."""
        async with self._writing:
            self._full.clear()
            if not self._held:
                return
            held, self._held = self._held, []
            try:
                await self._write(held)
            except TROUBLE as away:
                self.dropped += len(held)
                if not self._failing:
                    log.warning("request_log_dropped", problem=type(away).__name__, rows=len(held))
                self._failing = True
                return
            self._failing = False
            self.written += len(held)

    async def _write(self, held: list[Noted]) -> None:
        rows = [_row(*noted) for noted in held]
        used = self._newly_used(held)

        async def work(tx: Tx) -> None:
            await service.append(tx, rows)
            for hour, credential_ids in used.items():
                await clients.note_used(tx, credential_ids, hour)

        await self._db.run(work)
        self._remember(used)

    def _newly_used(self, held: list[Noted]) -> dict[datetime, list[int]]:
        """Keys by the hour of their last use, where that is not written yet."""
        last: dict[int, datetime] = {}
        for who, ended_at, *_ in held:
            if who.credential_id is not None:
                last[who.credential_id] = clients.hour_of(ended_at)
        found: dict[datetime, list[int]] = {}
        for credential_id, hour in sorted(last.items()):
            if self._used.get(credential_id) != hour:
                found.setdefault(hour, []).append(credential_id)
        return found

    def _remember(self, used: dict[datetime, list[int]]) -> None:
        if len(self._used) > NOTED_MAX:
            self._used.clear()
        for hour, credential_ids in used.items():
            self._used.update(dict.fromkeys(credential_ids, hour))


def _order_of(facts: dict[str, Any]) -> int | None:
    """The order that a request placed, or found under the id in its path."""
    if "rewards_order_id" in facts:
        placed: int = facts["rewards_order_id"]
        return placed
    named = facts.get("path_params", {}).get("order_id")
    return None if named is None else int(named)


def _row(
    who: Principal,
    ended_at: datetime,
    took_us: int,
    request_id: str,
    method: str,
    route: str,
    status: int,
    code: str | None,
    address: Address | None,
    order_id: int | None,
) -> service.Row:
    at = ended_at - timedelta(microseconds=took_us)
    return (
        slot_of(at.date()),
        who.client_id,
        at,
        request_id,
        method,
        route,
        status,
        code,
        took_us,
        who.credential_id,
        who.login_id,
        text_of(address),
        order_id,
    )
