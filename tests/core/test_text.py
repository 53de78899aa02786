"""Text from outside: what is a moment or a day, and what only looks like one."""

import pytest

from rewards.core.errors import InvalidField
from rewards.core.text import day, timestamp


@pytest.mark.parametrize(
    "text",
    [
        "2026-12-01T10:00:00Z",
        "2026-12-01t10:00:00z",
        "2026-12-01 10:00+05:30",
        "2026-12-01T10:00:00.123456-11:00",
        "2026-12-01T10:00:00.123456789Z",
    ],
)
def test_a_moment_has_its_offset(text: str) -> None:
    assert timestamp("At", text).utcoffset() is not None


@pytest.mark.parametrize(
    "text",
    [
        *("", "2026-12-01", "2026-12-01T10:00:00", "20261201T100000Z", "2026-W50-1T00:00:00Z"),
        *("2026-12-01T10:00:00Z\0", "2026-12-01T10:00:00Z\n", "2026-13-01T10:00:00Z", "now"),
        *("2026-12-01T24:30:00Z", "2026-12-01T10:00:00+24:00", "0001-01-01T00:00:00+14:00"),
        *("9999-12-31T23:59:59-23:59", "\u0662026-12-01T10:00:00Z"),
    ],
)
def test_what_only_looks_like_a_moment_is_refused(text: str) -> None:
    with pytest.raises(InvalidField, match="Invalid At: timestamp"):
        timestamp("At", text)


@pytest.mark.parametrize("text", ["2026-W01-1", "20260101", "2026-02-30", "2026-01-01\0", ""])
def test_what_only_looks_like_a_day_is_refused(text: str) -> None:
    assert day("From", "2026-01-01").isoformat() == "2026-01-01"
    with pytest.raises(InvalidField, match="Invalid From: date"):
        day("From", text)
