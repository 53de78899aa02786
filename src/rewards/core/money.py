"""Money as integers of a currency's minor unit; no float anywhere."""

import re
from decimal import Context, Decimal, Inexact, InvalidOperation

from rewards.core.errors import InvalidBody, InvalidField

# No amount has more digits than these before its point, whatever it counts.
INTEGER_DIGITS_MAX = 15
# What a bigint holds with room to add; every amount_minor that enters stays within.
AMOUNT_MINOR_MAX = 10**18 - 1

# Written out, because the thread's own context may round at any precision somebody set on it.
# Here what cannot be held exactly raises.
_EXACT = Context(prec=60, traps=[Inexact, InvalidOperation])
_QUANTA = tuple(Decimal((0, (1,), -exponent)) for exponent in range(13))
_NUMBER = re.compile(r"[+-]?[0-9]{1,40}(?:\.[0-9]{1,40})?(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)


def round_half_up(numerator: int, denominator: int) -> int:
    """numerator / denominator to the nearest integer, halves away from zero."""
    assert denominator > 0
    sign = -1 if numerator < 0 else 1
    return sign * ((2 * abs(numerator) + denominator) // (2 * denominator))


def to_minor(value: Decimal, exponent: int) -> int | None:
    """`value` in minor units; None when it is not a number this currency can hold exactly."""
    if not value.is_finite() or (value and value.adjusted() >= INTEGER_DIGITS_MAX):
        return None
    try:
        scaled = _EXACT.quantize(value, _QUANTA[exponent])
    except Inexact:
        return None
    return int(_EXACT.scaleb(scaled, exponent))


def to_decimal(amount_minor: int, exponent: int) -> Decimal:
    """The amount with exactly the currency's decimals, for showing."""
    return _EXACT.scaleb(Decimal(amount_minor), -exponent)


def read_amount(field: str, value: Decimal | str | int | None) -> Decimal:
    """A positive amount as somebody sent it, before its currency is known (spec.md §2).

    Numbers and numeric strings are equal: 25, 25.0, "25.00", 2.5e1. Refuses `Invalid <field>:`
    `required` (None), `format` (NaN, infinity, anything else that is no number), `gt` (zero and
    below) and `max` (more than INTEGER_DIGITS_MAX digits before the point).
    """
    if value is None:
        raise InvalidField(field, "required")
    if isinstance(value, str):
        if not _NUMBER.fullmatch(value):
            raise InvalidField(field, "format")
        value = Decimal(value)
    elif isinstance(value, bool):
        raise InvalidField(field, "format")
    elif isinstance(value, int):
        value = Decimal(value)
    if not value.is_finite():
        raise InvalidField(field, "format")
    if value <= 0:
        raise InvalidField(field, "gt")
    if value.adjusted() >= INTEGER_DIGITS_MAX:
        raise InvalidField(field, "max")
    return value


def read_json_amount(field: str, raw: bytes) -> Decimal:
    """`read_amount` on one JSON value as its bytes (a `msgspec.Raw`); empty is a missing field.

    A number or a string of a number; any other JSON type is refused as a body of a wrong type.
    """
    if raw in (b"", b"null"):
        raise InvalidField(field, "required")
    if raw[0] in b"-0123456789":
        return read_amount(field, raw.decode("latin-1"))
    if raw[:1] == b'"':
        return read_amount(field, raw[1:-1].decode("latin-1"))
    raise InvalidBody


def amount_minor(field: str, amount: Decimal, exponent: int) -> int:
    """A read amount in minor units. Refuses `Invalid <field>: decimals` when the currency has
    fewer, `max` above AMOUNT_MINOR_MAX."""
    minor = to_minor(amount, exponent)
    if minor is None:
        raise InvalidField(field, "precision")
    if minor > AMOUNT_MINOR_MAX:
        raise InvalidField(field, "max")
    return minor


def parse_amount(field: str, value: Decimal | str | int | None, exponent: int) -> int:
    """What was sent, in minor units of a known currency; refuses as the two steps do."""
    return amount_minor(field, read_amount(field, value), exponent)


def plain(value: Decimal) -> Decimal:
    """The same number without trailing zeros and without an exponent: 2.5000 is 2.5, 1E+1 is 10."""
    text = f"{value:f}"
    return Decimal(text.rstrip("0").rstrip(".") if "." in text else text)
