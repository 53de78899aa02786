"""A vault, clients to be, and processes that serve them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from rewards.infra.crypto import Vault
from rewards.infra.db import Database
from rewards.infra.passwords import Passwords
from rewards.infra.settings import Settings
from tests.clients.processes_of import Given, MovedClock, Process, make_process

StartProcess = Callable[..., Awaitable[Process]]


@pytest.fixture
async def vault(db: Database, tmp_path: Path) -> Vault:
    return await Vault.open_database(db, Settings(home=tmp_path))


@pytest.fixture(scope="session")
def passwords() -> Iterator[Passwords]:
    made = Passwords()
    yield made
    made.close()


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def given(db: Database, vault: Vault, passwords: Passwords) -> Given:
    return Given(db, vault, passwords)


@pytest.fixture
async def start_process(
    db: Database, vault: Vault, clock: MovedClock, passwords: Passwords
) -> AsyncIterator[StartProcess]:
    started: list[Process] = []

    async def start(trusted_proxies: tuple[str, ...] = ()) -> Process:
        process = await make_process(db, vault, clock, passwords, trusted_proxies)
        started.append(process)
        return process

    yield start
    for process in started:
        await process.feed.stop()
        await process.limiter.close()


@pytest.fixture
async def process(start_process: StartProcess) -> Process:
    return await start_process()
