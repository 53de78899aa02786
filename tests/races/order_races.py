"""One order in a known situation, everything that may be done to it, and two hands at once."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from rewards.catalog.model import LinkType
from rewards.core.errors import Refusal
from rewards.infra.db import Tx
from rewards.inventory import service as inventory
from rewards.orders.closing import CancelAsk, FailAsk, TakeBackAsk
from rewards.orders.filling import RetryAsk, retry
from rewards.orders.model import Order, item_id
from rewards.orders.recalls import take_back
from rewards.orders.refunds import cancel, fail, pay_owed
from rewards.wallets import service as wallets
from rewards.wallets.model import StatusChange, TopUp, WalletStatus
from tests.shop import STAFF, Shop

FUNDS_MINOR = 100_000
TOP_UP_MINOR = 1_000
BULK_UNITS_MAX = 10_000
WAIT_LOOKS_MAX = 5_000
# A worker's answer where somebody stands in the way, or there is nothing to do: it leaves it alone.
NOT_OURS = "not ours"
WAITS = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $1"


@dataclass(frozen=True)
class Scene:
    """An order of a client of its own, over a product of its own."""

    shop: Shop
    order_id: int
    client_id: int
    wallet_id: int
    batch_id: int

    async def facts(self) -> dict[str, Any]:
        """All that the acts left behind, but for ids and times."""
        order = await self.shop.order(self.order_id)
        return {
            "state": str(order.state),
            "items": await self.shop.item_states(self.order_id),
            "counts": (order.fulfilled, order.cancelled, order.revoked),
            "money": (order.amount_minor, order.refunded_minor, order.refund_owed_minor),
            "balance": await self.shop.balance(self.client_id),
            "path": await self.shop.path(self.order_id),
            "events": await self.shop.events(self.order_id),
        }


AnyScene = TypeVar("AnyScene", bound=Scene)
ActUpon: TypeAlias = Callable[[Tx, AnyScene], Awaitable[object]]
Act: TypeAlias = ActUpon[Scene]


async def _retry(tx: Tx, scene: Scene) -> object:
    [answer] = await retry(tx, [RetryAsk(scene.order_id, STAFF)], BULK_UNITS_MAX, scene.shop.now)
    return answer


def cancelling(*positions: int, only_open: bool = False) -> Act:
    async def act(tx: Tx, scene: Scene) -> object:
        names = tuple(item_id(scene.order_id, position) for position in positions) or None
        ask = CancelAsk(scene.order_id, STAFF, "race", names, only_open=only_open)
        [answer] = await cancel(tx, [ask], scene.shop.now)
        return answer

    return act


async def _fail(tx: Tx, scene: Scene) -> object:
    [answer] = await fail(tx, [FailAsk(scene.order_id, STAFF, "race")], scene.shop.now)
    return answer


async def _pay_owed(tx: Tx, scene: Scene) -> object:
    [answer] = await pay_owed(tx, [scene.order_id], STAFF, scene.shop.now)
    return answer


def _recall(*, replace: bool) -> Act:
    async def act(tx: Tx, scene: Scene) -> object:
        ask = TakeBackAsk(scene.order_id, scene.batch_id, STAFF, "race", replace)
        [answer] = await take_back(tx, [ask], scene.shop.now)
        return answer

    return act


async def _top_up(tx: Tx, scene: Scene) -> object:
    [answer] = await wallets.top_up(tx, [TopUp(scene.wallet_id, TOP_UP_MINOR)], scene.shop.now)
    return answer if isinstance(answer, Refusal) else "topped up"


async def _freeze(tx: Tx, scene: Scene) -> object:
    await wallets.set_status(tx, [StatusChange(scene.wallet_id, WalletStatus.FROZEN)])
    return "frozen"


ACTS: dict[str, Act] = {
    "retry": _retry,
    "cancel": cancelling(),
    "cancel item 1": cancelling(1),
    "deadline": cancelling(only_open=True),
    "fail": _fail,
    "refund retry": _pay_owed,
    "recall": _recall(replace=False),
    "recall and replace": _recall(replace=True),
    "top up": _top_up,
    "freeze": _freeze,
}
# Each gives up all that waits: of two of them one wins. Only a failure may be closed afterwards.
CLOSERS = ("cancel", "deadline", "fail")
CLOSED_AFTERWARDS = ("fail", "cancel")


class Stage(Generic[AnyScene]):
    """Plays acts upon scenes: one after the other, or each before the one before it commits."""

    def __init__(self, shop: Shop, acts: Mapping[str, ActUpon[AnyScene]]) -> None:
        self.shop = shop
        self.acts = acts

    async def scene(self, situation: str) -> AnyScene:
        """A fresh order in this situation."""
        raise NotImplementedError

    async def one_by_one(self, situation: str, *names: str) -> tuple[list[str], dict[str, Any]]:
        """What each act answered and what is left when nobody is in anybody's way."""
        scene = await self.scene(situation)
        answers = []
        for name in names:
            async with self.shop.parts.db.transaction() as tx:
                answers.append(said(await self.acts[name](tx, scene)))
        return answers, await scene.facts()

    async def at_once(
        self, situation: str, first: str, *others: str, first_dies: bool = False
    ) -> tuple[list[str], dict[str, Any], bool]:
        """The others begin when the first is done and not committed, each when the one before it
        stands in line or is done. Whether all of them had to wait."""
        scene = await self.scene(situation)
        answers = {}
        waited = []
        running: list[asyncio.Task[None]] = []

        async def other(place: int, name: str, begun: asyncio.Future[int]) -> None:
            async with self.shop.parts.db.transaction() as tx:
                begun.set_result(tx.get_server_pid())
                answers[place] = said(await self.acts[name](tx, scene))

        try:
            async with self.shop.parts.db.transaction() as tx:
                answers[0] = said(await self.acts[first](tx, scene))
                for place, name in enumerate(others, 1):
                    begun = asyncio.get_running_loop().create_future()
                    running.append(asyncio.create_task(other(place, name, begun)))
                    waited.append(await self._waits(await begun, running[-1]))
                if first_dies:
                    raise Died
        except Died:
            del answers[0]
        await asyncio.gather(*running)
        return [answers[n] for n in sorted(answers)], await scene.facts(), all(waited)

    async def is_some_order(
        self,
        situation: str,
        names: Sequence[str],
        answers: Sequence[str],
        left: Mapping[str, Any],
    ) -> bool:
        """Whether these acts, one after the other in some order, are told and leave the same.

        What was not done at all (NOT_OURS) is as if nobody had tried it.
        """
        done = [n for n, told in enumerate(answers) if told != NOT_OURS]
        for order in itertools.permutations(done):
            told, then = await self.one_by_one(situation, *(names[n] for n in order))
            if (told, then) == ([answers[n] for n in order], left):
                return True
        return False

    async def _waits(self, pid: int, running: "asyncio.Task[None]") -> bool:
        """Look until the other stands in line for a lock, or is done."""
        async with self.shop.parts.db.connection() as connection:
            for _ in range(WAIT_LOOKS_MAX):
                if running.done():
                    return False
                if await connection.fetchval(WAITS, pid):
                    return True
                await asyncio.sleep(0.002)
        raise AssertionError("neither waiting nor done")


