"""The limiter in one process: exact boundaries, slots always given back, headers everywhere."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal

import pytest

from rewards.clients import counts
from rewards.clients import service as clients
from rewards.clients.counts import MemoryCounts
from rewards.clients.limits import Limiter
from rewards.clients.model import ALL_SCOPES, ClientChange, ClientStatus, Limits, Principal
from rewards.clients.windows import Window
from rewards.core.errors import TooManyRequests
from rewards.infra.db import Database
from tests.clients.calling import Api, calling
from tests.clients.processes_of import NOON, Given, MovedClock, Process

NOON_S = int(NOON.timestamp())
ALICE = Principal(1, 1, None, ALL_SCOPES, Limits(), 1000, Decimal(0), ClientStatus.ACTIVE, (), 0)
BOB = replace(ALICE, client_id=2)


def limited(**limits: int) -> Principal:
    """Alice with one limit that matters."""
    wide = {"per_minute": 10**6, "per_10s": 10**6, "per_day": 10**6, "concurrent": 10**6}
    return replace(ALICE, limits=Limits(**(wide | limits)))


@pytest.fixture
def limiter(clock: MovedClock) -> Limiter:
    return Limiter(clock)


async def place(limiter: Limiter, principal: Principal = ALICE) -> dict[str, str]:
    async with limiter.order_slot(principal) as headers:
        return headers


async def is_refused(limiter: Limiter, principal: Principal = ALICE) -> TooManyRequests:
    with pytest.raises(TooManyRequests) as refused:
        await place(limiter, principal)
    return refused.value


@pytest.mark.parametrize(
    ("limits", "amount", "per_s"),
    [
        ({"per_minute": 60}, 60, 60),
        ({"per_10s": 10}, 10, 10),
        ({"per_day": 5000}, 5000, 86_400),
    ],
)
async def test_each_window_is_exact_at_its_boundary(
    limiter: Limiter, clock: MovedClock, limits: dict[str, int], amount: int, per_s: int
) -> None:
    alice = limited(**limits)
    for _ in range(amount):
        await place(limiter, alice)
    refusal = await is_refused(limiter, alice)
    assert refusal.headers == {
        "X-RateLimit-Limit": str(amount),
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str(NOON_S + per_s),
        "Retry-After": str(per_s),
    }
    assert refusal.details == {"limit": amount, "per_s": per_s}
    clock.advance(seconds=per_s - 1, microseconds=999_999)
    refusal = await is_refused(limiter, alice)
    assert refusal.headers is not None
    assert refusal.headers["Retry-After"] == "1"
    clock.advance(microseconds=1)
    for _ in range(amount):
        await place(limiter, alice)
    await is_refused(limiter, alice)


async def test_the_headers_count_the_minute_down(limiter: Limiter, clock: MovedClock) -> None:
    for n in range(9):
        assert await place(limiter) == {
            "X-RateLimit-Limit": "60",
            "X-RateLimit-Remaining": str(59 - n),
            "X-RateLimit-Reset": str(NOON_S + 60),
        }
        clock.advance(seconds=2)
    clock.advance(seconds=43)
    headers = await place(limiter)
    assert headers["X-RateLimit-Remaining"] == "51"
    assert headers["X-RateLimit-Reset"] == str(NOON_S + 62)


async def test_the_seeds_limits_hold_together(limiter: Limiter, clock: MovedClock) -> None:
    """As fast as may be for two days: never more than 10, 60 or 5,000."""
    served: list[float] = []
    until = clock.now().timestamp() + 2 * 86_400
    while clock.now().timestamp() < until:
        try:
            await place(limiter)
            served.append(clock.now().timestamp())
        except TooManyRequests as refusal:
            clock.advance(seconds=int((refusal.headers or {})["Retry-After"]))
    for amount, per_s in ((10, 10), (60, 60), (5000, 86_400)):
        beyond = zip(served, served[amount:], strict=False)
        assert all(later - first >= per_s for first, later in beyond)
    assert len(served) == 10_000


async def test_clients_do_not_share_counts(limiter: Limiter) -> None:
    for _ in range(10):
        await place(limiter, ALICE)
    await is_refused(limiter, ALICE)
    assert (await place(limiter, BOB))["X-RateLimit-Remaining"] == "59"


async def test_a_limit_can_change_at_any_time(limiter: Limiter, clock: MovedClock) -> None:
    for _ in range(5):
        await place(limiter, limited(per_minute=5))
        clock.advance(seconds=1)
    await is_refused(limiter, limited(per_minute=5))
    assert (await place(limiter, limited(per_minute=7)))["X-RateLimit-Remaining"] == "1"
    refusal = await is_refused(limiter, limited(per_minute=3))
    # Six are counted; four must leave before a third fits.
    assert refusal.headers is not None
    assert refusal.headers["X-RateLimit-Reset"] == str(NOON_S + 3 + 60)
    assert refusal.headers["X-RateLimit-Remaining"] == "0"


async def test_three_at_once_and_the_fourth_is_told_to_come_back(limiter: Limiter) -> None:
    slots = [limiter.order_slot(ALICE) for _ in range(3)]
    for slot in slots:
        await slot.__aenter__()
    refusal = await is_refused(limiter)
    assert refusal.headers == {
        "X-RateLimit-Limit": "3",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str(NOON_S + 1),
        "Retry-After": "1",
    }
    assert refusal.details == {"concurrent": 3}
    await slots[1].__aexit__(None, None, None)
    # The refused one consumed nothing: this is the fourth of the minute.
    assert (await place(limiter))["X-RateLimit-Remaining"] == "56"
    for slot in (slots[0], slots[2]):
        await slot.__aexit__(None, None, None)


async def test_a_slot_comes_back_after_an_error_a_refusal_and_a_cancellation(
    limiter: Limiter,
) -> None:
    alone = limited(concurrent=1)

    async def fail(problem: BaseException) -> None:
        async with limiter.order_slot(alone):
            raise problem

    for problem in (RuntimeError(), TooManyRequests(), KeyboardInterrupt()):
        with pytest.raises(type(problem)):
            await fail(problem)
        await place(limiter, alone)

    async def stuck() -> None:
        async with limiter.order_slot(alone):
            await asyncio.Event().wait()

    task = asyncio.create_task(stuck())
    await asyncio.sleep(0)
    await is_refused(limiter, alone)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await place(limiter, alone)


async def test_a_request_refused_by_a_window_holds_no_slot(limiter: Limiter) -> None:
    once = limited(per_minute=1, concurrent=1)
    await place(limiter, once)
    for _ in range(5):
        refusal = await is_refused(limiter, once)
        assert refusal.details == {"limit": 1, "per_s": 60}


async def test_a_clock_set_back_locks_nobody_out(limiter: Limiter, clock: MovedClock) -> None:
    for _ in range(10):
        await place(limiter)
    clock.advance(hours=-1)
    refusal = await is_refused(limiter)
    assert refusal.headers is not None
    assert refusal.headers["Retry-After"] == "10"
    # As the caller's own clock will show it.
    assert refusal.headers["X-RateLimit-Reset"] == str(NOON_S - 3600 + 10)
    clock.advance(seconds=10)
    await place(limiter)


async def test_purposes_and_keys_have_counts_of_their_own(limiter: Limiter) -> None:
    windows = (Window(1, 60),)
    await limiter.spend("a", "x", windows)
    await limiter.spend("a", "y", windows)
    await limiter.spend("b", "x", windows)
    for purpose, key in (("a", "x"), ("a", "y"), ("b", "x")):
        with pytest.raises(TooManyRequests):
            await limiter.spend(purpose, key, windows)


def test_made_up_keys_take_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "SUBJECTS_MAX", 1000)
    memory = MemoryCounts()
    windows = (Window(10, 60),)
    for n in range(20_000):
        assert memory.take("login", f"made-up-{n}", windows, n * 100).allowed
    assert len(memory._purposes["login"]) <= 1000


def test_idle_keys_are_forgotten_and_busy_ones_are_not() -> None:
    memory = MemoryCounts()
    windows = (Window(1, 60),)
    assert memory.take("orders", "held", windows, 0, concurrent=1).allowed
    for n in range(2000):
        memory.take("orders", n, windows, n * 1_000_000)
    assert len(memory._purposes["orders"]) < 200
    assert not memory.take("orders", "held", windows, 10**12, concurrent=1).allowed
    assert not memory.take("orders", 1999, windows, 1999 * 1_000_000).allowed


class TestOverHttp:
    @pytest.fixture
    async def api(self, process: Process) -> AsyncIterator[Api]:
        async with calling(process) as made:
            yield made

    @staticmethod
    def told(api: Api) -> tuple[str, str, str]:
        names = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
        limit, remaining, reset = (api.headers[name] for name in names)
        return limit, remaining, reset

    async def test_every_answer_carries_the_headers_an_error_too(
        self, api: Api, given: Given
    ) -> None:
        issued = await given.credential(await given.client())
        headers = {"X-API-Key": issued.api_key, "X-API-Secret": issued.api_secret}
        reset = str(NOON_S + 60)
        for remaining, body, status in ((59, b"{}", 200), (58, b"break", 500), (57, b"{}", 200)):
            assert (await api.post(headers, body))[0] == status
            assert self.told(api) == ("60", str(remaining), reset)
        for _ in range(7):
            await api.post(headers)
        status, answer = await api.post(headers)
        assert (status, answer["error"], answer["message"], answer["code"]) == (
            429,
            "TooManyRequests",
            "Rate limit exceeded",
            "RATE_LIMITED",
        )
        assert self.told(api) == ("10", "0", str(NOON_S + 10))
        assert api.headers["Retry-After"] == "10"
        assert (await api.get(headers))[0] == 200
        assert "X-RateLimit-Limit" not in api.headers

    async def test_429_comes_before_the_body_and_after_401(self, api: Api, given: Given) -> None:
        issued = await given.credential(await given.client())
        headers = {"X-API-Key": issued.api_key, "X-API-Secret": issued.api_secret}
        answers = [(await api.post(headers, b"break"))[0] for _ in range(12)]
        assert answers == [500] * 10 + [429] * 2
        wrong = {**headers, "X-API-Secret": "wrong"}
        assert (await api.post(wrong, b"break"))[0] == 401

    async def test_a_changed_limit_counts_within_a_second(
        self, api: Api, given: Given, db: Database, process: Process
    ) -> None:
        client = await given.client()
        issued = await given.credential(client)
        headers = {"X-API-Key": issued.api_key, "X-API-Secret": issued.api_secret}
        await api.post(headers)
        async with db.transaction() as tx:
            await clients.change(tx, client.id, ClientChange(limits=Limits(7, 7, 7, 1)))
        process.directory.expire()
        await api.post(headers)
        assert self.told(api)[:2] == ("7", "5")
