"""What tests of webhooks share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rewards.infra.settings import Settings
from tests.webhooks.subscriber import Subscriber, subscriber


@pytest.fixture
async def shop(dsn: str, tmp_path: Path) -> AsyncIterator[Subscriber]:
    """Two clients and the served API."""
    settings = Settings(home=tmp_path, environment="test")
    async with subscriber(dsn, settings) as opened:
        yield opened
