"""A real process that tells a story until SIGKILL strikes it at a failpoint: the child's side.

Takes one argument, JSON: what the parent's town and story are, and where it is to end.
"""

import asyncio
import json
import os
import signal
import sys
from contextlib import AsyncExitStack
from typing import Any

from rewards.infra.settings import Settings
from tests.failpoints.points import Fuse, Side, Strike, inside, installed
from tests.failpoints.points import Kind as What
from tests.failpoints.stories_vendors import BoughtAtOnce
from tests.failpoints.town import Town
from tests.market import MovedClock

SURVIVED = 3


def end() -> None:
    """Nothing runs after this, no `finally` and no goodbye to the database."""
    os.kill(os.getpid(), signal.SIGKILL)


async def tell(told: dict[str, Any]) -> None:
    town = Town(
        told["dsn"],
        Settings(**told["settings"]),
        None,  # type: ignore[arg-type]  those outside are the parent's
        None,  # type: ignore[arg-type]
        None,  # type: ignore[arg-type]
        None,  # type: ignore[arg-type]
        MovedClock(),
        AsyncExitStack(),
    )
    await town.start()
    town.other = town.mine
    story = BoughtAtOnce(town)
    story.client_id = told["client_id"]
    product = town.mine.parts.catalog.product(told["product_id"])
    assert product is not None
    story.product = product
    strike = Strike(told["point"], Side(told["side"]), What.DIE, told["turn"])
    town._slot.fuse = Fuse(strike, end=end)
    with inside(town._slot):
        for step in story.steps():
            await step()


if __name__ == "__main__":
    with installed():
        asyncio.run(tell(json.loads(sys.argv[1])))
    sys.exit(SURVIVED)
