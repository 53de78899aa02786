"""Limits that several processes share: the same answers as in one, no overshoot, and outages."""

import asyncio
import random
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from rewards.clients import counts
from rewards.clients.counts import SharedCounts, SharedCountsAway
from rewards.clients.limits import Limiter
from rewards.clients.model import ALL_SCOPES, ClientStatus, Limits, Principal
from rewards.clients.windows import Window
from rewards.core.clock import SystemClock
from rewards.core.errors import TooManyRequests
from tests.clients.test_clients_windows import Naive

pytest.importorskip("redis")
SERVER = shutil.which("redis-server") or shutil.which("valkey-server")
pytestmark = pytest.mark.skipif(SERVER is None, reason="neither redis-server nor valkey-server")
WIDE = Limits(10**6, 10**6, 10**6, 10**6)
ALICE = Principal(1, 1, None, ALL_SCOPES, WIDE, 1000, Decimal(0), ClientStatus.ACTIVE, (), 0)
UP_TIMEOUT_S = 10.0
# Where nothing is meant to be away, a busy machine is not taken for an outage.
PATIENCE_S = 30.0


class Store:
    """A server of this test's own, which it may kill, freeze and start again."""

    def __init__(self, home: Path) -> None:
        self.home = home
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        assert SERVER is not None
        self.process = await asyncio.create_subprocess_exec(
            *(SERVER, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.home)),
            *("--save", "", "--appendonly", "no"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(UP_TIMEOUT_S):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except ConnectionRefusedError:
                    await asyncio.sleep(0.02)
                else:
                    writer.close()
                    return

    async def kill(self) -> None:
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            await process.wait()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    made = Store(tmp_path)
    await made.start()
    yield made
    await made.kill()


@pytest.fixture
async def shared(store: Store) -> AsyncIterator[SharedCounts]:
    made = SharedCounts(store.url, PATIENCE_S)
    yield made
    await made.close()


@pytest.fixture
async def two(store: Store) -> AsyncIterator[tuple[Limiter, Limiter]]:
    """Two processes' limiters."""
    made = tuple(Limiter(SystemClock(), SharedCounts(store.url, PATIENCE_S)) for _ in range(2))
    yield made[0], made[1]
    for limiter in made:
        await limiter.close()


async def place(limiter: Limiter, principal: Principal) -> bool:
    try:
        async with limiter.order_slot(principal):
            return True
    except TooManyRequests:
        return False


async def answering(limiter: Limiter) -> None:
    """Return once the shared store counts for this process again."""
    shared = limiter._shared
    assert shared is not None
    async with asyncio.timeout(UP_TIMEOUT_S):
        while True:
            with suppress(SharedCountsAway):
                if not shared.resting:
                    await shared.take("probe", "anybody", [Window(10**6, 1)])
                    return
            await asyncio.sleep(0.02)


async def test_the_answers_are_the_naive_models_by_the_servers_clock(shared: SharedCounts) -> None:
    naive, rng, refusals = Naive(), random.Random(5), 0
    for _ in range(400):
        await asyncio.sleep(rng.choice([0, 0, 0.005, 0.02]))
        windows = [Window(rng.randint(3, 12), 1), Window(rng.randint(10, 30), 2)]
        taken = await shared.take("orders", "alice", windows)
        expected = naive.take(windows, taken.now_us)
        assert taken.allowed == expected
        assert taken.standing is not None
        if taken.allowed:
            oldest = min(at for at in naive.let_through if at > taken.now_us - 1_000_000)
            assert taken.standing.remaining == windows[0].amount - naive.count(1, taken.now_us)
            assert taken.standing.reset_at_us == oldest + 1_000_000
        else:
            refusals += 1
            full = [w for w in windows if naive.count(w.per_s, taken.now_us) >= w.amount]
            opens = [naive.opens_at(window, taken.now_us) for window in full]
            assert taken.standing.reset_at_us == max(opens)
            assert taken.standing.remaining == 0
    assert 50 < refusals < 390


@pytest.mark.parametrize(
    "limits",
    [
        replace(WIDE, per_minute=60),
        replace(WIDE, per_10s=10),
        replace(WIDE, per_day=77),
        Limits(60, 10, 5000, 10**6),
    ],
)
async def test_two_processes_together_never_let_one_too_many_through(
    two: tuple[Limiter, Limiter], limits: Limits
) -> None:
    alice = replace(ALICE, limits=limits)
    answers = await asyncio.gather(*(place(two[n % 2], alice) for n in range(200)))
    assert sum(answers) == min(limits.per_minute, limits.per_10s, limits.per_day)


async def test_the_concurrent_limit_spans_processes(two: tuple[Limiter, Limiter]) -> None:
    alice = replace(ALICE, limits=replace(WIDE, concurrent=3))
    held = [two[n % 2].order_slot(alice) for n in range(3)]
    for slot in held:
        await slot.__aenter__()
    assert [await place(limiter, alice) for limiter in two] == [False, False]
    for slot in held:
        await slot.__aexit__(None, None, None)
    await asyncio.sleep(0.05)
    assert [await place(limiter, alice) for limiter in two] == [True, True]


async def test_a_process_that_dies_gives_its_slots_back(
    two: tuple[Limiter, Limiter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "SLOT_LEASE_S", 2)
    alice = replace(ALICE, limits=replace(WIDE, concurrent=1))
    await two[0].order_slot(alice).__aenter__()
    assert not await place(two[1], alice)
    await asyncio.sleep(2.05)
    assert await place(two[1], alice)


async def test_a_cancelled_request_gives_its_slot_back(two: tuple[Limiter, Limiter]) -> None:
    alice = replace(ALICE, limits=replace(WIDE, concurrent=1))

    async def stuck() -> None:
        async with two[0].order_slot(alice):
            await asyncio.Event().wait()

    for delay_s in (0, 0.0002, 0.0005, 0.001, 0.002, 0.05):
        task = asyncio.create_task(stuck())
        await asyncio.sleep(delay_s)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.sleep(0.05)
        assert await place(two[1], alice), delay_s
        await asyncio.sleep(0.02)


async def test_a_great_limit_is_kept_in_bounded_memory(shared: SharedCounts) -> None:
    windows = [Window(1_000_000, 60)]
    for _ in range(300):
        await shared.take("orders", "bench", windows)
    [key] = await shared._server.keys("*bench}:60")
    # Slices of 6 ms: as many entries as slices, not as requests.
    assert await shared._server.llen(key) < 300
    assert await shared._server.ttl(key) <= 61
    assert (await shared.take("orders", "bench", windows)).standing.remaining == 1_000_000 - 301  # type: ignore[union-attr]


async def test_keys_leave_nothing_behind_for_ever(shared: SharedCounts) -> None:
    await shared.take("orders", "alice", [Window(5, 60), Window(5, 10)], 3, "token")
    keys = await shared._server.keys("*")
    assert len(keys) == 4
    for key in keys:
        assert 0 < await shared._server.ttl(key) <= 61


async def test_without_the_store_each_process_counts_for_itself(
    store: Store, two: tuple[Limiter, Limiter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "AWAY_PAUSE_S", 0.3)
    alice = replace(ALICE, limits=replace(WIDE, per_minute=10))
    assert [await place(two[0], alice) for _ in range(4)] == [True] * 4
    await store.kill()
    assert [await place(two[0], alice) for _ in range(12)] == [True] * 10 + [False] * 2
    assert [await place(two[1], alice) for _ in range(12)] == [True] * 10 + [False] * 2
    await store.start()
    for limiter in two:
        await answering(limiter)
    # A fresh store: what it knew is gone with it, and it counts for both again.
    answers = [await place(two[n % 2], alice) for n in range(12)]
    assert answers == [True] * 10 + [False] * 2


async def test_a_store_that_hangs_holds_nobody_up_for_long(store: Store) -> None:
    limiter = Limiter(SystemClock(), SharedCounts(store.url))
    # Up to one that is answered: the first may find the machine busy.
    await answering(limiter)
    assert store.process is not None
    store.process.send_signal(19)
    try:
        async with asyncio.timeout(UP_TIMEOUT_S):
            assert await place(limiter, ALICE)
        # One waited; while the store rests, none asks it.
        shared = limiter._shared
        assert shared is not None
        assert shared.resting
        with pytest.raises(SharedCountsAway):
            await asyncio.wait_for(shared.take("orders", 1, [Window(1, 1)]), UP_TIMEOUT_S)
    finally:
        store.process.send_signal(18)
    await limiter.close()


async def test_after_an_outage_no_old_connection_costs_another_one(
    store: Store, shared: SharedCounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "AWAY_PAUSE_S", 0.05)

    async def burst() -> None:
        await asyncio.gather(*(shared.take("orders", n, [Window(9, 1)]) for n in range(8)))

    await burst()
    await store.kill()
    with pytest.raises(SharedCountsAway):
        await shared.take("orders", "alice", [Window(9, 1)])
    await store.start()
    await asyncio.sleep(0.1)
    await shared.take("orders", "alice", [Window(9, 1)])
    await burst()


async def test_a_slot_that_began_before_an_outage_ends_well(
    store: Store, two: tuple[Limiter, Limiter]
) -> None:
    async with two[0].order_slot(ALICE):
        await store.kill()
    await asyncio.sleep(0.05)
    assert await place(two[0], ALICE)


async def test_the_store_says_when_it_is_away(store: Store, shared: SharedCounts) -> None:
    await store.kill()
    assert not shared.resting
    with pytest.raises(SharedCountsAway):
        await shared.take("orders", "alice", [Window(1, 1)])
    assert shared.resting


@pytest.mark.parametrize("scheme", ["redis", "valkey"])
async def test_either_name_of_the_protocol_will_do(store: Store, scheme: str) -> None:
    shared = SharedCounts(store.url.replace("redis", scheme))
    assert (await shared.take("orders", "alice", [Window(1, 1)])).allowed
    await shared.close()