class ShopStage(Stage[Scene]):
    """Scenes of a shop that asks no vendor."""

    def __init__(self, shop: Shop, acts: Mapping[str, Act] = ACTS) -> None:
        super().__init__(shop, acts)
        self._product_id = 1_000

    async def scene(self, situation: str) -> Scene:
        """`waiting`: 0 of 2; `partial`: 1 of 3; `delivered`: 2 of 2; `owed`: 1 of 3, cancelled;
        `linked`: 2 of 2, by claim links.

        What was delivered came from a bad batch; good stock for the whole order is in the pool.
        """
        shop = self.shop
        self._product_id += 1
        linked = {"link_type": LinkType.PUBLIC} if situation == "linked" else {}
        product = await shop.product(self._product_id, **linked)
        client = await shop.client(minor=FUNDS_MINOR)
        quantity, bad = {
            "waiting": (2, 0),
            "partial": (3, 1),
            "delivered": (2, 2),
            "owed": (3, 1),
            "linked": (2, 2),
        }[situation]
        unit_ids = await shop.stock(product, bad) if bad else []
        order_id = (await shop.place_one(shop.ask(client, product, quantity))).order.id
        if situation == "owed":
            await shop.set_wallet_status(client, WalletStatus.FROZEN)
            await shop.cancel(order_id)
            await shop.set_wallet_status(client, WalletStatus.ACTIVE)
        await shop.stock(product, quantity)
        async with shop.parts.db.connection() as connection:
            found = await inventory.read_units(connection, unit_ids)
        batch_id = found[0].batch_id if found and found[0] else 0
        wallet = (await shop.wallets(client))["USD"]
        return Scene(shop, order_id, client, wallet.id, batch_id)


class Died(Exception):
    """The process of the first act was killed before its commit."""


def said(answer: object) -> str:
    if isinstance(answer, Refusal):
        return f"{answer.status} {answer.code}"
    return str(answer.state) if isinstance(answer, Order) else str(answer)
