"""A shop for each test of orders, and a story for each test of a row of their lifecycle."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.market import open_market
from tests.orders.lifecycle import ROWS, Story
from tests.shop import Shop, open_shop


@pytest.fixture
async def shop(dsn: str, tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_shop(dsn, tmp_path) as opened:
        yield opened


@pytest.fixture
async def story(dsn: str, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Story]:
    """For the row that the test is named after."""
    async with open_market(dsn, tmp_path) as market:
        yield Story(market, ROWS[request.node.originalname.removeprefix("test_")])


@pytest.fixture
async def story_of_links(dsn: str, tmp_path: Path) -> AsyncIterator[Story]:
    """For what no single row tells."""
    async with open_market(dsn, tmp_path) as market:
        yield Story(market, ROWS["claimed"])
