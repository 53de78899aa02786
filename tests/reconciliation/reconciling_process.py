"""Reconciles our own books of a day in small steps, saying so after each, until it is killed."""

import asyncio
import sys
from datetime import date, timedelta
from pathlib import Path

from rewards.infra.db import Database
from rewards.infra.settings import Settings
from rewards.reconciliation import own_books
from rewards.reconciliation.tasks import Reconciling
from tests.market import Adapters, MovedClock


async def main(dsn: str, home: str, day: str, ahead_s: str) -> None:
    own_books.ORDERS_A_STEP = 3
    db = await Database.connect(dsn, Settings(home=Path(home), environment="test"))
    reconciling = Reconciling(db, Adapters(), MovedClock(timedelta(seconds=float(ahead_s))))
    runs = await reconciling.open(date.fromisoformat(day))
    ours = next(run for run in runs if run.vendor_id is None)
    await reconciling.work(ours.id, told=lambda run: print(run.phase, run.position, flush=True))
    await db.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:5]))
