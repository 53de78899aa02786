"""Failpoints: every commit and every call to somebody else may be struck, just before or after.

Production code has no hook for it. All commits pass `Database.transaction` or the queue's driver,
all calls to others `Wire._exchange`, a rate provider's `_get`, `Poster.post`, or the mail relay's
`connect` and `dialogue` (tests/failpoints/boundaries.py proves it), so it is enough to stand there.
A point is named by the code that asked for it.
"""

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Any
from weakref import WeakKeyDictionary

import pytest

import rewards
from rewards.core.errors import Unavailable
from rewards.infra.db import Database, Tx
from rewards.infra.outbound import NotAnswered, Poster
from rewards.infra.queue import PoolDriver
from rewards.notices.model import Outcome, Reply
from rewards.notices.relay import Relay
from rewards.pricing.provider import JsonProvider, ProviderFailed
from rewards.vendors.wire import NoAnswer, NotSent, Wire

PACKAGE = str(Path(rewards.__file__).parent) + "/"
A_TEST = "a test"
STALL_S = 30.0
# Of the 10 s after which the server ends a transaction in which nothing happens, in this test.
IDLE_MS = 20
IDLE_ENDED_S = 0.06


class Kind(StrEnum):
    DIE = "die"  # the process ends here; nothing of it runs any more
    RAISE = "raise"  # a bug
    STALL = "stall"  # 30 s in which others go on
    CANCEL = "cancel"  # whoever waits for it leaves
    LOST = "lost"  # before: the other side is not reached; after: its reply is lost


class Side(StrEnum):
    BEFORE = "before"
    AFTER = "after"


class Died(BaseException):
    """What this process does from now on is not done: it is dead."""


class Struck(Exception):
    """A bug that nobody foresaw."""


@dataclass(frozen=True, slots=True)
class Strike:
    """What happens at the `turn`-th passing of a point, counted from 1."""

    point: str
    side: Side
    kind: Kind
    turn: int = 1

    def __str__(self) -> str:
        turn = "" if self.turn == 1 else f" (turn {self.turn})"
        return f"{self.kind} {self.side} {self.point}{turn}"


@dataclass(eq=False)
class Fuse:
    """One process as far as failpoints know it: what it passed, what strikes it, whether it died.

    `meanwhile` is what others do while it stalls. `end` really ends it, where it is a real process.
    """

    strike: Strike | None = None
    meanwhile: Callable[[], Awaitable[None]] | None = None
    end: Callable[[], None] | None = None
    seen: list[str] = field(default_factory=list)
    struck: bool = False
    dead: bool = False
    # What was written outside a transaction, and not by the queue.
    stray: list[str] = field(default_factory=list)
    ends: set[Callable[[], None]] = field(default_factory=set)

    def passes(self, point: str) -> int:
        """Note that the point is reached; which turn it is."""
        self.alive()
        self.seen.append(point)
        return self.seen.count(point)

    def alive(self) -> None:
        if self.dead:
            raise Died

    def due(self, point: str, turn: int, side: Side) -> Kind | None:
        """What strikes here and now."""
        self.alive()
        strike = self.strike
        if strike is None or self.struck:
            return None
        if (strike.point, strike.turn, strike.side) != (point, turn, side):
            return None
        self.struck = True
        return strike.kind

    def die(self) -> None:
        """Connections end as the kernel ends them: without a word, and so without a commit."""
        if self.end is not None:
            self.end()
        self.dead = True
        for end in self.ends:
            end()
        raise Died

    async def stall(self) -> None:
        if self.meanwhile is not None:
            await self.meanwhile()


@dataclass(eq=False)
class Slot:
    """Where a process has its fuse."""

    fuse: Fuse = field(default_factory=Fuse)


# Whose the databases and providers are that are opened now.
OPENED_IN: ContextVar[Slot | None] = ContextVar("opened_in", default=None)
_slots: WeakKeyDictionary[object, Slot] = WeakKeyDictionary()


def fuse_of(owned: object) -> Fuse | None:
    slot = _slots.get(owned)
    return slot.fuse if slot else None


# Who asked for the transaction that `Database.run` opens.
ASKED_BY: ContextVar[str | None] = ContextVar("asked_by", default=None)


