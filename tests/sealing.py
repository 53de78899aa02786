"""A process that seals rows, or writes them: python -m tests.sealing audit|webhooks DSN SEED|seal.

Tests start several and kill them: what is sealed must stay one chain, or one feed.
"""

import asyncio
import random
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import asyncpg

from rewards.core.clock import SystemClock
from rewards.infra.db import Database
from rewards.infra.sealing import Sealer
from rewards.infra.settings import Settings
from rewards.webhooks.sealing import Sealer as EventSealer
from tests import processes
from tests.audit import trailing
from tests.webhooks import feeding

AT_ONCE = 4
BATCH_MAX = 20
CLIENTS = (1, 2, 3)
Write = Callable[[asyncpg.Connection, random.Random], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Sealed:
    """What is sealed: by whom, and how a few rows of it are written."""

    sealer: Callable[[Database], Sealer]
    write: Write


async def _entries(connection: asyncpg.Connection, chance: random.Random) -> None:
    await trailing.write(connection, chance.randint(1, 3))


async def _events(connection: asyncpg.Connection, chance: random.Random) -> None:
    await feeding.emit(connection, *chance.choices(CLIENTS, k=chance.randint(1, 3)))


KINDS: Mapping[str, Sealed] = {
    "audit": Sealed(lambda db: trailing.sealer(db, batch_max=BATCH_MAX), _entries),
    "webhooks": Sealed(lambda db: EventSealer(db, SystemClock(), batch_max=BATCH_MAX), _events),
}


async def start(kind: str, dsn: str, what: str) -> processes.Process:
    """Have another process write from this seed, or `seal`."""
    return await processes.start([sys.executable, "-m", "tests.sealing", kind, dsn, what])


async def _seal(kind: Sealed, dsn: str) -> None:
    db = await Database.connect(dsn, Settings(), size=2)
    await kind.sealer(db).run(asyncio.Event())


async def _writing(write: Write, dsn: str, chance: random.Random) -> None:
    """Transactions of some rows each, held open for a while, one in eight undone."""
    connection = await asyncpg.connect(dsn)
    while True:
        act = connection.transaction()
        await act.start()
        if chance.random() < 0.5:
            await connection.execute("SELECT pg_current_xact_id()")
        for _ in range(chance.randint(1, 3)):
            await asyncio.sleep(chance.expovariate(100))
            await write(connection, chance)
        await asyncio.sleep(chance.choice([0, 0, 0.01, 0.3]))
        await (act.rollback() if chance.random() < 0.125 else act.commit())


async def _main(name: str, dsn: str, what: str) -> None:
    kind = KINDS[name]
    if what == "seal":
        await _seal(kind, dsn)
    else:
        seeds = [random.Random(f"{what} {number}") for number in range(AT_ONCE)]
        await asyncio.gather(*(_writing(kind.write, dsn, seed) for seed in seeds))


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
