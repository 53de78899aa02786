"""A company whose people have the portal open."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.members.company import Company, found, opened


@pytest.fixture
async def company(dsn: str, tmp_path: Path) -> AsyncIterator[Company]:
    async with opened(dsn, tmp_path, webhook_local=True) as made:
        yield made


@pytest.fixture
async def other(company: Company) -> Company:
    """Another company of the same deployment."""
    return await found(company.shop, company.url, company.session, minor=5_000)
