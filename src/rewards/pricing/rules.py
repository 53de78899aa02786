"""What a rate and a discount may be; every breach is an InvalidField."""

from rewards.catalog.rules import check_percent
from rewards.core.currency import CURRENCIES
from rewards.core.errors import InvalidField
from rewards.core.money import to_minor
from rewards.pricing.model import ClientDiscount, NewRate
from rewards.pricing.rates import RATE_DECIMALS, RATE_MAX

ORIGIN_CHARS_MAX = 200


def check_rate(rate: NewRate) -> None:
    for label, code in (("Source", rate.source), ("Target", rate.target)):
        if code not in CURRENCIES:
            raise InvalidField(label, "exists")
    if rate.source == rate.target:
        raise InvalidField("Target", "pair")
    if not rate.rate.is_finite():
        raise InvalidField("Rate", "format")
    if rate.rate <= 0:
        raise InvalidField("Rate", "gt")
    if rate.rate >= RATE_MAX:
        raise InvalidField("Rate", "max")
    if to_minor(rate.rate, RATE_DECIMALS) is None:
        raise InvalidField("Rate", "precision")
    if not rate.origin.strip():
        raise InvalidField("Origin", "required")
    if len(rate.origin) > ORIGIN_CHARS_MAX:
        raise InvalidField("Origin", "max")


def check_discount(discount: ClientDiscount) -> None:
    if discount.percent is not None:
        check_percent("Percent", discount.percent)
