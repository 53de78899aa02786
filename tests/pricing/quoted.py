"""Rates as tests need them: short to write, and of a known time."""

import itertools
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from rewards.pricing.model_rates import Channel, NewRate, RateRow
from rewards.pricing.rates import Rates
from tests.catalog.shop import AT

ENDLESS = dict.fromkeys(Channel)
IDS = itertools.count(1)


def row(source: str, target: str, rate: Decimal | str | int, **said: object) -> RateRow:
    """In force since AT, without spread, set by nobody in particular."""
    usual: dict[str, object] = {
        "spread_percent": Decimal(0),
        "channel": Channel.SETUP,
        "origin": "bank",
        "quoted_at": AT,
        "set_at": AT,
    }
    return RateRow(next(IDS), source, target, Decimal(rate), **(usual | said))  # type: ignore[arg-type]


def rates_of(direct: Mapping[tuple[str, str], Decimal]) -> Rates:
    """Without spread, never too old."""
    return Rates([row(*pair, rate) for pair, rate in direct.items()], ENDLESS)


def offer(
    source: str = "USD",
    target: str = "INR",
    rate: Decimal | str = "83.1234",
    *,
    channel: Channel = Channel.PROVIDER,
    quoted_at: datetime = AT,
    later: timedelta = timedelta(0),
    spread: str = "0",
) -> NewRate:
    """As a provider would offer it."""
    made = Decimal(rate)
    return NewRate(source, target, made, "ecb", quoted_at + later, channel, Decimal(spread))
