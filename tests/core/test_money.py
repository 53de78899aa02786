"""Amounts as people send them, and as integers: T4, and the arithmetic half of T3."""

from decimal import Context, Decimal, localcontext
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewards.core.errors import InvalidBody, InvalidField, Refusal
from rewards.core.money import (
    AMOUNT_MINOR_MAX,
    INTEGER_DIGITS_MAX,
    amount_minor,
    parse_amount,
    plain,
    read_amount,
    read_json_amount,
    round_half_up,
    to_decimal,
    to_minor,
)

EXAMPLES = settings(max_examples=10_000, deadline=None)
EXPONENTS = st.sampled_from([0, 2, 3, 4])


class Body(msgspec.Struct, forbid_unknown_fields=True):
    denomination: msgspec.Raw = msgspec.Raw()


DECODER = msgspec.json.Decoder(Body)


def from_wire(text: str, exponent: int = 2) -> int:
    """As a route does it: one field of a JSON body, in minor units."""
    raw = bytes(DECODER.decode(b'{"denomination": ' + text.encode() + b"}").denomination)
    return amount_minor("Denomination", read_json_amount("Denomination", raw), exponent)


@pytest.mark.parametrize(
    "text",
    ["25", "25.0", "25.00", "25.000000", "2.5e1", "2.5E+1", "250e-1", '"25"', '"25.00"', '"+25"'],
)
def test_all_spellings_of_twenty_five_are_equal(text: str) -> None:
    assert from_wire(text) == 2500


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0", "Invalid Denomination: gt"),
        ("-0", "Invalid Denomination: gt"),
        ("-0.0", "Invalid Denomination: gt"),
        ("0e999", "Invalid Denomination: gt"),
        ("-25", "Invalid Denomination: gt"),
        ('"-25"', "Invalid Denomination: gt"),
        ("1e309", "Invalid Denomination: max"),
        ("1e15", "Invalid Denomination: max"),
        ("1000000000000000.5", "Invalid Denomination: max"),
        ("123456789012345678901234567890", "Invalid Denomination: max"),
        ("1e9999", "Invalid Denomination: format"),
        ("9" * 41, "Invalid Denomination: format"),
        ("25." + "0" * 41, "Invalid Denomination: format"),
        ("25.001", "Invalid Denomination: precision"),
        ("1e-3", "Invalid Denomination: precision"),
        ("1e-999", "Invalid Denomination: precision"),
        ("25.0000000000000000000000000000000000001", "Invalid Denomination: precision"),
        ('"NaN"', "Invalid Denomination: format"),
        ('"sNaN"', "Invalid Denomination: format"),
        ('"Infinity"', "Invalid Denomination: format"),
        ('"-inf"', "Invalid Denomination: format"),
        ('""', "Invalid Denomination: format"),
        ('" 25"', "Invalid Denomination: format"),
        ('"25 "', "Invalid Denomination: format"),
        ('"2_5"', "Invalid Denomination: format"),
        ('"0x19"', "Invalid Denomination: format"),
        ('"25,00"', "Invalid Denomination: format"),
        ('"\uff12\uff15"', "Invalid Denomination: format"),
        ('"\\u0032\\u0035"', "Invalid Denomination: format"),
        ('".5"', "Invalid Denomination: format"),
        ('"5."', "Invalid Denomination: format"),
        ("null", "Invalid Denomination: required"),
        ("true", "Invalid request body format"),
        ("[25]", "Invalid request body format"),
        ('{"value": 25}', "Invalid request body format"),
    ],
)
def test_everything_else_is_refused_by_name(text: str, message: str) -> None:
    with pytest.raises(Refusal) as refused:
        from_wire(text)
    assert refused.value.message == message
    assert refused.value.status == 400


def test_a_missing_amount_is_required() -> None:
    with pytest.raises(InvalidField, match="Invalid Denomination: required"):
        read_json_amount("Denomination", bytes(DECODER.decode(b"{}").denomination))


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
def test_what_is_not_json_never_decodes(text: str) -> None:
    with pytest.raises(msgspec.MsgspecError):
        from_wire(text)