@contextmanager
def inside(slot: Slot | None) -> Iterator[None]:
    """What is opened here belongs to this process, or to nobody."""
    token = OPENED_IN.set(slot)
    try:
        yield
    finally:
        OPENED_IN.reset(token)


async def cancelled() -> None:
    """The task that is here is cancelled; it hears of it here."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


def caller() -> str:
    """The innermost function of ours on the way here, the database's own machinery apart."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(PACKAGE) and not file.endswith("infra/db.py"):
            module = file.removeprefix(PACKAGE).removesuffix(".py").replace("/", ".")
            return f"{module}.{frame.f_code.co_qualname.replace('.<locals>', '')}"
        frame = frame.f_back
    return A_TEST


@contextmanager
def installed() -> Iterator[None]:
    """Stand at the choke points; who has no fuse passes as if nobody stood there."""
    with pytest.MonkeyPatch.context() as patch:
        for opened in (Database, JsonProvider, Poster, Relay):
            patch.setattr(opened, "__init__", _owned(opened.__init__))
        patch.setattr(Database, "transaction", _transaction(Database.transaction))
        patch.setattr(Database, "connection", _connection(Database.connection))
        patch.setattr(Database, "run", _run(Database.run))
        patch.setattr(PoolDriver, "_patiently", _patiently(PoolDriver._patiently))
        patch.setattr(Wire, "_exchange", _exchange(Wire._exchange))
        patch.setattr(JsonProvider, "_get", _get(JsonProvider._get))
        patch.setattr(Poster, "post", _post(Poster.post))
        patch.setattr(Relay, "connect", _connect(Relay.connect))
        patch.setattr(Relay, "dialogue", _dialogue(Relay.dialogue))
        yield


def _owned(real: Any) -> Any:
    def init(self: object, *args: Any, **kwargs: Any) -> None:
        real(self, *args, **kwargs)
        slot = OPENED_IN.get()
        if slot is not None:
            _slots[self] = slot

    return init


def _run(real: Any) -> Any:
    def run(self: Database, work: Any) -> Any:
        # Here and now: the work may be handed to a task, which knows nothing of its caller.
        return named(self, work, caller())

    async def named(self: Database, work: Any, name: str) -> Any:
        token = ASKED_BY.set(name)
        try:
            return await real(self, work)
        finally:
            ASKED_BY.reset(token)

    return run


def _transaction(real: Any) -> Any:
    def transaction(self: Database) -> Any:
        asked = sys._getframe(1).f_code is Database_RUN_CODE
        return struck(self, (ASKED_BY.get() if asked else None) or caller())

    @asynccontextmanager
    async def struck(self: Database, name: str) -> AsyncIterator[Tx]:
        fuse = fuse_of(self)
        if fuse is None:
            async with real(self) as tx:
                yield tx
            return
        point = f"commit {name}"
        turn = fuse.passes(point)
        fuse.ends.add(self._pool.terminate)
        async with real(self) as tx:
            yield tx
            await _before_commit(fuse, fuse.due(point, turn, Side.BEFORE), tx)
        await _after_commit(fuse, fuse.due(point, turn, Side.AFTER))

    return transaction


Database_RUN_CODE = Database.run.__code__


def _connection(real: Any) -> Any:
    def connection(self: Database) -> Any:
        fuse = fuse_of(self)
        seen = fuse is None or sys._getframe(1).f_code.co_name in COMMITTING
        return real(self) if seen else noting(self, fuse)

    @asynccontextmanager
    async def noting(self: Database, fuse: Fuse) -> AsyncIterator[Tx]:
        def note(sent: Any) -> None:
            if WRITES.search(sent.query):
                fuse.stray.append(sent.query)

        async with real(self) as tx:
            tx.add_query_logger(note)
            try:
                yield tx
            finally:
                tx.remove_query_logger(note)

    return connection


# Whose connections are seen by the failpoints already.
COMMITTING = (Database.transaction.__name__, PoolDriver._patiently.__name__)
WRITES = re.compile(r"\b(INSERT\s+INTO|UPDATE\s+\w+\s|DELETE\s+FROM|nextval)", re.IGNORECASE)


