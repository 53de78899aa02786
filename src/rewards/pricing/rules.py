"""What a rate and a discount may be; every breach is an InvalidField."""

import re
from datetime import datetime, timedelta
from decimal import Decimal

from rewards.catalog.rules import check_percent
from rewards.core.currency import CURRENCIES
from rewards.core.errors import InvalidField
from rewards.core.money import to_minor
from rewards.core.text import printable
from rewards.pricing.model import ClientDiscount
from rewards.pricing.model_rates import NewRate
from rewards.pricing.rates import RATE_DECIMALS, RATE_MAX, with_spread

ORIGIN_CHARS_MAX = 200
# Other people's clocks go wrong by this much; a rate from further ahead would stay fresh too long.
AHEAD_MAX = timedelta(minutes=5)

PERCENT = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,12})?", re.ASCII)


def read_percent(field: str, text: str) -> Decimal:
    """A percentage as somebody wrote it; how large and how fine it may be is checked later."""
    if not PERCENT.fullmatch(text):
        raise InvalidField(field, "format")
    return Decimal(text)


def check_rate(rate: NewRate, at: datetime) -> None:
    """Raise InvalidField for what no rate may be at this moment."""
    check_pair(rate.source, rate.target)
    _check_figures(rate)
    if not rate.origin.strip():
        raise InvalidField("Origin", "required")
    printable("Origin", rate.origin, ORIGIN_CHARS_MAX)
    if rate.quoted_at > at + AHEAD_MAX:
        raise InvalidField("QuotedAt", "future")


def check_pair(source: str, target: str) -> None:
    """Raise InvalidField unless these are two currencies."""
    for label, code in (("Source", source), ("Target", target)):
        if code not in CURRENCIES:
            raise InvalidField(label, "exists")
    if source == target:
        raise InvalidField("Target", "pair")


def _check_figures(rate: NewRate) -> None:
    if not rate.rate.is_finite():
        raise InvalidField("Rate", "format")
    if rate.rate <= 0:
        raise InvalidField("Rate", "gt")
    if rate.rate >= RATE_MAX:
        raise InvalidField("Rate", "max")
    if to_minor(rate.rate, RATE_DECIMALS) is None:
        raise InvalidField("Rate", "precision")
    check_percent("SpreadPercent", rate.spread_percent)
    if rate.spread_percent == 100 or with_spread(rate.rate, rate.spread_percent) is None:
        raise InvalidField("SpreadPercent", "max")


def check_discount(discount: ClientDiscount) -> None:
    if discount.percent is not None:
        check_percent("Percent", discount.percent)
