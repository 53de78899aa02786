"""A shop to try things in, and its routes."""

from collections.abc import AsyncIterator

import pytest

from rewards.infra.db import Database
from rewards.infra.settings import Settings
from tests.catalog.shop import Shop, open_shop
from tests.catalog.storefront import Front


@pytest.fixture
async def shop(db: Database, settings: Settings) -> Shop:
    return await open_shop(db, settings)


@pytest.fixture
async def minting(shop: Shop, db: Database, settings: Settings) -> AsyncIterator[Front]:
    """A process of a sandbox, whose vendor makes what the pool lacks."""
    minting = await open_shop(db, settings.model_copy(update={"sandbox": True}))
    async with Front(minting).open() as front:
        yield front


@pytest.fixture
async def front(shop: Shop) -> AsyncIterator[Front]:
    async with Front(shop).open() as front:
        yield front
