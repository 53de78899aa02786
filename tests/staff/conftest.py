"""A house to knock at."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from rewards.infra.db import Database
from rewards.infra.passwords import Passwords
from tests.shell import Shell
from tests.staff.house import House, MovedClock, furnish, opened


@pytest.fixture(scope="session")
def passwords() -> Iterator[Passwords]:
    made = Passwords()
    yield made
    made.close()


@pytest.fixture(scope="session")
def shell() -> Shell:
    return Shell()


@pytest.fixture
async def house(
    db: Database, tmp_path: Path, passwords: Passwords, shell: Shell
) -> AsyncIterator[House]:
    client, wallet = await furnish(db)
    async with opened(db, tmp_path, passwords, MovedClock(), client, wallet, shell) as made:
        yield made


@pytest.fixture
async def second_house(
    house: House, db: Database, tmp_path: Path, passwords: Passwords
) -> AsyncIterator[House]:
    """Another process on the same database."""
    async with opened(db, tmp_path, passwords, house.clock, house.client, house.wallet) as made:
        yield made
