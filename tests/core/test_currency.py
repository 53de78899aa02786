"""The currency table against facts that everybody can look up."""

import pytest

from rewards.core.currency import CURRENCIES, EXPONENT_MAX, exponent_of


@pytest.mark.parametrize(
    ("code", "exponent"),
    [
        ("USD", 2),
        ("EUR", 2),
        ("INR", 2),
        ("JPY", 0),
        ("KRW", 0),
        ("VND", 0),
        ("ISK", 0),
        ("KWD", 3),
        ("BHD", 3),
        ("JOD", 3),
        ("TND", 3),
        ("CLF", 4),
        ("UYW", 4),
        ("HUF", 2),
    ],
)
def test_exponents_are_those_of_iso_4217(code: str, exponent: int) -> None:
    assert exponent_of(code) == exponent


def test_every_currency_is_well_formed() -> None:
    assert len(CURRENCIES) == 164
    for code, currency in CURRENCIES.items():
        assert code == currency.code
        assert len(code) == 3 and code.isascii() and code.isupper()
        assert 0 <= currency.exponent <= EXPONENT_MAX == 4
        assert currency.name and currency.symbol


@pytest.mark.parametrize("code", ["XAU", "XTS", "XXX", "usd", "BGN", ""])
def test_what_nobody_pays_with_is_unknown(code: str) -> None:
    with pytest.raises(KeyError):
        exponent_of(code)
