"""One server a session, one template database, a fresh copy of it for each test that asks."""

import itertools
import os
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from rewards.infra.db import Database
from rewards.infra.migrate import migrate
from rewards.infra.settings import Settings

_serial = itertools.count(1)


def with_database(dsn: str, name: str) -> str:
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))


@pytest.fixture(scope="session")
def settings() -> Settings:
    return Settings()


@pytest.fixture(scope="session")
def server_dsn() -> str:
    """A superuser's DSN on the server that this session may make databases on."""
    return os.environ["REWARDS_TEST_DATABASE_URL"]


@pytest.fixture(scope="session")
async def template(server_dsn: str) -> str:
    name = f"rewards_template_{os.getpid()}"
    admin = await asyncpg.connect(server_dsn)
    await admin.execute(f'DROP DATABASE IF EXISTS "{name}"')
    await admin.execute(f'CREATE DATABASE "{name}"')
    await admin.close()
    await migrate(with_database(server_dsn, name))
    return name


@pytest.fixture
async def dsn(server_dsn: str, template: str) -> AsyncIterator[str]:
    """A database of this test's own, migrated and empty."""
    name = f"rewards_test_{os.getpid()}_{next(_serial)}"
    admin = await asyncpg.connect(server_dsn)
    await admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    yield with_database(server_dsn, name)
    await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await admin.close()


@pytest.fixture
async def db(dsn: str, settings: Settings) -> AsyncIterator[Database]:
    database = await Database.connect(dsn, settings)
    yield database
    await database.close()
