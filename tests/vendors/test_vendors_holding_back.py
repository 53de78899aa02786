"""Buckets, the breaker, and what of an exchange is kept."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.vendors.redact import KEPT_CHARS_MAX, MASK, redact, redact_query
from rewards.vendors.throttle import Breaker, Bucket, Rate, Throttle


class Tick:
    """A clock that only a test moves."""

    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


@given(st.lists(st.floats(0, 3), max_size=60), st.integers(1, 5), st.sampled_from([1.0, 2.5]))
def test_no_window_ever_sees_more_than_the_rate(
    gaps: list[float], calls: int, per_s: float
) -> None:
    tick = Tick()
    bucket = Bucket(Rate(calls, per_s), tick)
    turns = []
    for gap in gaps:
        tick.at += gap
        wait_s = bucket.reserve(1e9)
        assert wait_s is not None
        turns.append(tick.at + wait_s)
    for start in range(len(turns)):
        within = [at for at in turns[start:] if at - turns[start] < per_s - 1e-6]
        assert len(within) <= calls


def test_who_would_wait_too_long_is_told_and_takes_no_turn() -> None:
    tick = Tick()
    bucket = Bucket(Rate(1, 60.0), tick)
    assert bucket.reserve(5.0) == 0.0
    assert bucket.reserve(5.0) is None
    tick.at += 56.0
    assert bucket.reserve(5.0) == pytest.approx(4.0)


async def test_every_bucket_of_a_call_counts() -> None:
    throttle = Throttle({"*": Rate(2, 600.0), "place": Rate(1, 600.0)}, Tick())
    assert await throttle.turn("place", 0.0)
    assert not await throttle.turn("place", 0.0)
    assert not await throttle.turn("read", 0.0), "the refused turn of place counted for all"


def test_the_breaker_opens_lets_one_look_and_closes() -> None:
    tick = Tick()
    breaker = Breaker(opens_after=2, open_s=30.0, now=tick)
    breaker.failed()
    assert breaker.admit()
    breaker.failed()
    assert not breaker.admit()
    assert breaker.retry_after_s == pytest.approx(30.0)
    tick.at += 31.0
    assert breaker.admit()
    assert not breaker.admit(), "one looks, the others wait for what it sees"
    breaker.succeeded()
    assert breaker.admit()


TREES = st.recursive(
    st.text() | st.integers() | st.none() | st.booleans(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["a", "secret", "cards"]), inner, max_size=3)
    ),
    max_leaves=20,
)


@given(TREES)
def test_only_what_is_called_safe_survives(tree: object) -> None:
    marked = json.dumps({"cards": [{"secret": "MARK-1", "a": 5}], "rest": tree, "pin": 12345678})
    kept = redact(marked.encode(), frozenset({"a"}))
    assert "MARK-1" not in kept
    assert "12345678" not in kept
    assert len(kept) <= KEPT_CHARS_MAX


def test_safe_values_bare_values_and_nonsense() -> None:
    assert redact(b'{"a": "x", "b": "y"}', frozenset({"a"})) == f'{{"a":"x","b":"{MASK}"}}'
    assert redact(b'"id-1"', frozenset({""})) == '"id-1"'
    assert redact(b'"id-1"', frozenset()) == f'"{MASK}"'
    assert redact(b"<html>CODE</html>", frozenset()) == "(17 bytes, not JSON)"
    assert redact(b"[" * 100_000, frozenset()) == "(100000 bytes, not JSON)"
    assert redact_query("a=1&code=2", frozenset({"a"})) == f"a=1&code={MASK}"
