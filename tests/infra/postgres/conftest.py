"""Homes of embedded servers: a fresh one for each test, or one that goes through much."""

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from rewards.infra.postgres import Server, binaries, stop_server
from tests.conftest import new_home
from tests.infra.postgres.homes import run, up


@pytest.fixture(scope="module")
def programs() -> Iterator[Path]:
    """One copy of the programs for all tests here; each start looks whether it is whole."""
    folder = new_home()
    yield binaries(folder).parents[2]
    shutil.rmtree(folder)


@pytest.fixture
async def fresh(programs: Path) -> AsyncIterator[Path]:
    """A home where nothing ran yet."""
    folder = new_home()
    (folder / programs.name).symlink_to(programs)
    yield folder
    await stop_server(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
async def home(programs: Path) -> AsyncIterator[Path]:
    """One home that goes through much; each test finds its server running, and its word kept."""
    folder = new_home()
    (folder / programs.name).symlink_to(programs)
    server = await up(folder)
    await run(server, "CREATE TABLE words AS SELECT 'kept' AS word")
    yield folder
    await stop_server(folder)
    shutil.rmtree(folder)


@pytest.fixture
async def kept(home: Path) -> Server:
    return await up(home)
