"""Books to reconcile, on a database of their own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.reconciliation.bookkeeping import Books, open_books


@pytest.fixture
async def books(dsn: str, tmp_path: Path) -> AsyncIterator[Books]:
    async with open_books(dsn, tmp_path) as opened:
        yield opened
