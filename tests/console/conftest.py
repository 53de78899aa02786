"""A console for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.console.desk import Desk, open_desk


@pytest.fixture
async def desk(dsn: str, tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_desk(dsn, tmp_path) as opened:
        yield opened
