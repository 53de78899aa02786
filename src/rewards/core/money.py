"""Money as integers of a currency's minor unit; no float anywhere."""

from decimal import Decimal

AMOUNT_DIGITS_MAX = 18


def round_half_up(numerator: int, denominator: int) -> int:
    """numerator / denominator to the nearest integer, halves away from zero."""
    assert denominator > 0
    sign = -1 if numerator < 0 else 1
    return sign * ((2 * abs(numerator) + denominator) // (2 * denominator))


def to_minor(value: Decimal, exponent: int) -> int | None:
    """`value` in minor units; None when it is not a number this currency can hold exactly."""
    if not value.is_finite() or abs(value.adjusted()) > AMOUNT_DIGITS_MAX:
        return None
    scaled = value.scaleb(exponent)
    if scaled != scaled.to_integral_value():
        return None
    return int(scaled)


def to_decimal(amount_minor: int, exponent: int) -> Decimal:
    """The amount with exactly the currency's decimals, for showing."""
    return Decimal(amount_minor).scaleb(-exponent)