async def _strike(fuse: Fuse, kind: Kind | None) -> None:
    match kind:
        case Kind.DIE:
            fuse.die()
        case Kind.RAISE:
            raise Struck
        case Kind.CANCEL:
            await cancelled()
        case Kind.STALL:
            await fuse.stall()


async def _before_commit(fuse: Fuse, kind: Kind | None, tx: Tx) -> None:
    if kind is Kind.LOST:
        tx.terminate()
        return
    if kind is Kind.STALL:
        # The server waits 10 s of the 30 and then ends the transaction: here sooner.
        await tx.execute(f"SET LOCAL idle_in_transaction_session_timeout = {IDLE_MS}")
        await asyncio.sleep(IDLE_ENDED_S)
    await _strike(fuse, kind)


async def _after_commit(fuse: Fuse, kind: Kind | None) -> None:
    if kind is Kind.LOST:
        raise Unavailable
    await _strike(fuse, kind)


def _patiently(real: Any) -> Any:
    def patiently(self: PoolDriver, work: Any) -> Any:
        fuse = fuse_of(self._db)
        if fuse is None:
            return real(self, work)
        # Of PgQueuer's function that wants a statement run; between them is our driver.
        name = sys._getframe(2).f_code.co_name
        return real(self, struck(fuse, self, f"queue {name}", work))

    def struck(fuse: Fuse, self: PoolDriver, point: str, work: Any) -> Any:
        turn = fuse.passes(point)
        fuse.ends |= {self._db._pool.terminate, self.shutdown.set}

        async def statement(tx: Tx) -> Any:
            kind = fuse.due(point, turn, Side.BEFORE)
            if kind is Kind.LOST:
                tx.terminate()
            else:
                await _strike(fuse, kind)
            result = await work(tx)
            kind = fuse.due(point, turn, Side.AFTER)
            if kind is Kind.LOST:
                raise ConnectionResetError
            await _strike(fuse, kind)
            return result

        return statement

    return patiently


def _exchange(real: Any) -> Any:
    async def exchange(self: Wire, method: str, url: Any, headers: Any, body: Any) -> Any:
        def call() -> Any:
            return real(self, method, url, headers, body)

        point = f"vendor {method} /{url.path.split('/')[1]}"
        fuse = fuse_of(getattr(self._recorder, "_db", None))
        return await _called(fuse, point, call, NotSent("no connection"), NoAnswer("not in time"))

    return exchange


def _get(real: Any) -> Any:
    async def get(self: JsonProvider) -> Any:
        trouble = ProviderFailed("not reached, or not in time")
        return await _called(fuse_of(self), "rate provider", lambda: real(self), trouble, trouble)

    return get


def _post(real: Any) -> Any:
    async def post(self: Poster, url: str, headers: Any, body: bytes) -> Any:
        def call() -> Any:
            return real(self, url, headers, body)

        not_reached, late = NotAnswered("no connection"), NotAnswered("no answer in time")
        return await _called(fuse_of(self), "webhook POST", call, not_reached, late)

    return post


def _connect(real: Any) -> Any:
    async def connect(self: Relay) -> Any:
        refused, late = ConnectionRefusedError(), TimeoutError()
        return await _called(fuse_of(self), "mail connection", lambda: real(self), refused, late)

    return connect


class MailLost(Exception):
    """The connection broke in the dialogue."""


def _dialogue(real: Any) -> Any:
    async def dialogue(self: Relay, smtp: Any, envelope: Any) -> Any:
        def call() -> Any:
            return real(self, smtp, envelope)

        try:
            return await _called(fuse_of(self), "mail dialogue", call, MailLost(), MailLost())
        except MailLost:
            return Reply(Outcome.LOST, "DATA")

    return dialogue


async def _called(
    fuse: Fuse | None, point: str, call: Any, not_reached: Exception, no_reply: Exception
) -> Any:
    if fuse is None:
        return await call()
    turn = fuse.passes(point)
    kind = fuse.due(point, turn, Side.BEFORE)
    if kind is Kind.LOST:
        raise not_reached
    await _strike(fuse, kind)
    answer = await call()
    kind = fuse.due(point, turn, Side.AFTER)
    if kind is Kind.LOST:
        raise no_reply
    await _strike(fuse, kind)
    if kind is Kind.STALL:
        # No call waits for 30 s.
        raise no_reply
    return answer
