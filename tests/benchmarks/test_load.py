"""The load generator against a stub: it counts what was answered, and costs little."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import load, wire
from benchmarks.latency import Latencies


class Stub(asyncio.Protocol):
    """Answers every request by a rule, after a while, perhaps in pieces."""

    def __init__(self, rule: Callable[[bytes], bytes], delay_s: float, piece: int) -> None:
        self._rule, self._delay_s, self._piece = rule, delay_s, piece

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        answer = self._rule(data)
        if self._delay_s:
            asyncio.get_running_loop().call_later(self._delay_s, self._write, answer)
        else:
            self._write(answer)

    def _write(self, answer: bytes) -> None:
        if not answer:
            self.transport.abort()
        elif self._piece:
            self._drip(answer)
        else:
            self.transport.write(answer)

    def _drip(self, answer: bytes) -> None:
        self.transport.write(answer[: self._piece])
        if answer[self._piece :]:
            asyncio.get_running_loop().call_later(0.001, self._drip, answer[self._piece :])


def answer(status: int = 200, body: bytes = b'{"status":"DELIVERED"}') -> bytes:
    return b"HTTP/1.1 %d X\r\nServer: stub\r\nContent-Length: %d\r\n\r\n%b" % (
        status,
        len(body),
        body,
    )


@contextlib.asynccontextmanager
async def stub(
    rule: Callable[[bytes], bytes] = lambda _: answer(), delay_s: float = 0, piece: int = 0
) -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Stub(rule, delay_s, piece), "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


ORDER = ("POST", "/api/v1/orders", {"X-API-Key": "k"}, b'{"quantity":1}')


async def test_every_request_is_counted_and_has_a_key_of_its_own() -> None:
    seen: list[bytes] = []

    def rule(data: bytes) -> bytes:
        seen.append(data)
        return answer()

    async with stub(rule) as base_url:
        outcome = await load.closed(
            base_url, wire.keyed([ORDER]), connections=8, seconds=0.3, mark=b"DELIVERED"
        )
    assert outcome.answered == outcome.good == outcome.marked == len(outcome.latencies) > 50
    assert outcome.answered == len(seen)
    assert outcome.lost == 0
    keys = {data.split(b"Idempotency-Key: ")[1].split(b"\r\n")[0] for data in seen}
    assert len(keys) == len(seen)
    assert all(8 <= len(key) <= 255 for key in keys)
    assert seen[0].startswith(
        b"POST /api/v1/orders HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: k\r\n"
    )
    assert seen[0].endswith(b'Content-Length: 14\r\n\r\n{"quantity":1}')


async def test_answers_in_pieces_are_put_together() -> None:
    async with stub(piece=9) as base_url:
        outcome = await load.closed(
            base_url, wire.keyed([ORDER]), connections=4, seconds=0.2, mark=b"DELIVERED"
        )
    assert outcome.good == outcome.marked > 4


async def test_refusals_and_lost_connections_are_told_apart() -> None:
    turn = 0

    def rule(_data: bytes) -> bytes:
        nonlocal turn
        turn += 1
        return answer(503, b"{}") if turn % 2 else (b"" if turn == 100 else answer())

    async with stub(rule) as base_url:
        outcome = await load.closed(base_url, wire.keyed([ORDER]), connections=4, seconds=0.3)
    assert outcome.lost == 1
    assert outcome.statuses[503] > 0
    assert outcome.good == outcome.statuses[200]
    assert b"503" in outcome.strange[0]


async def test_an_answer_without_a_length_is_lost_not_waited_for() -> None:
    async with stub(lambda _: b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nx") as base_url:
        outcome = await load.closed(base_url, wire.keyed([ORDER]), connections=2, seconds=0.1)
    assert (outcome.lost, outcome.answered) == (2, 0)


async def test_an_open_loop_counts_the_wait_of_asks_that_could_not_go_out() -> None:
    async with stub(delay_s=0.05) as base_url:
        outcome = await load.open_loop(
            base_url, wire.keyed([ORDER]), per_second=100, seconds=0.5, connections=1
        )
    assert outcome.answered == 50
    # One connection serves 20 a second: the last ask waits for those before it.
    [p50, p100] = outcome.latencies.quantile_ms(0.5, 1)
    assert p100 > 1500
    assert p50 > 500


async def test_an_open_loop_with_room_measures_the_server() -> None:
    async with stub(delay_s=0.01) as base_url:
        outcome = await load.open_loop(
            base_url, wire.keyed([ORDER]), per_second=100, seconds=0.5, connections=16
        )
    assert outcome.answered == 50
    [p50] = outcome.latencies.quantile_ms(0.5)
    assert 10 <= p50 < 40


async def test_load_goes_nowhere_else() -> None:
    with pytest.raises(AssertionError):
        await load.closed("http://192.0.2.1:80", wire.keyed([ORDER]), connections=1, seconds=1)


async def test_the_generator_is_cheap() -> None:
    """Stub and generator share this process, so the figure holds both; the bound is generous."""
    async with stub() as base_url:
        outcome = await load.closed(base_url, wire.keyed([ORDER]), connections=64, seconds=0.5)
    print(f"generator and stub: {outcome.generator_us:.0f} µs a request")
    assert outcome.generator_us < 400


@given(st.lists(st.integers(0, 10**11), min_size=1, max_size=200), st.integers(1, 100))
def test_a_quantile_is_the_smallest_value_that_covers_its_share(
    values: list[int], percent: int
) -> None:
    [found_ms] = Latencies(values).quantile_ms(percent / 100)
    covered = sum(value / 1e6 <= found_ms for value in values)
    below = sum(value / 1e6 < found_ms for value in values)
    assert covered * 100 >= percent * len(values)
    assert below * 100 < percent * len(values)


@given(st.lists(st.integers(0, 10**11), max_size=50))
def test_a_histogram_holds_every_value(values: list[int]) -> None:
    lines = Latencies(values).histogram()
    assert sum(int(line.split(" ms ")[1].split()[0]) for line in lines) == len(values)
