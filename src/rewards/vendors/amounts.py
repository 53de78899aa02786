"""Amounts between the decimal notation of vendors and our minor units; pure."""

import re
from decimal import Decimal

import msgspec

from rewards.core.currency import exponent_of
from rewards.core.money import plain, to_decimal, to_minor

_NUMBER = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,12})?", re.ASCII)
# Writes a Decimal as a JSON number; the default would be a string.
NUMBERS = msgspec.json.Encoder(decimal_format="number")


def minor_of(value: object, currency: str) -> int:
    """What a vendor calls an amount (a JSON number, or a string of one) in minor units.

    TypeError for all that is none, ValueError for what the currency cannot hold exactly, KeyError
    for an unknown currency: nonsense, as `outcome` understands it.
    """
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = Decimal(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise TypeError("not an amount")
    minor = to_minor(Decimal(value), exponent_of(currency))
    if minor is None:
        raise ValueError("not an amount of this currency")
    return minor


def decimal_of(amount_minor: int, currency: str) -> Decimal:
    """The amount in the currency's major unit, without zeros at its end: 10, 10.5."""
    return plain(to_decimal(amount_minor, exponent_of(currency)))
