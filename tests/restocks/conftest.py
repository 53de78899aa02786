"""A market where staff buy ahead."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.market import open_market
from tests.restocks.stockroom import Stockroom, hire


@pytest.fixture
async def room(dsn: str, tmp_path: Path) -> AsyncIterator[Stockroom]:
    async with open_market(dsn, tmp_path) as market:
        olga, fred = await hire(market.shop, "olga", "fred")
        yield Stockroom(market, olga, fred)
