"""A process of its own that imports one file and says what memory that took at its highest."""

import asyncio
import json
import sys
from pathlib import Path

from rewards.infra.crypto import Vault
from rewards.infra.db import Database
from rewards.infra.settings import Settings
from rewards.inventory import service
from tests.inventory.stock_builder import NOW, Shop, StandingClock


def memory_kib(what: str) -> int:
    """`VmRSS` now, or `VmHWM`, the highest it has been."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what))


async def main(dsn: str, home: Path, path: Path) -> None:
    settings = Settings(home=home, environment="test")
    db = await Database.connect(dsn, settings)
    vault = await Vault.open_database(db, settings)
    async with db.transaction() as tx:
        batch_id = await service.open_import(tx, path.name, NOW)
    before_kib = memory_kib("VmRSS")
    with path.open("rb") as file:
        batch = await service.run_import(db, vault, Shop(), StandingClock(), batch_id, file)
    growth_kib = memory_kib("VmHWM") - before_kib
    await db.close()
    print(json.dumps({"loaded": batch.loaded, "error": batch.error, "growth_kib": growth_kib}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])))
