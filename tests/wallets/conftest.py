"""A ledger to try things on."""

import pytest

from rewards.infra.db import Database
from tests.wallets.ledgers import CURRENCIES, Given


@pytest.fixture
async def given(db: Database) -> Given:
    async with db.transaction() as tx:
        await tx.executemany(
            "INSERT INTO currencies (code, name, symbol, exponent) VALUES ($1, $1, $1, $2)"
            " ON CONFLICT DO NOTHING",
            CURRENCIES,
        )
    return Given(db)
