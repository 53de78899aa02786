"""Load over raw connections, closed (each asks again when answered) or open (asks come on time)."""

import asyncio
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from time import perf_counter_ns, process_time
from typing import cast
from urllib.parse import urlsplit

from benchmarks.latency import Latencies
from benchmarks.wire import BadAnswer, cut

CONNECT_TIMEOUT_S = 10.0
# After the last request has gone out, how long its answer may take.
LAST_ANSWER_S = 20.0
LOST_MAX = 100
SAMPLE_MAX = 20


@dataclass
class Outcome:
    """What one run saw. `marked` counts answers that held the bytes that were looked for."""

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    marked: int = 0
    lost: int = 0
    latencies: Latencies = field(default_factory=Latencies)
    generator_s: float = 0.0
    # The first few answers that were not 2xx, to say what went wrong.
    strange: list[bytes] = field(default_factory=list)

    @property
    def answered(self) -> int:
        return self.statuses.total()

    @property
    def good(self) -> int:
        return sum(count for status, count in self.statuses.items() if 200 <= status < 300)

    @property
    def per_second(self) -> float:
        return self.good / self.seconds if self.seconds else 0.0

    @property
    def generator_us(self) -> float:
        """What making one request and reading its answer costs this process."""
        return self.generator_s / max(self.answered, 1) * 1e6


class _Run:
    """What all connections of one run share."""

    def __init__(self, source: Iterator[bytes], mark: bytes) -> None:
        self.source = source
        self.mark = mark
        self.outcome = Outcome()
        self.stop_ns = 0
        self.busy = 0
        self.idle: deque[_Connection] = deque()
        # Of an open run: when each ask that found no free connection should have gone out.
        self.late_ns: deque[int] = deque()
        self.open_loop = False
        self.quiet = asyncio.Event()

    def next_for(self, connection: "_Connection") -> None:
        """Its answer is in: send it out again, or let it rest."""
        if self.open_loop:
            if self.late_ns:
                connection.send(self.late_ns.popleft())
                return
            self.idle.append(connection)
        elif perf_counter_ns() < self.stop_ns:
            connection.send(perf_counter_ns())
            return
        if not self.busy:
            self.quiet.set()


class _Connection(asyncio.Protocol):
    def __init__(self, run: _Run) -> None:
        self._run = run
        self._buffer = b""
        self._total = 0
        self._asked_ns = 0
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not of this class, but do what it says.
        self.transport = cast(asyncio.Transport, transport)

    def send(self, asked_ns: int) -> None:
        assert self.transport is not None
        self._asked_ns = asked_ns
        self._run.busy += 1
        self.transport.write(next(self._run.source))

    def data_received(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
        if not self._total:
            try:
                self._total = cut(data)
            except BadAnswer:
                assert self.transport is not None
                self.transport.abort()
                return
        if not self._total or len(data) < self._total:
            self._buffer = data
            return
        answered_ns = perf_counter_ns()
        run = self._run
        outcome = run.outcome
        status = int(data[9:12])
        outcome.statuses[status] += 1
        outcome.latencies.add(answered_ns - self._asked_ns)
        if run.mark in data:
            outcome.marked += 1
        if not 200 <= status < 300 and len(outcome.strange) < SAMPLE_MAX:
            outcome.strange.append(data[: self._total])
        self._buffer = b""
        self._total = 0
        self._asked_ns = 0
        run.busy -= 1
        run.next_for(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._asked_ns:
            self._run.outcome.lost += 1
            self._run.busy -= 1
            self._asked_ns = 0
        if not self._run.busy:
            self._run.quiet.set()


async def closed(
    base_url: str, source: Iterator[bytes], *, connections: int, seconds: float, mark: bytes = b""
) -> Outcome:
    """`connections` callers, each asking again as soon as it is answered, for `seconds`."""
    run = _Run(source, mark)
    callers = await _connect(base_url, run, connections)
    cpu_s, began_ns = process_time(), perf_counter_ns()
    run.stop_ns = began_ns + int(seconds * 1e9)
    for caller in callers:
        caller.send(perf_counter_ns())
    await _until_quiet(run, seconds)
    return _close(run, callers, cpu_s, began_ns)


async def open_loop(
    base_url: str,
    source: Iterator[bytes],
    *,
    per_second: float,
    seconds: float,
    connections: int = 64,
    mark: bytes = b"",
) -> Outcome:
    """Asks go out on time whatever the answers do; latency counts from when one was due."""
    run = _Run(source, mark)
    run.open_loop = True
    callers = await _connect(base_url, run, connections)
    run.idle.extend(callers)
    cpu_s, began_ns = process_time(), perf_counter_ns()
    for number in range(int(per_second * seconds)):
        due_ns = began_ns + int(number / per_second * 1e9)
        wait_ns = due_ns - perf_counter_ns()
        if wait_ns > 0:
            await asyncio.sleep(wait_ns / 1e9)
        if run.idle:
            run.idle.popleft().send(due_ns)
        else:
            run.late_ns.append(due_ns)
    await _until_quiet(run, 0)
    return _close(run, callers, cpu_s, began_ns)


async def _connect(base_url: str, run: _Run, count: int) -> list[_Connection]:
    parts = urlsplit(base_url)
    assert parts.hostname in ("127.0.0.1", "localhost", "::1"), "load goes to this machine only"
    loop = asyncio.get_running_loop()
    callers = []
    for _ in range(count):
        made = loop.create_connection(lambda: _Connection(run), parts.hostname, parts.port)
        _, caller = await asyncio.wait_for(made, CONNECT_TIMEOUT_S)
        callers.append(caller)
    return callers


async def _until_quiet(run: _Run, seconds: float) -> None:
    if run.busy or run.late_ns:
        run.quiet.clear()
        try:
            await asyncio.wait_for(run.quiet.wait(), seconds + LAST_ANSWER_S)
        except TimeoutError:
            run.outcome.lost += run.busy + len(run.late_ns)


def _close(run: _Run, callers: list[_Connection], cpu_s: float, began_ns: int) -> Outcome:
    outcome = run.outcome
    outcome.seconds = (perf_counter_ns() - began_ns) / 1e9
    outcome.generator_s = process_time() - cpu_s
    for caller in callers:
        if caller.transport is not None:
            caller.transport.abort()
    return outcome
