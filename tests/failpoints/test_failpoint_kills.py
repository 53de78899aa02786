"""T19: a process of its own is killed with SIGKILL at the failpoints; another one goes on."""

import json
import signal
import sys

import pytest

from tests import processes
from tests.failpoints.points import Fuse, Side
from tests.failpoints.stories_vendors import BoughtAtOnce
from tests.failpoints.story import insist, judge, tell
from tests.failpoints.test_failpoints import choke_points, town
from tests.failpoints.town import Town

__all__ = ["choke_points", "town"]
ENDS_WITHIN_S = 60.0
# Committed to buying, sent nothing; bought, heard nothing; heard, wrote nothing; all but the job.
WORST = [
    ("commit vendors.buying.Buying.step", Side.AFTER, 1),
    ("vendor POST /orders", Side.AFTER, 1),
    ("commit vendors.buying.Buying._settle", Side.BEFORE, 1),
    ("queue log_jobs", Side.BEFORE, 1),
]


async def kill(town: Town, point: str, side: Side, turn: int = 1) -> None:
    """Have a process begin the story and end at this point; then finish it and judge it."""
    story = BoughtAtOnce(town)
    await story.begin()
    told = {
        "dsn": town.dsn,
        "settings": {
            "home": str(town.settings.home),
            "environment": "test",
            "vendor_loopback": True,
        },
        "client_id": story.client_id,
        "product_id": story.product.id,
        "point": point,
        "side": side,
        "turn": turn,
    }
    command = [sys.executable, "-m", "tests.failpoints.process", json.dumps(told)]
    process = await processes.start(command)
    assert await process.wait(ENDS_WITHIN_S) == -signal.SIGKILL, process.output()
    await town.recover()
    story.resumed = True
    for step in story.steps():
        await insist(story, step, Fuse())
    await judge(story)


@pytest.mark.parametrize("full", [False, pytest.param(True, marks=pytest.mark.long)])
async def test_a_killed_process_leaves_a_story_that_another_one_ends(
    town: Town, full: bool
) -> None:
    """CI: where the vendor may have heard, or has sold. LONG: at each point, on both sides."""
    seen = (await tell(BoughtAtOnce(town), None)).seen
    everywhere = [
        (point, side, turn + 1)
        for point in dict.fromkeys(seen)
        for side in Side
        for turn in range(seen.count(point))
    ]
    assert set(WORST) <= set(everywhere)
    planned = everywhere if full else WORST
    for point, side, turn in planned:
        try:
            await kill(town, point, side, turn)
        except BaseException as problem:
            problem.add_note(f"killed {side} {point} ({turn})")
            raise
    assert await town.shop.broken() == {}
    print(f"{len(planned)} processes killed")
