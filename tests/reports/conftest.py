"""A desk to write at."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.market import MovedClock
from tests.reports.desk import Desk
from tests.staff.office import open_office


@pytest.fixture
async def desk(dsn: str, tmp_path: Path) -> AsyncIterator[Desk]:
    clock = MovedClock()
    # Whoever waits for a lock of a busy machine is no race of ours.
    async with open_office(dsn, tmp_path, clock, lock_timeout_s=60) as office:
        made = Desk(office, clock)
        await made.fill()
        yield made
        assert await office.shop.broken() == {}
