"""One furnished world for all who look at what is let in and what is shown."""

import os
from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.conftest import with_database
from tests.security.world import World, open_world


@pytest.fixture(scope="session")
async def world(
    server_dsn: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    name = f"rewards_matrix_{os.getpid()}"
    admin = await asyncpg.connect(server_dsn)
    await admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    async with open_world(
        with_database(server_dsn, name), tmp_path_factory.mktemp("matrix")
    ) as opened:
        yield opened
    await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await admin.close()


@pytest.fixture
async def own_world(
    server_dsn: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    """A world that nobody needs afterwards."""
    name = f"rewards_acts_{os.getpid()}"
    admin = await asyncpg.connect(server_dsn)
    await admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    dsn, home = with_database(server_dsn, name), tmp_path_factory.mktemp("acts")
    async with open_world(dsn, home) as opened:
        yield opened
    await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await admin.close()
