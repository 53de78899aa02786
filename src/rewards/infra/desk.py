"""The desk: asks of many callers gather while a batch runs, and are the next batch together."""

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Hashable, Sequence
from typing import Generic, TypeVar

from rewards.core.errors import Refusal, Unavailable
from rewards.infra.db import AWAY

Ask = TypeVar("Ask")
Answer = TypeVar("Answer")

# How long one batch may go on being served member by member before the rest is told to come back.
ALONE_BUDGET_S = 5.0
# What a batch that is cancelled at closing has left to roll back.
CANCEL_WAIT_S = 1.0
# Callers that hear their answer in one turn of the loop. All of a batch at once would keep the loop
# for as long as it takes them to write what they answer, and the next batch, whose statements are
# answered meanwhile, would stand still with the database idle.
ANSWERS_A_TURN = 4


class _Seat(Generic[Ask, Answer]):
    """One caller's ask and where its answer goes."""

    __slots__ = ("answer", "ask", "keys", "since_s")

    def __init__(
        self,
        ask: Ask,
        answer: "asyncio.Future[Answer | Refusal]",
        keys: Collection[Hashable],
        since_s: float,
    ) -> None:
        self.ask = ask
        self.answer = answer
        self.keys = keys
        self.since_s = since_s


class Desk(Generic[Ask, Answer]):
    """Batches asks without a timer: an idle desk serves a lone ask at once.

    `work` takes 1 to `batch_max` asks in the order they came and returns one answer or Refusal for
    each, in that order; it is one transaction, so that an error means nothing was done. At most
    `in_flight_max` batches run at a time, and whatever arrives meanwhile gathers. Should `work`
    fail for several asks, each is tried alone, so that only the one at fault is hurt (unless the
    database is away: then all are told so).

    Asks that share one of their `conflict_keys` are never served at the same time, and in the order
    they came: the later one finds what the earlier one left. `observe` is told each batch's size
    and the longest wait in it, in seconds.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Ask]], Awaitable[Sequence[Answer | Refusal]]],
        *,
        name: str,
        batch_max: int = 64,
        in_flight_max: int = 2,
        queue_max: int = 2_000,
        conflict_keys: Callable[[Ask], Collection[Hashable]] | None = None,
        observe: Callable[[int, float], None] | None = None,
    ) -> None:
        assert batch_max > 0
        assert in_flight_max > 0
        assert queue_max > 0
        self.name = name
        self._work = work
        self._batch_max = batch_max
        self._in_flight_max = in_flight_max
        self._queue_max = queue_max
        self._conflict_keys = conflict_keys
        self._observe = observe
        self._waiting: deque[_Seat[Ask, Answer]] = deque()
        self._batches: set[asyncio.Task[None]] = set()
        self._busy_keys: set[Hashable] = set()
        self._begin_is_due = False
        self._closed = False

    @property
    def waiting(self) -> int:
        """How many asks are not yet in a batch."""
        return len(self._waiting)

    @property
    def takes(self) -> bool:
        """Whether another ask would be taken now."""
        return not self._closed and len(self._waiting) < self._queue_max

    async def submit(self, ask: Ask) -> Answer:
        """Have `ask` served and return its answer; raises its Refusal, or the error it caused.

        Refuses with Unavailable, at once, when the queue is full or the desk closed. A caller that
        is cancelled leaves: before its batch began nothing is done, after that everything is.
        """
        if not self.takes:
            raise Unavailable
        loop = asyncio.get_running_loop()
        keys = self._conflict_keys(ask) if self._conflict_keys else ()
        answer: asyncio.Future[Answer | Refusal] = loop.create_future()
        self._waiting.append(_Seat(ask, answer, keys, loop.time()))
        if not self._begin_is_due and len(self._batches) < self._in_flight_max:
            # Not now but at the end of this turn of the loop: what arrives in it shares the batch.
            self._begin_is_due = True
            loop.call_soon(self._begin)
        result = await answer
        if isinstance(result, Refusal):
            raise result
        return result

    async def close(self, grace_s: float = 5.0) -> None:
        """Take nothing more and serve what waits, for at most `grace_s`; the rest is refused."""
        self._closed = True
        loop = asyncio.get_running_loop()
        until_s = loop.time() + grace_s
        while self._batches or self._waiting:
            self._begin()
            left_s = until_s - loop.time()
            if left_s <= 0 or not self._batches:
                break
            await asyncio.wait(self._batches, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
        _refuse(self._waiting)
        self._waiting.clear()
        for batch in self._batches:
            batch.cancel()
        if self._batches:
            await asyncio.wait(self._batches, timeout=CANCEL_WAIT_S)

    def _begin(self) -> None:
        """Send out as many batches as there are free places and askers."""
        self._begin_is_due = False
        while self._waiting and len(self._batches) < self._in_flight_max:
            seats = self._take()
            if not seats:
                return
            # An empty context: the batch belongs to no single request.
            batch = asyncio.get_running_loop().create_task(
                self._serve(seats), name=f"desk:{self.name}", context=contextvars.Context()
            )
            self._batches.add(batch)
            batch.add_done_callback(self._finish)

    def _finish(self, batch: "asyncio.Task[None]") -> None:
        self._batches.discard(batch)
        self._begin()

    def _take(self) -> list[_Seat[Ask, Answer]]:
        """The next batch in order of arrival, without those who left or whose twin still runs."""
        waiting, busy = self._waiting, self._busy_keys
        seats: list[_Seat[Ask, Answer]] = []
        passed: list[_Seat[Ask, Answer]] = []
        # Nothing overtakes a passed ask that it shares a key with.
        blocked: set[Hashable] = set()
        while waiting and len(seats) < self._batch_max:
            seat = waiting.popleft()
            if seat.answer.done():
                continue
            if seat.keys:
                if not (busy.isdisjoint(seat.keys) and blocked.isdisjoint(seat.keys)):
                    blocked.update(seat.keys)
                    passed.append(seat)
                    continue
                busy.update(seat.keys)
            seats.append(seat)
        waiting.extendleft(reversed(passed))
        return seats

    async def _serve(self, seats: list[_Seat[Ask, Answer]]) -> None:
        try:
            if self._observe:
                now_s = asyncio.get_running_loop().time()
                self._observe(len(seats), now_s - min(seat.since_s for seat in seats))
            error = await self._try(seats)
            if error is None:
                return
            if _is_away(error):
                _refuse(seats)
            elif len(seats) == 1:
                _fail(seats, error)
            else:
                await self._serve_alone(seats)
                _refuse(seats)
        except BaseException:
            # A batch that is cancelled, above all: nobody waits for an answer that never comes.
            _refuse(seats)
            raise
        finally:
            for seat in seats:
                self._busy_keys.difference_update(seat.keys)

    async def _serve_alone(self, seats: list[_Seat[Ask, Answer]]) -> None:
        """One by one, while the time lasts and the database is there."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + ALONE_BUDGET_S
        for seat in seats:
            if seat.answer.done():
                continue
            error = await self._try([seat])
            if error is not None:
                if _is_away(error):
                    return
                _fail([seat], error)
            if loop.time() > until_s:
                return

    async def _try(self, seats: list[_Seat[Ask, Answer]]) -> BaseException | None:
        """Serve these in one go; return why nothing was done, or None when all will be answered."""
        work = self._work([seat.ask for seat in seats])
        [outcome] = await asyncio.gather(work, return_exceptions=True)
        if isinstance(outcome, BaseException):
            return outcome
        if len(outcome) != len(seats):
            # The work is done and must not be repeated: everybody hears of the bug.
            _fail(seats, AssertionError(f"desk {self.name}: one answer for each ask"))
            return None
        self._hand_out(seats, outcome)
        return None

    def _hand_out(
        self,
        seats: Sequence[_Seat[Ask, Answer]],
        answers: Sequence[Answer | Refusal],
        begin: int = 0,
    ) -> None:
        """Some hear their answer now, the others from the next turns of the loop on."""
        end = begin + ANSWERS_A_TURN
        for seat, answer in zip(seats[begin:end], answers[begin:end], strict=True):
            if not seat.answer.done():
                seat.answer.set_result(answer)
        if end < len(seats):
            asyncio.get_running_loop().call_soon(self._hand_out, seats, answers, end)


def _is_away(error: BaseException) -> bool:
    return isinstance(error, (Unavailable, asyncio.CancelledError, *AWAY))


def _refuse(seats: Collection[_Seat[Ask, Answer]]) -> None:
    """Tell everybody here who has no answer yet to come back later."""
    for seat in seats:
        if not seat.answer.done():
            seat.answer.set_result(Unavailable())


def _fail(seats: Collection[_Seat[Ask, Answer]], error: BaseException) -> None:
    for seat in seats:
        if not seat.answer.done():
            seat.answer.set_exception(error)
