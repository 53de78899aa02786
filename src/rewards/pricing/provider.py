"""The port to whoever publishes exchange rates, and the adapter for a plain JSON answer."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Protocol
from urllib.parse import urlsplit

import aiohttp
import msgspec

from rewards.core.errors import InvalidField
from rewards.core.text import day
from rewards.infra.settings import Settings
from rewards.pricing.model_rates import Channel, NewRate
from rewards.pricing.rates import PIVOT, to_rate

TIMEOUT_S = 10.0
BODY_BYTES_MAX = 256 * 1024
RATE_COUNT_MAX = 1_000
LOCAL = ("127.0.0.1", "::1", "localhost")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECONDS_MAX = 10**11


class ProviderFailed(Exception):
    """No rates were to be had; says why, and never the URL, which may carry a key."""


class RateProvider(Protocol):
    """Somebody who publishes rates."""

    @property
    def name(self) -> str:
        """What an order says of whose rate it was."""
        ...

    async def fetch(self) -> Sequence[NewRate]:
        """The rates of now, each pair once, from or to PIVOT. Raises ProviderFailed."""
        ...


class _Answer(msgspec.Struct):
    """The fields that such services use, by their several names; all others are ignored."""

    base: str | None = None
    base_code: str | None = None
    rates: dict[str, Decimal] | None = None
    conversion_rates: dict[str, Decimal] | None = None
    timestamp: int | None = None
    time_last_update_unix: int | None = None
    date: str | None = None


ANSWER = msgspec.json.Decoder(_Answer)


class JsonProvider:
    """Asks a URL that answers `{base, rates: {CODE: number}}` with the time of the rates.

    Names of the fields as the European Central Bank's mirrors and the common exchange-rate services
    write them: `base` or `base_code`, `rates` or `conversion_rates`, and `timestamp` or
    `time_last_update_unix` (seconds) or `date` (a day, of which the beginning counts).
    """

    def __init__(self, url: str, name: str, spread_percent: Decimal) -> None:
        """Raises ValueError for a URL that is neither https nor on this machine."""
        parts = urlsplit(url)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOCAL):
            raise ValueError("REWARDS_FX_PROVIDER_URL must be https")
        self._url = url
        self._name = name or parts.hostname or "provider"
        self._spread_percent = spread_percent

    @property
    def name(self) -> str:
        return self._name

    async def fetch(self) -> Sequence[NewRate]:
        """As the port says; one request, no redirect, TIMEOUT_S, at most BODY_BYTES_MAX."""
        return self._read(await self._get())

    async def _get(self) -> bytes:
        limit = aiohttp.ClientTimeout(total=TIMEOUT_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=limit, trust_env=False) as session,
                session.get(self._url, allow_redirects=False) as answer,
            ):
                if answer.status != 200:
                    raise ProviderFailed(f"answered {answer.status}")
                body = bytearray()
                async for chunk in answer.content.iter_any():
                    body += chunk
                    if len(body) > BODY_BYTES_MAX:
                        raise ProviderFailed(f"answered more than {BODY_BYTES_MAX} bytes")
                return bytes(body)
        except TimeoutError:
            raise ProviderFailed("did not answer in time") from None
        except (aiohttp.ClientError, OSError) as lost:
            # Its text may hold the URL.
            raise ProviderFailed(f"could not be asked: {type(lost).__name__}") from None

    def _read(self, body: bytes) -> list[NewRate]:
        try:
            answer = ANSWER.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise ProviderFailed("answered no JSON that we know") from None
        base, rates = answer.base or answer.base_code, answer.rates or answer.conversion_rates
        if base is None or not rates:
            raise ProviderFailed("named no base or no rates")
        if len(rates) > RATE_COUNT_MAX:
            raise ProviderFailed(f"named more than {RATE_COUNT_MAX} rates")
        quoted_at = _time_of(answer)
        return [
            NewRate(
                PIVOT, code, rate, self._name, quoted_at, Channel.PROVIDER, self._spread_percent
            )
            for code, rate in per_pivot(base.upper(), rates).items()
        ]


def _time_of(answer: _Answer) -> datetime:
    seconds = answer.timestamp or answer.time_last_update_unix
    if seconds is not None:
        if not 0 < seconds < SECONDS_MAX:
            raise ProviderFailed("named no time of its rates")
        return EPOCH + timedelta(seconds=seconds)
    try:
        found = day("Date", answer.date or "")
    except InvalidField:
        raise ProviderFailed("named no time of its rates") from None
    return datetime(found.year, found.month, found.day, tzinfo=UTC)


def per_pivot(base: str, rates: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Units of each currency for one PIVOT, to RATE_DECIMALS; what cannot be held is left out.

    Any two currencies meet in PIVOT (`pricing/rates.py`), so rates of another base are turned.
    Raises ProviderFailed for a rate that is none, and where PIVOT is not among them.
    """
    # An exponent of millions would become a fraction of millions of digits.
    if not all(
        rate.is_finite() and rate > 0 and abs(rate.adjusted()) < 40 for rate in rates.values()
    ):
        raise ProviderFailed("named a rate that is none")
    each = {code.upper(): Fraction(rate) for code, rate in rates.items()} | {base: Fraction(1)}
    if PIVOT not in each:
        raise ProviderFailed(f"named no rate of {PIVOT}")
    found = {code: to_rate(rate / each[PIVOT]) for code, rate in each.items() if code != PIVOT}
    return {code: rate for code, rate in found.items() if rate is not None}


def provider_of(settings: Settings) -> RateProvider | None:
    """The one that the settings name. Raises ValueError for a URL that may not be asked."""
    url = settings.fx_provider_url.get_secret_value()
    if not url:
        return None
    return JsonProvider(url, settings.fx_provider_name, settings.fx_spread_percent)
