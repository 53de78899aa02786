"""One server a session, one template database, a fresh copy of it for each test that asks."""

import contextlib
import gc
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path

import asyncpg
import pytest
from playwright.async_api import Browser

from rewards.entry.api import GC_THRESHOLD
from rewards.infra.db import Database
from rewards.infra.migrate import migrate
from rewards.infra.postgres import PostgresProblem, Server, ensure_server, stop_server
from rewards.infra.settings import Settings
from tests import processes
from tests.browsing import launched
from tests.databases import Copies, with_database
from tests.watch import Watch, watching

HOME_PREFIX = "rewards-test-"
MEMORY = Path("/dev/shm")
MEMORY_BYTES_MIN = 8 * 1024**3
# For tests that do not pull the plug: no disk is waited for.
HASTY = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


# As the API process has it: what is imported stays, so that no collection need walk it again.
gc.set_threshold(GC_THRESHOLD)


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test an id of its own: schemathesis has one for all operations of a test.

    Of those, whoever deals tests out to processes by their ids would have the first alone run.
    """
    seen: Counter[str] = Counter()
    for item in items:
        nodeid = item.nodeid
        seen[nodeid] += 1
        if seen[nodeid] > 1:
            item._id = item._id.with_params(str(seen[nodeid]))


@pytest.fixture(scope="session")
def settings() -> Settings:
    return Settings()


@pytest.fixture(scope="session", autouse=True)
def _no_process_stays() -> Iterator[None]:
    yield
    processes.end_all()


@pytest.fixture(scope="session", autouse=True)
def sales_watch(_no_process_stays: None) -> Iterator[Watch]:
    """No vendor was to sell anything that nobody had asked for, in the whole session (T36)."""
    with watching() as watch:
        yield watch
        complaint = watch.complaint()
    assert not complaint, complaint


@pytest.fixture
def buys_by_hand(sales_watch: Watch, request: pytest.FixtureRequest) -> None:
    """This test asks vendors itself, as no part of the platform does."""
    sales_watch.by_hand.add(request.node.nodeid)


@pytest.fixture(scope="session")
async def server_dsn() -> AsyncIterator[str]:
    """A superuser's DSN on the server that this session may make databases on.

    REWARDS_TEST_DATABASE_URL names one; otherwise the session starts its own and removes it.
    """
    given = os.environ.get("REWARDS_TEST_DATABASE_URL")
    if given:
        yield given
        return
    await _sweep()
    home = new_home(quick_folder())
    server = await ensure_server(home, settings=HASTY)
    yield with_database(server.owner_dsn, "postgres")
    await stop_server(home)
    shutil.rmtree(home)


def new_home(folder: Path | None = None) -> Path:
    """A folder in that one, or under /tmp, that is swept away even when the session is killed."""
    home = Path(tempfile.mkdtemp(prefix=f"{HOME_PREFIX}{os.getpid()}-", dir=folder))
    home.chmod(0o711)
    return home


def quick_folder() -> Path | None:
    """Memory, where there is plenty: a copy of a database is 300 files, and tests want many."""
    with contextlib.suppress(OSError):
        if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= MEMORY_BYTES_MIN:
            return MEMORY
    return None


async def _sweep() -> None:
    """Stop and remove the servers of sessions that were killed."""
    homes = (
        home
        for folder in (Path(tempfile.gettempdir()), MEMORY)
        for home in folder.glob(f"{HOME_PREFIX}*-*")
    )
    for home in homes:
        session = int(home.name.removeprefix(HOME_PREFIX).partition("-")[0])
        if home.stat().st_uid == os.geteuid() and not _runs(session):
            with contextlib.suppress(PostgresProblem):
                await stop_server(home)
            shutil.rmtree(home, ignore_errors=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


StartServer = Callable[..., Awaitable[Server]]


@pytest.fixture
async def own_server() -> AsyncIterator[StartServer]:
    """`await own_server()`: an embedded server of this test's own, which it may kill.

    Durable as in production, unless `settings` says otherwise; `home` to start one again.
    """
    homes: set[Path] = set()

    async def start(
        home: Path | None = None, *, settings: Mapping[str, str] | None = None
    ) -> Server:
        home = home or new_home()
        homes.add(home)
        return await ensure_server(home, settings=settings)

    yield start
    for home in homes:
        await stop_server(home)
        shutil.rmtree(home)


@pytest.fixture
async def sandbox_home(sales_watch: Watch) -> AsyncIterator[Path]:
    """Where `rewards sandbox` may live (nothing is there yet); the test ends it.

    Its database then says who had asked its vendors for what they were to sell.
    """
    folder = new_home()
    home = folder / "a home"
    yield home
    sales_watch.listen()
    if sales_watch.open and home.exists():
        await sales_watch.look((await ensure_server(home)).owner_dsn)
    await stop_server(home)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
async def template(server_dsn: str) -> AsyncIterator[str]:
    name = f"rewards_template_{os.getpid()}"
    admin = await asyncpg.connect(server_dsn)
    await admin.execute(f'DROP DATABASE IF EXISTS "{name}"')
    await admin.execute(f'CREATE DATABASE "{name}"')
    await migrate(with_database(server_dsn, name))
    yield name
    await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await admin.close()


@pytest.fixture(scope="session")
async def copies(server_dsn: str, template: str, sales_watch: Watch) -> AsyncIterator[Copies]:
    made = Copies(server_dsn, template, sales_watch.look)
    yield made
    await made.close()


@pytest.fixture
async def dsn(server_dsn: str, copies: Copies) -> AsyncIterator[str]:
    """A database of this test's own, migrated and empty."""
    name = await copies.take()
    yield with_database(server_dsn, name)
    copies.drop(name)


@pytest.fixture
async def quiet(dsn: str, copies: Copies) -> None:
    """The server has no transaction but the test's own: for tests that look at snapshots."""
    await copies.rest()


@pytest.fixture
async def db(dsn: str, settings: Settings) -> AsyncIterator[Database]:
    database = await Database.connect(dsn, settings)
    yield database
    await database.close()


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    """The system's chromium, one for all tests of a file."""
    async with launched() as opened:
        yield opened
