"""What a story is, and how it is told with one strike in it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from rewards.catalog.model import Product
from rewards.core.errors import Refusal, Unavailable
from rewards.orders.model import Order
from rewards.orders.sql_read import read_orders
from tests.failpoints.points import Died, Fuse, Strike, Struck
from tests.failpoints.town import NotServed, Town
from tests.shop import Shop

MINOR = 1_000_000
TRIES_MAX = 4
ROUNDS_MAX = 12
# How a strike may reach whoever waits for a step.
HURT = (Died, Struck, asyncio.CancelledError, NotServed, Unavailable)

Step = Callable[[], Awaitable[None]]


class Story:
    """Begun by a process that lives, told step by step by the struck one, judged at the end.

    Whoever waits for a step tries it again when it went wrong, as a client, a person of the staff
    or a worker would. `again` says so: then what was done already may be refused, cleanly.
    """

    client_id: int
    product: Product
    # Which points are its own, where it also works off what other stories left; the first turn.
    own: str | tuple[str, ...] | None = None

    def __init__(self, town: Town) -> None:
        self.town = town
        self.again = False
        # Begun by a process that is gone: any step may have been taken.
        self.resumed = False
        self.strike: Strike | None = None

    @property
    def shop(self) -> Shop:
        """Eyes that no strike blinds."""
        return self.town.shop

    async def begin(self) -> None:
        """What is there before it."""

    def steps(self) -> Sequence[Step]:
        raise NotImplementedError

    async def settled(self) -> bool:
        """Whether nothing is under way any more."""
        return True

    async def check(self) -> None:
        """The end is the same whatever struck; nothing sold, charged, paid or bought twice."""
        raise NotImplementedError

    async def orders(self) -> list[Order]:
        ids = await self.town.rows("SELECT id FROM orders WHERE client_id = $1", self.client_id)
        async with self.shop.parts.db.connection() as connection:
            found = await read_orders(connection, [row["id"] for row in ids])
        return list(found.values())

    async def order(self) -> Order:
        """The one order of the client; there is never a second one."""
        [order] = await self.orders()
        return order


async def tell(story: Story, strike: Strike | None) -> Fuse:
    """Tell it to its end with this strike in it, and judge it; what was passed."""
    town = story.town
    story.strike = strike
    fuse = Fuse(strike, town.meanwhile)
    await story.begin()
    for step in story.steps():
        await insist(story, step, fuse)
    if strike is not None:
        assert fuse.struck, "the point was not passed"
    if town.mine_is_dead or (strike is not None and strike.point.startswith("vendor")):
        # Or the circuit breaker would leave the vendor alone in the next story.
        await town.restart()
    await judge(story)
    return fuse


async def insist(story: Story, step: Step, fuse: Fuse) -> None:
    """Have the struck process take the step, again when it went wrong, as whoever waits for it."""
    town = story.town
    for attempt in range(TRIES_MAX):
        story.again = story.resumed or attempt > 0
        if town.mine_is_dead:
            await town.restart()
        problem = await town.act(Fuse() if fuse.dead else fuse, step)
        if problem is None:
            return
        # What a dead process still says is nothing: its connections are gone from under it.
        hurt = fuse.dead or isinstance(problem, HURT)
        if not (fuse.struck or story.resumed) or not hurt:
            raise problem
        await town.recover()
    raise AssertionError("it never comes to its end") from problem


async def judge(story: Story) -> None:
    """Let others work until it is settled, and see how it ended."""
    for _ in range(ROUNDS_MAX):
        if await story.settled():
            break
        await story.town.recover()
    else:
        raise AssertionError(f"{type(story).__name__} is never settled")
    await story.check()


def done(answer: object, *codes: str) -> None:
    """It was done now, or before: then it is refused with one of these."""
    if isinstance(answer, Refusal):
        assert answer.code in codes, answer
