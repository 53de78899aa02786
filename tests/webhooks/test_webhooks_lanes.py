"""The lane of an endpoint: how much at once, in which order, and when it is left alone."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from rewards.webhooks.lanes import (
    AHEAD_MAX,
    AHEAD_MIN,
    AT_ONCE_MAX,
    FAILURES_MAX,
    PAUSE_S_MAX,
    PROBE_EVERY_S,
    Job,
    Lane,
)
from rewards.webhooks.model_sending import Outcome

TOKEN = uuid4()
GOOD = Outcome(200, None)
BAD = Outcome(500, "answered 500")
PLENTY = 1_000
AT = datetime(2026, 1, 1, tzinfo=UTC)


def job(number: int, until_s: float = 100.0) -> Job:
    return Job(number, TOKEN, 0, f"evt_{number}", b"", until_s, AT)


def lane(count: int = 0, **facts: float) -> Lane:
    made = Lane(1, [])
    made.add([job(number) for number in range(count)], AHEAD_MIN)
    return made


def test_jobs_begin_in_the_order_in_which_they_were_taken() -> None:
    one = lane(5)
    assert [found.delivery_id for _ in range(5) if (found := one.next(0))] == list(range(5))
    assert one.next(0) is None


def test_it_opens_by_one_with_each_success_and_halves_with_each_failure() -> None:
    one = lane(100)
    assert one.runners_wanted(PLENTY) == 1
    for number in range(AT_ONCE_MAX + 5):
        one.learn(GOOD, 0)
        assert one.at_once == min(number + 2, AT_ONCE_MAX)
    assert one.runners_wanted(PLENTY) == AT_ONCE_MAX
    one.running = AT_ONCE_MAX
    one.learn(BAD, 0)
    assert (one.at_once, one.runners_wanted(PLENTY)) == (AT_ONCE_MAX // 2, 0)
    # Runners that are too many leave, and leave the others their work.
    assert one.next(0) is None
    one.running = one.at_once
    assert one.next(0) is not None


def test_the_fewer_are_free_the_fewer_one_endpoint_gets() -> None:
    one = lane(100)
    one.at_once = AT_ONCE_MAX
    assert [one.runners_wanted(free) for free in (0, 7, 16, 64, 1_000)] == [1, 1, 2, 8, 16]


def test_the_circuit_leaves_one_probe_a_second() -> None:
    one = lane(10)
    for number in range(FAILURES_MAX):
        assert not one.narrow
        one.learn(BAD, float(number))
    assert one.narrow
    assert [each.delivery_id for _, each in one.back] == list(range(10)), "given back, in order"
    assert one.next(5) is None
    one.returning = 0
    last_s = FAILURES_MAX - 1.0
    assert one.room(last_s + PROBE_EVERY_S / 2) == 0
    assert one.room(last_s + PROBE_EVERY_S) == 1
    one.add([job(11)], 1)
    assert one.room(last_s + PROBE_EVERY_S) == 0
    one.next(5)
    one.learn(GOOD, 6.0)
    assert not one.narrow
    assert one.room(6.0) == AHEAD_MIN


@pytest.mark.parametrize(("asked_s", "pause_s"), [(None, 0.0), (5.0, 5.0), (86_400.0, PAUSE_S_MAX)])
def test_retry_after_pauses_the_endpoint_for_a_while(asked_s: float | None, pause_s: float) -> None:
    one = lane(3)
    one.learn(Outcome(429, "answered 429", retry_after_s=asked_s), 10.0)
    assert one.resume_s == (10.0 + pause_s if pause_s else 0.0)
    assert len(one.back) == (3 if pause_s else 0)
    one.returning = 0
    assert one.room(9.9 + pause_s) == 0 or not pause_s
    assert one.room(10.0 + pause_s) > 0


def test_nothing_overtakes_what_is_on_its_way_back() -> None:
    one = lane(4)
    one.drop()
    assert (one.room(0), one.returning, len(one.back)) == (0, 4, 4)
    one.returning = 0
    assert one.room(0) == AHEAD_MIN


def test_what_waited_too_long_is_let_go_of_with_all_behind_it() -> None:
    one = Lane(1, [])
    one.add([job(1, 5.0), job(2, 50.0)], 2)
    assert one.next(5.0) is None
    assert [each.delivery_id for _, each in one.back] == [1, 2]


def test_more_is_taken_ahead_only_where_it_was_too_little() -> None:
    one = Lane(1, [])
    sizes = []
    for _ in range(10):
        room = one.room(0)
        one.add([job(number) for number in range(room)], room)
        one.waiting.clear()
        sizes.append(room)
    assert sizes[:3] == [AHEAD_MIN, AHEAD_MIN, 2 * AHEAD_MIN]
    assert sizes[-1] == AHEAD_MAX
    # Half full is full enough; and who got less than he wanted does not ask for more.
    one.add([job(1)] * (AHEAD_MAX // 2 + 1), AHEAD_MAX)
    assert one.room(0) == 0
    assert not one.low


def test_our_own_end_says_nothing_of_the_endpoint() -> None:
    one = lane(1)
    for _ in range(10):
        one.learn(Outcome(None, "stopped", ours=True), 0)
    assert (one.failures, one.at_once) == (0, 1)
    assert one.well(0)
    one.leave_alone(0)
    assert not one.well(PAUSE_S_MAX - 1)
    assert one.well(PAUSE_S_MAX)
