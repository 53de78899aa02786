"""What a worker does about exchange rates: ask the provider, and offer what it says."""

from collections import Counter
from collections.abc import Collection

import structlog

from rewards.core.actor import SYSTEM
from rewards.core.clock import Clock
from rewards.core.errors import InvalidField
from rewards.infra.db import Database, Tx
from rewards.infra.settings import Settings
from rewards.pricing.model_rates import Loaded, Outcome
from rewards.pricing.provider import ProviderFailed, RateProvider
from rewards.pricing.service_rates import offer_rates

log = structlog.get_logger()


async def refresh_rates(
    db: Database,
    clock: Clock,
    settings: Settings,
    provider: RateProvider,
    currencies: Collection[str],
) -> list[Loaded]:
    """Ask the provider, then offer its rates of these currencies in one transaction.

    A provider that fails is logged and asked again at the next turn: what it said before stays in
    force until it is too old.
    """
    try:
        fetched = await provider.fetch()
        wanted = [
            rate for rate in fetched if rate.source in currencies and rate.target in currencies
        ]

        async def work(tx: Tx) -> list[Loaded]:
            return await offer_rates(tx, wanted, SYSTEM, clock.now(), settings)

        loaded = await db.run(work)
    except ProviderFailed as failed:
        log.warning("fx_provider_failed", provider=provider.name, why=str(failed))
        return []
    except InvalidField as bad:
        log.warning("fx_provider_failed", provider=provider.name, why=bad.message)
        return []
    counts = Counter(each.outcome.value for each in loaded)
    log.info("fx_rates_offered", provider=provider.name, outcomes=dict(counts))
    for each in loaded:
        if each.outcome is Outcome.HELD:
            log.warning(
                "fx_rate_held", source=each.rate.source, target=each.rate.target, id=each.id
            )
    return loaded