@pytest.mark.parametrize(
    "value", [Decimal("NaN"), Decimal("sNaN"), Decimal("-Infinity"), True, "x"]
)
def test_values_that_are_no_numbers_have_a_wrong_format(value: Decimal | str | bool) -> None:
    with pytest.raises(InvalidField, match="Invalid Amount: format"):
        read_amount("Amount", value)


def test_an_exponent_nobody_can_hold_costs_no_time() -> None:
    with pytest.raises(InvalidField, match="max"):
        parse_amount("Amount", Decimal("1e999999999"), 2)
    with pytest.raises(InvalidField, match="precision"):
        parse_amount("Amount", Decimal("1e-999999999"), 2)
    assert to_minor(Decimal("0e999999999"), 2) == 0


def test_json_numbers_may_only_be_numbers() -> None:
    for raw in (b"t", b"-", b"[", b"\xff", b'"\xff"'):
        with pytest.raises((InvalidField, InvalidBody)):
            read_json_amount("Amount", raw)


@pytest.mark.parametrize(
    ("text", "exponent", "minor"),
    [
        ("1500", 0, 1500),
        ("1500.00", 0, 1500),
        ("0.001", 3, 1),
        ("1.2345", 4, 12345),
        ("999999999999999", 2, 99_999_999_999_999_900),
        ("999999999999999.999", 3, AMOUNT_MINOR_MAX),
    ],
)
def test_each_currency_has_its_own_decimals(text: str, exponent: int, minor: int) -> None:
    assert from_wire(text, exponent) == minor


@pytest.mark.parametrize(("text", "exponent"), [("1500.5", 0), ("1.2345", 3), ("1.23456", 4)])
def test_more_decimals_than_the_currency_has_are_refused(text: str, exponent: int) -> None:
    with pytest.raises(InvalidField, match="precision"):
        from_wire(text, exponent)


def test_an_amount_beyond_a_ledger_integer_is_refused() -> None:
    with pytest.raises(InvalidField, match="max"):
        from_wire("999999999999999", 4)


@EXAMPLES
@given(st.integers(1, AMOUNT_MINOR_MAX // 10), EXPONENTS)
def test_minor_units_survive_being_shown_and_read_again(minor: int, exponent: int) -> None:
    shown = to_decimal(minor, exponent)
    assert shown.as_tuple().exponent == -exponent
    if shown.adjusted() < INTEGER_DIGITS_MAX:
        assert to_minor(shown, exponent) == minor
        assert parse_amount("Amount", str(shown), exponent) == minor
        assert from_wire(msgspec.json.encode(str(shown)).decode(), exponent) == minor


@EXAMPLES
@given(st.decimals(allow_nan=True, allow_infinity=True), EXPONENTS)
def test_reading_is_exact_or_refused(value: Decimal, exponent: int) -> None:
    minor = to_minor(value, exponent)
    if minor is not None:
        assert Fraction(minor, 10**exponent) == Fraction(value)
    elif value.is_finite() and abs(value) < Decimal(10) ** INTEGER_DIGITS_MAX:
        assert (Fraction(value) * 10**exponent).denominator != 1


@EXAMPLES
@given(st.integers(-(10**24), 10**24), st.integers(1, 10**12))
def test_half_up_is_the_nearest_integer(numerator: int, denominator: int) -> None:
    rounded = round_half_up(numerator, denominator)
    off = Fraction(rounded) - Fraction(numerator, denominator)
    assert abs(off) <= Fraction(1, 2)
    if abs(off) == Fraction(1, 2):
        assert abs(rounded) > abs(Fraction(numerator, denominator))
    assert round_half_up(-numerator, denominator) == -rounded


@settings(max_examples=1_000, deadline=None)
@given(st.decimals("-1e20", "1e20", places=4))
def test_plain_numbers_are_equal_and_without_ornament(value: Decimal) -> None:
    shown = str(plain(value))
    assert Decimal(shown) == value
    assert "E" not in shown
    assert "." not in shown or not shown.endswith("0")


def test_nobodys_decimal_context_changes_an_amount() -> None:
    with localcontext(Context(prec=3)):
        assert to_decimal(1_234_567, 2) == Decimal("12345.67")
        assert to_minor(Decimal("12345.67"), 2) == 1_234_567
        assert str(plain(Decimal("12345.6700"))) == "12345.67"
