"""The worker's job that asks a provider for exchange rates, and its absence without one."""

from decimal import Decimal

from pydantic import SecretStr

from rewards.core.clock import SystemClock
from rewards.entry.equipment import REFRESH_RATES, Context, rates
from rewards.infra import jobs
from rewards.infra.db import Database
from rewards.infra.settings import Settings
from rewards.infra.worker import Worker
from tests.catalog.shop import open_shop
from tests.pricing.publisher import publishing


async def test_a_worker_asks_the_provider_that_the_settings_name(db: Database, dsn: str) -> None:
    async with publishing() as (publisher, url):
        settings = Settings(fx_provider_url=SecretStr(url), fx_spread_percent=Decimal(1))
        shop = await open_shop(db, settings)
        stamp = int(SystemClock().now().timestamp())
        publisher.body = f'{{"base": "USD", "timestamp": {stamp}, "rates": {{"INR": 80}}}}'
        worker = Worker(dsn, settings)
        rates(shop.catalog)(worker, Context(settings, dsn, db, SystemClock()))
        for turn in (1, 2):
            async with db.transaction() as tx:
                await jobs.enqueue(tx, [jobs.JobAsk(REFRESH_RATES)])
            assert await worker.drain() == 1
            assert publisher.calls == turn
        await shop.look()
        fx = shop.prices.conversion("USD", "INR", SystemClock().now())
        assert fx is not None
        assert (fx.rate, fx.origin) == (Decimal("80.8"), "127.0.0.1")
        assert await shop.count("fx_rates") == 1
        assert worker._schedules[REFRESH_RATES].every_s == 3_600
        async with db.connection() as connection:
            logged = await connection.fetch("SELECT t::text FROM pgqueuer_log AS t")
        assert logged and not any("SECRET-KEY" in str(line) for line in logged)


async def test_without_a_provider_nobody_is_asked(db: Database, dsn: str) -> None:
    settings = Settings()
    shop = await open_shop(db, settings)
    worker = Worker(dsn, settings)
    rates(shop.catalog)(worker, Context(settings, dsn, db, SystemClock()))
    assert REFRESH_RATES not in worker._schedules
    # A turn that was queued when there was one is done all the same.
    async with db.transaction() as tx:
        await jobs.enqueue(tx, [jobs.JobAsk(REFRESH_RATES)])
    assert await worker.drain() == 1
    assert await shop.count("fx_rates") == 0
