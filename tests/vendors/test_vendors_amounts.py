"""Amounts as vendors write them."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.core.currency import CURRENCIES
from rewards.vendors.amounts import NUMBERS, decimal_of, minor_of


@given(st.integers(-(10**12), 10**12), st.sampled_from(sorted(CURRENCIES)))
def test_what_is_written_reads_as_the_same(amount_minor: int, currency: str) -> None:
    written = NUMBERS.encode(decimal_of(amount_minor, currency)).decode()
    assert minor_of(written, currency) == minor_of(Decimal(written), currency) == amount_minor


@pytest.mark.parametrize(
    ("value", "currency", "minor"),
    [(10, "USD", 1_000), ("10.50", "USD", 1_050), (Decimal("1E+1"), "USD", 1_000), (7, "JPY", 7)],
)
def test_numbers_and_strings_of_them(value: object, currency: str, minor: int) -> None:
    assert minor_of(value, currency) == minor


@pytest.mark.parametrize(
    ("value", "currency"),
    [
        *(
            (value, "USD")
            for value in (True, None, 1.5, "", "1,5", "1e3", " 1", "NaN", "\u0661", [])
        ),
        *((value, "USD") for value in (Decimal("0.001"), Decimal("Infinity"), 10**20)),
        ("0.5", "JPY"),
        (1, "XXX"),
    ],
)
def test_all_else_is_nonsense(value: object, currency: str) -> None:
    with pytest.raises((TypeError, ValueError, KeyError)):
        minor_of(value, currency)
