"""T1, second half: eight actors at once; money, stock and answers are conserved."""

from pathlib import Path

import asyncpg
import pytest

from tests.shop import open_shop
from tests.sim.books import ask_doctor
from tests.sim.crowd import Crowd
from tests.sim.market import CHOSEN, open_market, seeds

OPERATIONS = 1_000
CHECK_EVERY = 100
DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"


@pytest.mark.parametrize("seed", seeds(8, first=1))
async def test_eight_at_once_lose_and_make_nothing(seed: int, dsn: str, tmp_path: Path) -> None:
    async with open_shop(dsn, tmp_path, **CHOSEN, pool_size=12) as shop:
        crowd = Crowd(await open_market(shop, seed))
        for _ in range(OPERATIONS // CHECK_EVERY):
            await crowd.act(CHECK_EVERY)
            await crowd.check()
            await ask_doctor(dsn)
    print(f"seed {seed}: {len(crowd.told.placed)} orders, {crowd.told.refused}")
    # The sessions have ended, so all of them have told their counts.
    connection = await asyncpg.connect(dsn)
    assert await connection.fetchval(DEADLOCKS) == 0
    await connection.close()
