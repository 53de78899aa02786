"""Rates from a provider: what it may answer, what it may not, and what a worker makes of it."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from rewards.infra.settings import Settings
from rewards.pricing import provider as module
from rewards.pricing.model_rates import Channel, NewRate
from rewards.pricing.provider import JsonProvider, ProviderFailed, per_pivot, provider_of
from rewards.pricing.tasks import refresh_rates
from tests.catalog.shop import Shop
from tests.catalog.storefront import Standing
from tests.pricing.publisher import GOOD, Publisher, publishing

QUOTED_AT = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
async def published() -> AsyncIterator[tuple[Publisher, JsonProvider]]:
    async with publishing() as (publisher, url):
        yield publisher, JsonProvider(url, "ecb", Decimal("0.5"))


Published = tuple[Publisher, JsonProvider]


async def test_what_a_provider_says_becomes_rates(published: Published) -> None:
    _, provider = published
    usual = {"channel": Channel.PROVIDER, "spread_percent": Decimal("0.5")}
    assert list(await provider.fetch()) == [
        NewRate("USD", "INR", Decimal("83.1234"), "ecb", QUOTED_AT, **usual),  # type: ignore[arg-type]
        NewRate("USD", "EUR", Decimal("0.8"), "ecb", QUOTED_AT, **usual),  # type: ignore[arg-type]
    ]


async def test_the_several_names_of_the_same_fields(published: Published) -> None:
    publisher, provider = published
    publisher.body = (
        '{"result": "success", "base_code": "USD", "time_last_update_unix": 1795262400,'
        ' "conversion_rates": {"USD": 1, "JPY": 150}}'
    )
    [yen] = await provider.fetch()
    assert (yen.target, yen.rate, yen.quoted_at) == ("JPY", 150, QUOTED_AT)
    publisher.body = '{"amount":1.0,"base":"USD","date":"2026-11-20","rates":{"JPY":"150.25"}}'
    [yen] = await provider.fetch()
    assert (str(yen.rate), yen.quoted_at) == ("150.25", datetime(2026, 11, 20, tzinfo=UTC))


def test_rates_of_another_base_are_turned_to_the_dollar() -> None:
    found = per_pivot("EUR", {"USD": Decimal("1.25"), "INR": Decimal(100), "JPY": Decimal("1e-30")})
    # What no rate can hold is left out.
    assert found == {"EUR": Decimal("0.8"), "INR": Decimal(80)}


BAD_ANSWERS = (
    (b"<html>busy</html>", "answered no JSON that we know"),
    (b"\xff\xfe", "answered no JSON that we know"),
    (b"", "answered no JSON that we know"),
    (b"[]", "answered no JSON that we know"),
    (b'{"base": "USD", "timestamp": "now", "rates": {}}', "answered no JSON that we know"),
    (b'{"base": "USD", "timestamp": 1, "rates": {"INR": null}}', "answered no JSON that we know"),
    (b'{"base": "USD", "timestamp": 1, "rates": {"INR": [1]}}', "answered no JSON that we know"),
    (b'{"timestamp": 1, "rates": {"INR": 83}}', "named no base or no rates"),
    (b'{"base": "USD", "timestamp": 1, "rates": {}}', "named no base or no rates"),
    (b'{"base": "USD", "rates": {"INR": 83}}', "named no time of its rates"),
    (b'{"base": "USD", "date": "today", "rates": {"INR": 83}}', "named no time of its rates"),
    (b'{"base": "USD", "timestamp": -5, "rates": {"INR": 83}}', "named no time of its rates"),
    (b'{"base": "USD", "timestamp": 1e18, "rates": {"INR": 83}}', "answered no JSON that we know"),
    (
        b'{"base": "USD", "timestamp": 999999999999, "rates": {"A": 3}}',
        "named no time of its rates",
    ),
    (b'{"base": "USD", "timestamp": 1, "rates": {"INR": 0}}', "named a rate that is none"),
    (b'{"base": "USD", "timestamp": 1, "rates": {"INR": -83}}', "named a rate that is none"),
    (b'{"base": "USD", "timestamp": 1, "rates": {"INR": "NaN"}}', "named a rate that is none"),
    (b'{"base": "USD", "timestamp": 1, "rates": {"INR": 1e999999}}', "named a rate that is none"),
    (b'{"base": "EUR", "timestamp": 1, "rates": {"INR": 100}}', "named no rate of USD"),
)


async def test_an_answer_that_is_none_is_no_rate(published: Published) -> None:
    publisher, provider = published
    for body, why in BAD_ANSWERS:
        publisher.body = body
        with pytest.raises(ProviderFailed, match=f"^{why}"):
            await provider.fetch()
    many = {f"X{n}": 1 for n in range(1_001)}
    publisher.body = json.dumps({"base": "USD", "timestamp": 1, "rates": many})
    with pytest.raises(ProviderFailed, match="more than 1000 rates"):
        await provider.fetch()


async def test_a_provider_that_misbehaves_is_left_alone(
    published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher, provider = published
    for status in (204, 301, 403, 404, 429, 500, 503):
        publisher.status = status
        with pytest.raises(ProviderFailed, match=f"answered {status}"):
            await provider.fetch()
    publisher.status = 200
    for fault, why in (("drop", "could not be asked"), ("torn", "could not be asked")):
        publisher.fault = fault
        with pytest.raises(ProviderFailed, match=why):
            await provider.fetch()
    publisher.fault = "redirect"
    with pytest.raises(ProviderFailed, match="answered 302"):
        await provider.fetch()
    assert publisher.elsewhere == 0
    monkeypatch.setattr(module, "TIMEOUT_S", 0.2)
    publisher.fault = "slow"
    with pytest.raises(ProviderFailed, match="did not answer in time"):
        await provider.fetch()


async def test_no_answer_is_too_large_to_refuse(published: Published) -> None:
    publisher, provider = published
    publisher.body = b" " * (module.BODY_BYTES_MAX - len(GOOD)) + GOOD.encode()
    assert len(await provider.fetch()) == 2
    publisher.body = b" " + publisher.body
    with pytest.raises(ProviderFailed, match="more than 262144 bytes"):
        await provider.fetch()
    publisher.fault = "gzip"
    with pytest.raises(ProviderFailed, match="more than 262144 bytes"):
        await provider.fetch()


async def test_nobody_there_is_told_without_the_key(published: Published) -> None:
    provider = JsonProvider("http://127.0.0.1:1/rates?app_id=SECRET-KEY", "", Decimal(0))
    assert provider.name == "127.0.0.1"
    with pytest.raises(ProviderFailed) as failed:
        await provider.fetch()
    assert "SECRET" not in str(failed.value)
    assert failed.value.__cause__ is None


def test_only_a_safe_url_is_asked() -> None:
    assert provider_of(Settings()) is None
    for url in ("http://rates.example/latest", "ftp://rates.example", "rates.example", "file:///x"):
        with pytest.raises(ValueError, match="must be https") as refused:
            JsonProvider(url, "", Decimal(0))
        assert url not in str(refused.value)
    made = provider_of(Settings(fx_provider_url="https://rates.example/latest?key=k"))  # type: ignore[arg-type]
    assert made is not None and made.name == "rates.example"


async def test_a_worker_offers_what_it_is_told(shop: Shop, published: Published) -> None:
    publisher, provider = published
    clock, settings = Standing(), Settings()

    async def turn() -> dict[str, str]:
        loaded = await refresh_rates(shop.db, clock, settings, provider, {"USD", "EUR", "INR"})
        await shop.look()
        return {each.rate.target: each.outcome.value for each in loaded}

    publisher.body = GOOD.replace('"USD": 1', '"USD": 1, "XAU": 0.0004, "JPY": 150')
    assert await turn() == {"INR": "APPLIED", "EUR": "APPLIED"}
    fx = shop.prices.conversion("EUR", "INR", QUOTED_AT)
    assert fx is not None
    # 83.1234 / 0.8, and half a percent on each of the two.
    assert str(fx.rate) == "104.94589010625"
    assert (fx.origin, fx.quoted_at) == ("ecb", QUOTED_AT)
    assert fx.stale_at == QUOTED_AT + timedelta(hours=120)
    rows = [await shop.count(name) for name in ("fx_rates", "audit_entries", "changes")]
    assert await turn() == {"INR": "UNCHANGED", "EUR": "UNCHANGED"}
    clock.at += timedelta(hours=1)
    publisher.body = GOOD.replace("1795262400", "1795266301")
    assert await turn() == {}, "more than five minutes ahead of us"
    publisher.status = 500
    assert await turn() == {}
    assert [await shop.count(name) for name in ("fx_rates", "audit_entries", "changes")] == rows
    publisher.status = 200
    publisher.body = GOOD.replace("1795262400", "1795266000").replace("83.1234", "8.31234")
    assert await turn() == {"INR": "HELD", "EUR": "APPLIED"}
    inr = shop.prices.conversion("USD", "INR", QUOTED_AT)
    assert inr is not None and inr.quoted_at == QUOTED_AT
    assert await shop.count("fx_rates_held") == 1
    assert await turn() == {"INR": "HELD", "EUR": "UNCHANGED"}
    assert await shop.count("fx_rates_held") == 1
