"""One furnished world for all who look at what is let in and what is shown."""

from collections.abc import AsyncIterator

import pytest

from tests.databases import lasting_copy
from tests.security.world import World, open_world


@pytest.fixture(scope="session")
async def world(
    server_dsn: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    async with (
        lasting_copy(server_dsn, template, "matrix") as dsn,
        open_world(dsn, tmp_path_factory.mktemp("matrix")) as opened,
    ):
        yield opened


@pytest.fixture
async def own_world(
    server_dsn: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    """A world that nobody needs afterwards."""
    async with (
        lasting_copy(server_dsn, template, "acts") as dsn,
        open_world(dsn, tmp_path_factory.mktemp("acts")) as opened,
    ):
        yield opened
