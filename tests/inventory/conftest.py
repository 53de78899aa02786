"""A vault and stock for every test of the slice."""

from pathlib import Path

import pytest

from rewards.infra.crypto import Vault
from rewards.infra.db import Database
from rewards.infra.settings import Settings
from tests.inventory.stock_builder import Stock


@pytest.fixture
async def vault(db: Database, tmp_path: Path) -> Vault:
    return await Vault.open_database(db, Settings(home=tmp_path))


@pytest.fixture
def stock(db: Database, vault: Vault) -> Stock:
    return Stock(db, vault)
