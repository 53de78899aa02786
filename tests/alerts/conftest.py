"""A lookout."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.alerts.lookout import Lookout, open_lookout


@pytest.fixture
async def lookout(dsn: str, tmp_path: Path) -> AsyncIterator[Lookout]:
    async with open_lookout(dsn, tmp_path) as made:
        yield made
