"""What a look makes of alerts: one a crossing, none that flaps, never two for one subject."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.alerts.model import (
    AGAIN_MAX_S,
    ATTEMPTS_MAX,
    Alert,
    AlertKind,
    Limit,
    Reading,
    Sight,
    again_s,
    decide,
)
from rewards.alerts.silence import NOBODY, silences
from rewards.infra.beats import Beat, ProcessKind

AT = datetime(2026, 1, 1, tzinfo=UTC)
KIND, OTHER = AlertKind.DRIFT_FOUND, AlertKind.ORDERS_STUCK
levels = st.integers(-50, 200).map(Decimal)
limits = st.builds(
    Limit,
    st.integers(0, 100).map(Decimal),
    st.integers(0, 50).map(lambda percent: Decimal(percent) / 100),
    st.booleans(),
)


@given(limits, levels)
def test_nothing_is_crossed_and_left_behind_at_once(limit: Limit, level: Decimal) -> None:
    assert not (limit.crossed(level) and limit.left(level))


def apply(held: dict[str, Alert], sight: Sight, log: list[tuple[str, str, Decimal | None]]) -> None:
    """What the rows are after a look; the log has who was raised and cleared, at which level."""
    changes = decide(held.values(), {KIND: sight})
    for _, reading in changes.raised:
        assert reading.subject not in held, "two raised for one subject"
        number = len(log) + 1
        held[reading.subject] = Alert(
            id=number, kind=KIND, subject=reading.subject, level=reading.level,
            facts={}, raised_at=AT, seen_at=AT,
        )  # fmt: skip
        log.append(("raised", reading.subject, reading.level))
    for alert, last in changes.cleared:
        del held[alert.subject]
        log.append(("cleared", alert.subject, None if last is None else last.level))


walks = st.lists(st.dictionaries(st.sampled_from("abc"), levels, max_size=3), max_size=40)


@given(limits, walks)
def test_each_crossing_raises_once_and_each_end_clears_once(
    limit: Limit, walk: list[dict[str, Decimal]]
) -> None:
    held: dict[str, Alert] = {}
    log: list[tuple[str, str, Decimal | None]] = []
    for step in walk:
        apply(held, Sight([Reading(name, level, limit) for name, level in step.items()]), log)
    for name in "abc":
        told = [(what, level) for what, subject, level in log if subject == name]
        # Raised and cleared take turns, and each happened where its own limit says.
        assert [what for what, _ in told] == ["raised", "cleared"] * (len(told) // 2) + (
            ["raised"] * (len(told) % 2)
        )
        for what, level in told:
            if level is not None:
                assert limit.crossed(level) if what == "raised" else limit.left(level)


@given(st.integers(10, 100), st.lists(st.integers(0, 100), max_size=60))
def test_what_wavers_within_the_slack_is_told_of_once(at: int, offsets: list[int]) -> None:
    limit = Limit(Decimal(at), Decimal("0.2"))
    held: dict[str, Alert] = {}
    log: list[tuple[str, str, Decimal | None]] = []
    for offset in [100, *offsets]:
        # Between a fifth below the limit and a fifth above it.
        level = Decimal(at) * (Decimal("0.8") + Decimal(offset) / 250)
        apply(held, Sight([Reading("a", level, limit)]), log)
    assert [what for what, _, _ in log] == ["raised"]


@given(limits, walks)
def test_a_second_look_at_the_same_changes_nothing(
    limit: Limit, walk: list[dict[str, Decimal]]
) -> None:
    held: dict[str, Alert] = {}
    log: list[tuple[str, str, Decimal | None]] = []
    for step in walk:
        sight = Sight([Reading(name, level, limit) for name, level in step.items()])
        apply(held, sight, log)
        before = len(log)
        apply(held, sight, log)
        assert len(log) == before


def alert(subject: str, kind: AlertKind = KIND) -> Alert:
    return Alert(
        id=1, kind=kind, subject=subject, level=Decimal(1), facts={}, raised_at=AT, seen_at=AT
    )


def test_a_kind_that_could_not_be_read_stays_as_it_is() -> None:
    changes = decide([alert("a"), alert("b", OTHER)], {OTHER: Sight([])})
    assert [(one.kind, one.subject) for one, _ in changes.cleared] == [(OTHER, "b")]


def test_of_a_list_that_was_cut_off_nobody_is_taken_for_well() -> None:
    assert decide([alert("a")], {KIND: Sight([], whole=False)}).cleared == []


def test_pauses_double_up_to_an_hour_and_end_after_a_day() -> None:
    pauses = [again_s(n) for n in range(1, ATTEMPTS_MAX)]
    assert pauses[:3] == [30, 60, 120]
    assert max(p for p in pauses if p) == AGAIN_MAX_S
    assert 20 * 3600 < sum(p for p in pauses if p) < 28 * 3600
    assert again_s(ATTEMPTS_MAX) is None


LIMIT = Limit(Decimal(60), Decimal(0))


def beat(
    kind: ProcessKind = ProcessKind.WORKER,
    *,
    started: int = 0,
    silent: float = 0,
    stopped: bool = False,
) -> Beat:
    """One that began so many seconds after AT; silence and age count back from an hour later."""
    now = AT + timedelta(hours=1)
    last = now - timedelta(seconds=silent)
    began = AT + timedelta(seconds=started)
    return Beat(
        *(uuid4(), kind, "host", 1, "0", began, last, last if stopped else None),
        *(silent, (now - began).total_seconds()),
    )


def raised(*beats: Beat) -> Counter[str]:
    found = [r for r in silences(beats, LIMIT) if LIMIT.crossed(r.level)]
    return Counter(NOBODY if r.subject == NOBODY else "one" for r in found)


API = ProcessKind.API


@pytest.mark.parametrize(
    ("beats", "expected"),
    [
        ((), {}),
        ((beat(API, started=3_590),), {}),
        # No worker at all since the API began.
        ((beat(API),), {NOBODY: 1}),
        ((beat(API), beat()), {}),
        ((beat(API), beat(silent=61)), {NOBODY: 1}),
        ((beat(API), beat(silent=30)), {}),
        # The last one said goodbye: nobody is left all the same.
        ((beat(API), beat(silent=300, stopped=True)), {NOBODY: 1}),
        ((beat(API), beat(silent=5, stopped=True)), {}),
        # One of two is silent, and nobody came for it.
        ((beat(), beat(silent=300)), {"one": 1}),
        # Killed, and another one began since.
        ((beat(started=3_400), beat(silent=300)), {}),
        # One came for two.
        ((beat(started=3_400), beat(silent=300), beat(silent=400)), {"one": 1}),
        ((beat(started=3_400), beat(started=3_500), beat(silent=300), beat(silent=400)), {}),
        ((beat(), beat(silent=300, stopped=True)), {}),
    ],
)
def test_who_is_silent(beats: tuple[Beat, ...], expected: dict[str, int]) -> None:
    assert raised(*beats) == expected
