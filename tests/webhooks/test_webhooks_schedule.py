"""When a delivery is tried again, and what an answer says (T38)."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.webhooks.model import DeliveryStatus
from rewards.webhooks.model_sending import (
    ATTEMPTS_MAX,
    DELAYS_S,
    Outcome,
    Verdict,
    decide,
    judge,
    retry_after_s,
)

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
MINUTE, HOUR = 60, 3_600
DAY_S = 24 * HOUR
FAILED = Outcome(500, "answered 500")
PENDING, GIVEN_UP = DeliveryStatus.PENDING, DeliveryStatus.FAILED


def test_the_schedule_is_that_of_the_contract() -> None:
    """At once, then after 30 s, 2 min, 10 min, 1 h, 6 h, 14 h, 24 h, 24 h: nine attempts."""
    asked = [30, 2 * MINUTE, 10 * MINUTE, HOUR, 6 * HOUR, 14 * HOUR, DAY_S, DAY_S]
    assert list(DELAYS_S) == asked
    told = [decide(number, FAILED, 0.0) for number in range(1, ATTEMPTS_MAX + 1)]
    assert told == [*(Verdict(PENDING, float(each)) for each in asked), Verdict(GIVEN_UP)]


@given(st.integers(1, 8), st.floats(-1, 1))
def test_each_delay_is_within_a_tenth(made: int, jitter: float) -> None:
    after_s = decide(made, FAILED, jitter).retry_in_s
    assert after_s is not None
    assert 0.9 * DELAYS_S[made - 1] - 1e-6 <= after_s <= 1.1 * DELAYS_S[made - 1] + 1e-6


def test_the_jitter_is_used() -> None:
    assert decide(1, FAILED, 1.0).retry_in_s == pytest.approx(33)
    assert decide(1, FAILED, -1.0).retry_in_s == pytest.approx(27)


@pytest.mark.parametrize("made", range(1, ATTEMPTS_MAX + 1))
def test_success_ends_it_and_gone_does_too(made: int) -> None:
    assert decide(made, judge(204, b"", None, NOW), 0).status is DeliveryStatus.DELIVERED
    assert decide(made, judge(410, b"", "5", NOW), 0) == Verdict(GIVEN_UP)


@pytest.mark.parametrize("code", [*range(200, 207), 226, 299])
def test_2xx_is_success(code: int) -> None:
    assert judge(code, b"", None, NOW).delivered


@pytest.mark.parametrize("code", [100, 199, 300, 301, 302, 304, 307, 308, 400, 404, 429, 500, 599])
def test_nothing_else_is(code: int) -> None:
    outcome = judge(code, b"no", None, NOW)
    assert not outcome.delivered
    assert outcome.error is not None
    assert str(code) in outcome.error
    assert ("redirect" in outcome.error) == (300 <= code < 400)


def test_retry_after_puts_off_and_never_brings_on() -> None:
    def after_s(text: str) -> float | None:
        return decide(1, judge(503, b"", text, NOW), 0).retry_in_s

    assert after_s("3600") == 3_600
    assert after_s(str(7 * DAY_S)) == DAY_S
    assert after_s("9" * 30) == DAY_S
    assert after_s("1") == 30
    assert after_s(format_datetime(NOW + timedelta(minutes=20), usegmt=True)) == 1_200
    assert after_s("Fri, 31 Dec 2049 23:59:59 GMT") == DAY_S
    for nothing in ("", "-5", "soon", "1.5", "0x10", "Sat, 99 Foo 2026", "\u0661\u0662"):
        assert after_s(nothing) == 30


def test_the_last_attempt_is_the_last_whatever_is_asked() -> None:
    assert decide(ATTEMPTS_MAX, judge(503, b"", "60", NOW), 0) == Verdict(GIVEN_UP)


@given(st.text(max_size=40))
def test_no_retry_after_breaks_anything(text: str) -> None:
    seconds = retry_after_s(text, NOW)
    assert seconds is None or 0 <= seconds <= DAY_S


@given(st.binary(max_size=100))
def test_any_answer_can_be_kept(body: bytes) -> None:
    answer = judge(200, body, None, NOW).answer
    assert "\x00" not in (answer or "")
    (answer or "").encode()
