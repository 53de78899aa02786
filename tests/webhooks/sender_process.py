"""A sender in a process of its own, to be killed: the child's side. Arguments: DSN and home."""

import asyncio
import sys
from pathlib import Path

from rewards.core.clock import SystemClock
from rewards.infra.crypto import Vault
from rewards.infra.db import Database
from rewards.infra.outbound import Poster
from rewards.infra.settings import Settings
from rewards.infra.targets import Targets
from rewards.webhooks import sender

# Short, so that what a killed one held is soon another's.
TOTAL_S = 1.0
RECORD_S = 0.5
LEASE_S = 2.5


async def main(dsn: str, home: Path) -> None:
    sender.RECORD_S = RECORD_S
    settings = Settings(home=home)
    db = await Database.connect(dsn, settings)
    vault = await Vault.open_database(db, settings)
    async with Poster(Targets(local=True), total_s=TOTAL_S) as poster:
        one = sender.Sender(db, vault, SystemClock(), poster, lease_s=LEASE_S)
        print("ready", flush=True)
        await one.run(asyncio.Event())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
