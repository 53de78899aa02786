"""A shop whose mail goes to a post office of the test's own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.notices.mailroom import Mailroom, open_mailroom
from tests.notices.postoffice import PostOffice, post_office


@pytest.fixture
async def office() -> AsyncIterator[PostOffice]:
    async with post_office() as opened:
        yield opened


@pytest.fixture
async def room(dsn: str, tmp_path: Path, office: PostOffice) -> AsyncIterator[Mailroom]:
    async with open_mailroom(dsn, tmp_path, office.port) as opened:
        yield opened
