"""A site with claim links for each test, on a clock that can be moved."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.claims.site import Site, open_site


@pytest.fixture
async def site(dsn: str, tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(dsn, tmp_path) as opened:
        yield opened
