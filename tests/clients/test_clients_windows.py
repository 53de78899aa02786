"""Moving windows against the plainest model of them, and against the `limits` library's."""

import random
from itertools import pairwise

import time_machine
from hypothesis import given
from hypothesis import strategies as st
from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from rewards.clients.windows import EXACT_AMOUNT_MAX, Log, Subject, Window

US = 1_000_000


class Naive:
    """Every request that was let through, and a count of those in each window."""

    def __init__(self) -> None:
        self.let_through: list[int] = []

    def count(self, per_s: int, now_us: int) -> int:
        return sum(at > now_us - per_s * US for at in self.let_through)

    def take(self, windows: list[Window], now_us: int) -> bool:
        if any(self.count(window.per_s, now_us) >= window.amount for window in windows):
            return False
        self.let_through.append(now_us)
        return True

    def opens_at(self, window: Window, now_us: int) -> int:
        """When the next request fits, by trying every moment at which something leaves."""
        moments = sorted(at + window.per_s * US for at in self.let_through)
        return next(
            m for m in moments if m >= now_us and self.count(window.per_s, m) < window.amount
        )


# Steps that often land on a window's very edge, or a microsecond beside it.
steps = st.sampled_from([0, 1, 250_000, US - 1, US, US + 1, 3 * US, 5 * US - 1, 5 * US, 5 * US + 1])
amounts = st.integers(1, 5)


@given(st.lists(st.tuples(steps, amounts, amounts, amounts), max_size=60))
def test_every_answer_is_the_naive_models(asks: list[tuple[int, int, int, int]]) -> None:
    subject, naive, now_us = Subject(), Naive(), 1_700_000_000 * US
    for step, first, second, third in asks:
        now_us += step
        windows = [Window(first, 5), Window(second, 1), Window(third, 9)]
        expected = naive.take(windows, now_us)
        allowed, standing = subject.take(windows, now_us)
        assert allowed == expected
        if allowed:
            assert standing.window == windows[0]
            assert standing.remaining == first - naive.count(5, now_us)
            oldest = min(at for at in naive.let_through if at > now_us - 5 * US)
            assert standing.reset_at_us == oldest + 5 * US
        else:
            assert standing.remaining == 0
            full = [w for w in windows if naive.count(w.per_s, now_us) >= w.amount]
            opens = [naive.opens_at(window, now_us) for window in full]
            assert standing.reset_at_us == max(opens)
            assert standing.window in full


def test_a_refused_request_can_be_made_the_moment_it_was_told() -> None:
    subject, rng, now_us = Subject(), random.Random(7), 0
    windows = [Window(6, 60), Window(3, 10), Window(50, 86_400)]
    refusals = 0
    for _ in range(2000):
        now_us += rng.randrange(8 * US)
        allowed, standing = subject.take(windows, now_us)
        if not allowed:
            refusals += 1
            early, _ = subject.take(windows, standing.reset_at_us - 1)
            assert not early
            now_us = standing.reset_at_us
            assert subject.take(windows, now_us)[0]
    assert refusals > 100


def test_nothing_is_counted_for_a_refused_request() -> None:
    subject = Subject()
    windows = [Window(100, 60), Window(1, 10)]
    assert subject.take(windows, 0)[0]
    for at in range(1, 50):
        assert not subject.take(windows, at)[0]
    assert subject.take([Window(100, 60)], 50)[1].remaining == 98


def test_the_library_agrees_except_on_the_very_edge() -> None:
    """Its window is closed at both ends: a request exactly 5 s after another still meets it."""
    rng = random.Random(11)
    with time_machine.travel(1_700_000_000, tick=False) as traveller:
        theirs = MovingWindowRateLimiter(MemoryStorage())
        item = RateLimitItemPerSecond(4, 5)
        ours, now_us = Subject(), 1_700_000_000 * US
        seen = [now_us]
        for _ in range(2000):
            now_us += rng.randrange(1, 3 * US, 1000)
            if any(now_us - at == 5 * US for at in seen[-20:]):
                now_us += 1000
            seen.append(now_us)
            traveller.move_to(now_us / US)
            assert ours.take([Window(4, 5)], now_us)[0] == theirs.hit(item, "subject")


def test_a_great_limit_takes_bounded_memory_and_lets_nobody_over() -> None:
    window = Window(EXACT_AMOUNT_MAX * 10, 10)
    log, now_us, rng = Log(), 0, random.Random(3)
    let_through: list[int] = []
    for _ in range(300_000):
        now_us += rng.randrange(1, 150)
        log.expire(now_us, window.per_s)
        if log.count < window.amount:
            log.add(now_us, window.grain_us)
            let_through.append(now_us)
    assert len(log._times) <= EXACT_AMOUNT_MAX + 300
    for first, beyond in zip(let_through, let_through[window.amount :], strict=False):
        assert beyond - first >= window.per_s * US
    # What is lost to slices is at most one slice.
    assert all(b - a <= window.grain_us + 150 for a, b in pairwise(let_through[:50_000]))


def test_an_exact_log_holds_no_more_than_its_limit() -> None:
    log = Log()
    for now_us in range(0, 3000 * US, US):
        log.expire(now_us, 60)
        log.add(now_us, 0)
        assert len(log._times) <= 60 + 257
        assert log.count == min(60, now_us // US + 1)
