"""Which rate holds between two currencies."""

from decimal import Decimal
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from rewards.pricing.rates import RATE_DECIMALS, RATE_MAX, Rates

ANY_RATE = st.decimals("0.000000000001", 999_999, places=RATE_DECIMALS)
TINY = Fraction(1, 2 * 10**RATE_DECIMALS)


def test_the_direct_rate_wins_over_the_inverse() -> None:
    rates = Rates({("USD", "INR"): Decimal("83.100000"), ("INR", "USD"): Decimal("0.012")})
    assert str(rates.between("USD", "INR")) == "83.1"
    assert rates.between("INR", "USD") == Decimal("0.012")


def test_the_inverse_serves_where_no_direct_rate_is() -> None:
    rates = Rates({("USD", "EUR"): Decimal("0.8")})
    assert rates.between("EUR", "USD") == Decimal("1.25")


def test_two_legs_through_the_dollar_serve_where_neither_is() -> None:
    rates = Rates({("USD", "INR"): Decimal(84), ("EUR", "USD"): Decimal("1.05")})
    assert rates.between("EUR", "INR") == Decimal("88.2")
    assert rates.between("INR", "EUR") == Decimal("0.011337868481")


def test_no_rate_is_invented() -> None:
    rates = Rates({("USD", "INR"): Decimal(84), ("GBP", "JPY"): Decimal(190)})
    assert rates.between("EUR", "INR") is None
    assert rates.between("GBP", "INR") is None
    assert rates.between("USD", "EUR") is None


def test_a_rate_too_small_or_large_to_hold_is_none() -> None:
    rates = Rates({("USD", "AAA"): Decimal("1e-12"), ("USD", "BBB"): Decimal(999999999999)})
    assert rates.between("AAA", "USD") is None
    assert rates.between("BBB", "AAA") is None
    assert rates.between("USD", "AAA") == Decimal("1e-12")


@settings(max_examples=2_000, deadline=None)
@given(ANY_RATE, ANY_RATE)
def test_derived_rates_are_exact_to_the_last_decimal(first: Decimal, second: Decimal) -> None:
    rates = Rates({("USD", "AAA"): first, ("USD", "BBB"): second})
    for pair, exact in (
        (("AAA", "USD"), 1 / Fraction(first)),
        (("AAA", "BBB"), Fraction(second) / Fraction(first)),
    ):
        rate = rates.between(*pair)
        if rate is None:
            assert exact < TINY or exact >= Fraction(RATE_MAX) - TINY
        else:
            assert abs(Fraction(rate) - exact) <= TINY
            assert rates.between(*pair) is rate
