"""A ledger to try things on."""

import pytest
from tests.wallets.ledgers import CURRENCIES, Given

from rewards.infra.db import Database


@pytest.fixture
async def given(db: Database) -> Given:
    async with db.transaction() as tx:
        await tx.executemany(
            "INSERT INTO currencies (code, name, symbol, exponent) VALUES ($1, $1, $1, $2)"
            " ON CONFLICT DO NOTHING",
            CURRENCIES,
        )
    return Given(db)
