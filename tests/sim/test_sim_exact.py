"""T1, first half: every answer of a random life of the shop is known beforehand."""

from pathlib import Path

import pytest

from rewards.inventory import hints
from tests.shop import open_shop
from tests.sim.books import ask_doctor
from tests.sim.exact import Exact, SteppedClock
from tests.sim.market import CHOSEN, open_market, seeds

OPERATIONS = 1_000
CHECK_EVERY = 100


@pytest.mark.parametrize("seed", seeds(8, first=1))
async def test_every_answer_is_the_oracles(
    seed: int, dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A start place of the pool scan may be a second old; here the first to expire goes first.
    monkeypatch.setattr(hints, "LIFE_S", -1.0)
    clock = SteppedClock()
    async with open_shop(dsn, tmp_path, clock, **CHOSEN) as shop:
        exact = Exact(await open_market(shop, seed), clock)
        done = checked = 0
        while done < OPERATIONS:
            done += await exact.step()
            if done - checked >= CHECK_EVERY:
                checked = done
                await exact.check()
                await ask_doctor(dsn)
        await exact.check()
    print(f"seed {seed}: {done} operations, {exact.done}")
