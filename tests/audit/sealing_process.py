"""A process that seals the trail, or writes it: python sealing_process.py DSN SEED|seal."""

import asyncio
import random
import sys

import asyncpg

from rewards.infra.db import Database
from rewards.infra.settings import Settings
from tests.audit.trailing import sealer, write

AT_ONCE = 4


async def seal(dsn: str) -> None:
    db = await Database.connect(dsn, Settings(), size=2)
    await sealer(db, batch_max=20).run(asyncio.Event())


async def writing(dsn: str, chance: random.Random) -> None:
    """Transactions of some entries each, held open for a while, one in eight undone."""
    connection = await asyncpg.connect(dsn)
    while True:
        act = connection.transaction()
        await act.start()
        if chance.random() < 0.5:
            await connection.execute("SELECT pg_current_xact_id()")
        for _ in range(chance.randint(1, 3)):
            await asyncio.sleep(chance.expovariate(100))
            await write(connection, chance.randint(1, 3))
        await asyncio.sleep(chance.choice([0, 0, 0.01, 0.3]))
        await (act.rollback() if chance.random() < 0.125 else act.commit())


async def main(dsn: str, what: str) -> None:
    if what == "seal":
        await seal(dsn)
    else:
        await asyncio.gather(
            *(writing(dsn, random.Random(f"{what} {number}")) for number in range(AT_ONCE))
        )


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
