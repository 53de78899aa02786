"""T19: whatever strikes wherever it strikes, every story comes to its end, once."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from itertools import count
from zlib import crc32

import pytest
from structlog.testing import capture_logs

from rewards.orders.decide import PlaceAsk
from tests.databases import Copies, with_database
from tests.failpoints.boundaries import commits, trees
from tests.failpoints.points import Kind, Side, Strike, installed
from tests.failpoints.stories_alerts import ALERT_STORIES
from tests.failpoints.stories_events import EVENT_STORIES
from tests.failpoints.stories_links import LINK_STORIES
from tests.failpoints.stories_members import MEMBER_STORIES
from tests.failpoints.stories_money import MONEY_STORIES
from tests.failpoints.stories_notices import NOTICE_STORIES
from tests.failpoints.stories_orders import ORDER_STORIES, ServedAtOnce
from tests.failpoints.stories_people import PEOPLE_STORIES
from tests.failpoints.stories_reports import REPORT_STORIES
from tests.failpoints.stories_signin import SIGN_IN_STORIES
from tests.failpoints.stories_stock import STOCK_STORIES
from tests.failpoints.stories_vendors import VENDOR_STORIES
from tests.failpoints.stories_webhooks import WEBHOOK_STORIES
from tests.failpoints.story import Step, Story, tell
from tests.failpoints.town import Town, open_town

STORIES = (
    *(*STOCK_STORIES, *ORDER_STORIES, *VENDOR_STORIES),
    *(*PEOPLE_STORIES, *EVENT_STORIES, *WEBHOOK_STORIES, *LINK_STORIES),
    *MEMBER_STORIES,
    *(*NOTICE_STORIES, *ALERT_STORIES, *MONEY_STORIES, *REPORT_STORIES),
    *SIGN_IN_STORIES,
)
EVERY = [Strike("", side, kind) for kind in Kind for side in Side]
# What is left when nothing at all runs any more: at every point, always.
DEATHS = [strike for strike in EVERY if strike.kind is Kind.DIE]
# Neighbours are of different kinds: any so many of them in a row are all there are.
OTHERS = [Strike("", side, kind) for side in Side for kind in Kind if kind is not Kind.DIE]
OTHER_KINDS = len(Kind) - 1
POINTS_MIN = 40
# How many stories have come to a point so far.
_visits: Counter[str] = Counter()
_turn = count()


@pytest.fixture(scope="module")
def choke_points() -> Iterator[None]:
    with installed(), capture_logs():
        yield


@pytest.fixture(scope="module")
async def town(
    choke_points: None,
    server_dsn: str,
    copies: Copies,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Town]:
    """One for all stories: each has a client and a product of its own."""
    name = await copies.take()
    home = tmp_path_factory.mktemp("town")
    async with open_town(with_database(server_dsn, name), home) as opened:
        yield opened
    copies.drop(name)


def chosen(seen: list[str]) -> list[Strike]:
    """All kinds at each point, and another one of them in each later story that passes it.

    A death strikes on both sides, any other on one of them; the long run spares neither.
    """
    planned = []
    for point in dict.fromkeys(seen):
        visits = _visits[point]
        _visits[point] += 1
        # Each point begins elsewhere.
        first = crc32(point.encode()) + visits
        others = [OTHERS[(first + n) % len(OTHERS)] for n in range(1 if visits else OTHER_KINDS)]
        struck = others if visits else [*DEATHS, *others]
        planned += [Strike(point, each.side, each.kind) for each in struck]
    return planned


def every(seen: list[str]) -> list[Strike]:
    """The full product at the first turn of every point, one strike at each later one."""
    planned = []
    for point in dict.fromkeys(seen):
        planned += [Strike(point, each.side, each.kind) for each in EVERY]
        for turn in range(1, seen.count(point)):
            each = EVERY[next(_turn) % len(EVERY)]
            planned.append(Strike(point, each.side, each.kind, turn + 1))
    return planned


async def strike_all(town: Town, story: type[Story], full: bool) -> None:
    # What the story before left is not this one's.
    if town.mine_is_dead:
        await town.restart()
    await town.recover()
    clean = await tell(story(town), None)
    seen = clean.seen
    if story.own:
        seen = list(dict.fromkeys(point for point in seen if point.startswith(story.own)))
    planned = every(seen) if full else chosen(seen)
    assert planned, "a story passes points"
    for strike in planned:
        try:
            await tell(story(town), strike)
        except BaseException as problem:
            problem.add_note(f"struck: {strike}")
            raise
    assert await town.shop.broken() == {}
    print(f"{len(set(seen))} points, {len(planned)} strikes")


# Commits of no story, and why none is needed.
AGAIN = "a command; whoever gave it gives it again"
UNTOLD = {
    "commit entry.fx.load": AGAIN,
    "commit entry.people.add_staff": AGAIN,
    "commit entry.stock._import": AGAIN,
    "commit entry.vendors.add": AGAIN,
    "commit reconciliation.tasks.Reconciling.work_on": "queues what waits, as the sweep does",
    "commit reports.tasks.Writing.work_on": "queues what is left, as the sweep does",
    "commit reports.tasks.Writing._fail": "tests/reports/test_reports_writing.py",
    "commit vendors.buying.Buying._renew": "tests/vendors/test_vendors_leases.py",
    "commit sandbox.seed.seed": "the sandbox's first start; the next one finds nothing and seeds",
    "commit entry.wiring._mint_batch": "a process's own batch; without a unit it is nothing",
    "commit infra.crypto.Vault.open_database": "a first start; tests/infra/test_crypto.py",
    "commit infra.crypto.Vault.rewrap": AGAIN + "; each key moves by its own compare-and-set",
}


async def test_every_commit_and_every_call_is_passed_by_a_story(town: Town) -> None:
    """A new one without a story fails here (T19)."""
    passed: set[str] = set()
    for story in STORIES:
        clean = await tell(story(town), None)
        assert not clean.stray, "what is written outside a transaction is a commit nobody sees"
        passed |= set(clean.seen)
    sites = {one.point for name, tree in trees() for one in commits(name, tree)}
    print(f"{len(passed)} points in {len(STORIES)} stories")
    assert len(passed) >= POINTS_MIN
    assert passed.isdisjoint(UNTOLD)
    assert sites - passed == UNTOLD.keys()


class WithoutKey(ServedAtOnce):
    """A client that forgets its key: what it asks again is bought again."""

    def ask(self) -> PlaceAsk:
        return replace(super().ask(), key_use=None)

    def steps(self) -> Sequence[Step]:
        return [self.place]


async def test_what_is_done_twice_is_seen(town: Town) -> None:
    placed = Strike("commit orders.service.Orders.place_batch", Side.AFTER, Kind.DIE)
    with pytest.raises(ValueError, match="too many values"):
        await tell(WithoutKey(town), placed)
    await tell(WithoutKey(town), replace(placed, side=Side.BEFORE))
    with pytest.raises(AssertionError, match="not passed"):
        await tell(WithoutKey(town), replace(placed, point="commit nowhere"))


@pytest.mark.parametrize("full", [False, pytest.param(True, marks=pytest.mark.long)])
@pytest.mark.parametrize("story", STORIES, ids=[kind.__name__ for kind in STORIES])
async def test_a_story_comes_to_its_end(town: Town, story: type[Story], full: bool) -> None:
    await strike_all(town, story, full)
