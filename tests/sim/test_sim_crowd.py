"""T1, second half: eight actors at once; money, stock and answers are conserved.

Every day 10 seeds of 1,000 operations (about 40 s), marked long 100 more. A seed fixes what is
asked; who comes first is up to the machine. REWARDS_SIM_SEED=n asks one seed's questions again.
"""

from pathlib import Path

import asyncpg
import pytest

from tests.shop import open_shop
from tests.sim.books import ask_doctor, walked
from tests.sim.crowd import Crowd
from tests.sim.market import CHOSEN, FUNDS_MINOR, open_market, seeds

OPERATIONS = 1_000
CHECK_EVERY = 100
# As much as production waits for a lock: eight in a line on a busy machine need more than the half
# second that a shop gives them otherwise.
PATIENCE = {"pool_size": 12, "lock_timeout_s": 3.0}
DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"


@pytest.mark.parametrize("seed", seeds(10, long=100))
async def test_eight_at_once_lose_and_make_nothing(seed: int, dsn: str, tmp_path: Path) -> None:
    print(f"seed {seed}")
    async with open_shop(dsn, tmp_path, **CHOSEN, **PATIENCE) as shop:
        market = await open_market(shop, seed, 5 * FUNDS_MINOR)
        crowd = Crowd(market)
        for _ in range(OPERATIONS // CHECK_EVERY):
            await crowd.act(CHECK_EVERY)
            await crowd.check()
            await ask_doctor(dsn)
        await walked(market)
    print(
        f"{len(crowd.told.placed)} orders; refused: {crowd.told.refused}; busy: {crowd.told.busy}"
    )
    # The sessions have ended, so all of them have told their counts.
    connection = await asyncpg.connect(dsn)
    assert await connection.fetchval(DEADLOCKS) == 0
    await connection.close()
