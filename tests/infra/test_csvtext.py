"""CSV opens in a spreadsheet as what it is: text and numbers, never a formula."""

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.infra.csvtext import FORMULA_STARTS, write_csv


def read(raw: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(raw.decode(), newline="")))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (-5, "-5"),
        (Decimal("-5.00"), "-5.00"),
        (Decimal("1E+3"), "1000"),
        (True, "true"),
        (datetime(2026, 11, 21, 12, tzinfo=UTC), "2026-11-21T12:00:00Z"),
        ("plain", "plain"),
        ('a "quoted", long\r\nline', 'a "quoted", long\r\nline'),
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("\uff1d1", "'\uff1d1"),
        ("a=1", "a=1"),
        ("", ""),
    ],
)
def test_a_cell_is_what_it_says(value, shown):
    assert read(write_csv(["h"], [[value, "x"]])) == [["h"], [shown, "x"]]


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")))
def test_no_text_becomes_a_formula_or_is_lost(text):
    [[cell, _]] = read(write_csv(["h"], [[text, "x"]]))[1:]
    assert not cell.startswith(FORMULA_STARTS)
    assert cell.removeprefix("'" if cell != text else "") == text


def test_lines_end_as_rfc_4180_says():
    assert write_csv(["a", "b"], [[1, "é"]]) == "a,b\r\n1,é\r\n".encode()
