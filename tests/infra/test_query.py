"""What a list's query may ask for."""

import contextlib
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.core.errors import InvalidField
from rewards.infra.http import one_of
from rewards.infra.query import (
    a_currency,
    an_id,
    moment,
    read_cursor,
    write_cursor,
    yes_or_no,
)
from rewards.wallets.model import Direction, TransferKind


@pytest.mark.parametrize("text", [None, ""])
def test_an_empty_parameter_is_an_absent_one(text):
    assert one_of("Type", TransferKind, text) is None
    assert yes_or_no("IsActive", text) is None
    assert an_id("WalletId", text) is None
    assert a_currency("Currency", text) is None
    assert moment("From", text) is None
    assert read_cursor(text) is None


def test_enums_come_in_any_case():
    assert one_of("Type", TransferKind, "topUp") is TransferKind.TOPUP
    assert one_of("Direction", Direction, "debit") is Direction.DEBIT
    assert a_currency("Currency", "usd") == "USD"
    assert yes_or_no("IsActive", "TRUE") is True
    assert yes_or_no("IsActive", "false") is False


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2026-11-21", datetime(2026, 11, 21, tzinfo=UTC), datetime(2026, 11, 22, tzinfo=UTC)),
        (
            "2026-11-21T12:00:00Z",
            datetime(2026, 11, 21, 12, tzinfo=UTC),
            datetime(2026, 11, 21, 12, tzinfo=UTC),
        ),
        (
            "2026-11-21T12:00:00.5+05:30",
            datetime(2026, 11, 21, 12, 0, 0, 500_000, timezone(timedelta(hours=5, minutes=30))),
            datetime(2026, 11, 21, 12, 0, 0, 500_000, timezone(timedelta(hours=5, minutes=30))),
        ),
    ],
)
def test_a_day_has_all_its_hours_and_a_time_is_a_moment(text, start, end):
    assert moment("From", text) == start
    assert moment("To", text, end=True) == end


@pytest.mark.parametrize(
    "text",
    [
        "yesterday",
        "2026-11-31",
        "2026-11-21T12:00:00",
        "20261121",
        "9999-12-31T23:59:59Z",
        "0001-01-01T00:00:00Z",
        "2026-11-21T12:00:00 00:00",
    ],
)
def test_what_is_no_time_is_refused(text):
    with pytest.raises(InvalidField) as refused:
        moment("From", text)
    assert refused.value.message == "Invalid From: timestamp"


def test_the_last_day_of_all_has_no_end():
    assert moment("From", "9999-12-31") == datetime(9999, 12, 31, tzinfo=UTC)
    with pytest.raises(InvalidField):
        moment("To", "9999-12-31", end=True)


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (one_of, "GIFT", "Invalid Field: oneof"),
        (yes_or_no, "1", "Invalid Field: oneof"),
        (an_id, "0", "Invalid Field: min"),
        (an_id, "-1", "Invalid Field: number"),
        (an_id, "9007199254740992", "Invalid Field: max"),
        (a_currency, "US", "Invalid Field: format"),
        (a_currency, "U$D", "Invalid Field: format"),
    ],
)
def test_nonsense_is_refused(read, text, message):
    with pytest.raises(InvalidField) as refused:
        read("Field", TransferKind, text) if read is one_of else read("Field", text)
    assert refused.value.message == message


@given(st.integers(1, 2**63 - 1))
def test_a_cursor_comes_back_as_it_went(line_id):
    assert read_cursor(write_cursor(line_id)) == line_id


@given(st.text(max_size=40) | st.binary(max_size=24).map(lambda raw: raw.decode("latin-1")))
def test_no_other_text_is_a_cursor(text):
    line_id: int | None = None
    with contextlib.suppress(InvalidField):
        line_id = read_cursor(text)
    assert line_id is None or write_cursor(line_id) == text


@pytest.mark.parametrize("text", ["MA", "LTE", write_cursor(2**63), "1" * 33, "MTI=", " MTI"])
def test_a_cursor_somebody_made_up_is_refused(text):
    with pytest.raises(InvalidField):
        read_cursor(text)
