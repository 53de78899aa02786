"""Stories of money above what one person may move: asked for, agreed to, withdrawn, carried out."""

from collections.abc import Sequence
from typing import Any

from rewards.wallets import service as wallets
from rewards.wallets.model import NewWallet, WalletType
from tests.failpoints.stories_orders import CANCELLED, OrderStory
from tests.failpoints.story import MINOR, Step, Story

# More than the town's limit.
ABOVE_MINOR = 20_001


class ToppedUpByTwo(Story):
    """One request is agreed to and booked once; another is withdrawn, and nothing comes of it."""

    async def begin(self) -> None:
        self.client_id = await self.shop.client(minor=MINOR)
        self.wallet_id = (await self.shop.wallets(self.client_id))["USD"].id

    def steps(self) -> Sequence[Step]:
        return [self.request, self.agree, self.request_in_vain, self.withdraw, self.work]

    def refused(self) -> tuple[int, ...]:
        return (409,) if self.again else ()

    async def ask(self, reference: str) -> None:
        body = {"amount": f"{ABOVE_MINOR / 100}", "reference": reference}
        path = f"/wallets/{self.wallet_id}/top-up"
        await self.town.staff("finance", "POST", path, body, self.refused())

    async def request(self) -> None:
        await self.ask("agreed")

    async def request_in_vain(self) -> None:
        await self.ask("in vain")

    async def number(self, reference: str) -> int:
        [row] = await self.town.rows(
            "SELECT id FROM approvals WHERE kind = 'TOPUP' AND subject_id = $1 AND reference = $2",
            *(self.wallet_id, reference),
        )
        return int(row["id"])

    async def agree(self) -> None:
        path = f"/approvals/{await self.number('agreed')}/approve"
        await self.town.staff("admin", "POST", path, {}, self.refused())

    async def withdraw(self) -> None:
        path = f"/approvals/{await self.number('in vain')}/withdraw"
        await self.town.staff("finance", "POST", path, None, self.refused())

    async def work(self) -> None:
        await self.town.mine.worker.drain()

    async def settled(self) -> bool:
        return await self.states() == ["CARRIED_OUT", "WITHDRAWN"]

    async def states(self) -> list[str]:
        rows = await self.town.rows(
            "SELECT state FROM approvals WHERE kind = 'TOPUP' AND subject_id = $1 ORDER BY id",
            self.wallet_id,
        )
        return [row["state"] for row in rows]

    async def check(self) -> None:
        assert await self.states() == ["CARRIED_OUT", "WITHDRAWN"]
        assert await self.shop.balance(self.client_id) == MINOR + ABOVE_MINOR


class LentByTwo(Story):
    """One raise of a credit limit is withdrawn; the next is agreed to and carried out once."""

    async def begin(self) -> None:
        self.client_id = await self.shop.client()
        new = NewWallet(self.client_id, "USD", WalletType.POSTPAID)
        async with self.shop.parts.db.transaction() as tx:
            [wallet] = await wallets.open_wallets(tx, [new], self.shop.now)
        self.wallet_id = wallet.id

    def steps(self) -> Sequence[Step]:
        return [self.request, self.withdraw, self.request, self.agree, self.work]

    def refused(self) -> tuple[int, ...]:
        return (409,) if self.again else ()

    async def request(self) -> None:
        body = {"credit_limit": f"{ABOVE_MINOR / 100}", "reason": "they grew"}
        path = f"/wallets/{self.wallet_id}"
        await self.town.staff("finance", "PATCH", path, body, self.refused())

    async def asked(self) -> list[Any]:
        return await self.town.rows(
            "SELECT id, state FROM approvals WHERE kind = 'CREDIT_LIMIT' AND subject_id = $1"
            " ORDER BY id",
            self.wallet_id,
        )

    async def withdraw(self) -> None:
        path = f"/approvals/{(await self.asked())[0]['id']}/withdraw"
        await self.town.staff("finance", "POST", path, None, self.refused())

    async def agree(self) -> None:
        path = f"/approvals/{(await self.asked())[1]['id']}/approve"
        await self.town.staff("admin", "POST", path, {}, self.refused())

    async def work(self) -> None:
        await self.town.mine.worker.drain()

    async def settled(self) -> bool:
        return [row["state"] for row in await self.asked()] == ["WITHDRAWN", "CARRIED_OUT"]

    async def check(self) -> None:
        assert await self.settled()
        limit_minor = await self.town.value(
            "SELECT credit_limit_minor FROM wallets WHERE id = $1", self.wallet_id
        )
        assert limit_minor == ABOVE_MINOR


class CancelledByTwo(OrderStory):
    """Delivered, and more than one person may take back: another agrees, and it is paid back."""

    quantity = 8
    stock = 8
    ends = CANCELLED
    events = ("order.delivered", "order.cancelled")

    def steps(self) -> Sequence[Step]:
        return [self.place, self.cancel, self.agree, self.work]

    async def number(self) -> int:
        [row] = await self.town.rows(
            "SELECT id FROM approvals WHERE kind = 'LATE_CANCEL' AND subject_id = $1",
            (await self.order()).id,
        )
        return int(row["id"])

    async def agree(self) -> None:
        path = f"/approvals/{await self.number()}/approve"
        again = (409,) if self.again else ()
        await self.town.staff("finance", "POST", path, {}, again)

    async def settled(self) -> bool:
        state = await self.town.value(
            "SELECT state FROM approvals WHERE id = $1", await self.number()
        )
        return bool(state == "CARRIED_OUT")


MONEY_STORIES = (ToppedUpByTwo, LentByTwo, CancelledByTwo)
