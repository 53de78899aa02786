"""Stories of mail: vouchers, a cancellation told to two by a relay that breaks, old mail gone."""

from collections.abc import Sequence
from dataclasses import replace
from email.message import EmailMessage
from typing import Any

from rewards.notices import service
from rewards.notices.model import NoticeSettings
from rewards.orders.decide import PlaceAsk
from tests.failpoints.stories_orders import CANCELLED, OrderStory
from tests.failpoints.story import Step, Story
from tests.notices.postoffice import text_of

CONTACT = "ops@client.example"
OURS = ("commit notices.", "commit orders.mailing", "mail ")
LOOKS_MAX = 50


class VouchersMailed(OrderStory):
    """The customer gets the codes: one mail, perhaps more than once and then saying that it is."""

    own = OURS
    mails = 1

    def ask(self) -> PlaceAsk:
        return replace(super().ask(), email=self.email)

    @property
    def email(self) -> str:
        return f"customer-{self.client_id}@shop.example"

    def steps(self) -> Sequence[Step]:
        return [self.place, self.read_causes, self.send]

    async def read_causes(self) -> None:
        """Other databases of the server may hold the reader back for a while."""
        for _ in range(LOOKS_MAX):
            await self.town.mine.notices.read_causes()
            if self.town.struck or await self.notices():
                break

    async def send(self) -> None:
        await self.town.mine.notices.send()

    async def notices(self) -> list[dict[str, Any]]:
        return await self.town.rows(
            "SELECT id, state, message_id, attempts FROM notices WHERE client_id = $1 ORDER BY id",
            self.client_id,
        )

    async def settled(self) -> bool:
        told = await self.notices()
        return len(told) == self.mails and all(each["state"] == "SENT" for each in told)

    def arrived(self, message_id: str) -> list[EmailMessage]:
        return [mail for mail in self.town.office.taken if mail["Message-ID"] == message_id]

    async def check(self) -> None:
        await super().check()
        told = await self.notices()
        for each in told:
            mails = self.arrived(each["message_id"])
            # Twice only where it was begun twice.
            assert 1 <= len(mails) <= each["attempts"]
            if self.strike is None:
                assert len(mails) == 1
        ours = [mail for mail in self.town.office.taken if mail["To"] == self.email]
        assert len({mail["Message-ID"] for mail in ours}) == 1
        await self.check_words(told)

    async def check_words(self, told: list[dict[str, Any]]) -> None:
        [text] = {text_of(mail) for mail in self.arrived(told[0]["message_id"])}
        assert text.count("-pin_code") == self.quantity


class CancellationMailed(VouchersMailed):
    """Two are told; the relay breaks at the first, and the second one waits uncounted."""

    stock = 0
    ends = CANCELLED
    events = ("order.created", "order.pending", "order.cancelled")
    mails = 2

    async def begin(self) -> None:
        await super().begin()
        async with self.town.other.parts.db.transaction() as tx:
            chosen = NoticeSettings(self.client_id, contacts=(CONTACT,))
            await service.set_settings(tx, chosen, self.shop.now)
        self.town.office.faults.clear()
        self.town.office.fail("MAIL", "drop")

    def steps(self) -> Sequence[Step]:
        return [self.place, self.cancel, self.read_causes, self.send]

    async def check_words(self, told: list[dict[str, Any]]) -> None:
        [order_id] = [order.id for order in await self.orders()]
        sent = [mail for each in told for mail in self.arrived(each["message_id"])]
        assert {mail["To"] for mail in sent} == {self.email, CONTACT}
        assert all(str(order_id) in text_of(mail) for mail in sent if mail["To"] == CONTACT)


class OldMailForgotten(VouchersMailed):
    """What ended 90 days ago is dropped, by a look that may die half-way."""

    own = "commit notices.tasks.NoticeTasks.forget"

    def steps(self) -> Sequence[Step]:
        return [self.place, self.read_causes, self.send, self.age, self.forget]

    async def age(self) -> None:
        await self.town.value(
            "UPDATE notices SET finished_at = finished_at - interval '91 days'"
            " WHERE client_id = $1 AND state = 'SENT'",
            self.client_id,
        )

    async def forget(self) -> None:
        await self.town.mine.notices.forget()

    async def settled(self) -> bool:
        if await self.notices():
            await self.town.other.notices.forget()
        return not await self.notices()

    async def check_words(self, told: list[dict[str, Any]]) -> None:
        assert told == []


class EndpointMailed(Story):
    """An endpoint was switched off because it is gone; its client's contact is told, once."""

    own = "commit notices.tasks.NoticeTasks.read_endpoints"

    async def begin(self) -> None:
        self.client_id = await self.shop.client()
        self.contact = f"ops-{self.client_id}@client.example"
        async with self.town.other.parts.db.transaction() as tx:
            chosen = NoticeSettings(self.client_id, contacts=(self.contact,))
            await service.set_settings(tx, chosen, self.shop.now)
        await self.town.value(
            "INSERT INTO webhook_endpoints (client_id, name, url, secret, status, disabled_reason,"
            " disabled_at, created_at, updated_at)"
            " VALUES ($1, 'Orders', 'https://a.example', 'x', 'DISABLED', 'GONE', $2, $2, $2)",
            *(self.client_id, self.shop.now),
        )

    def steps(self) -> Sequence[Step]:
        return [self.look, self.send]

    async def look(self) -> None:
        await self.town.mine.notices.read_endpoints()

    async def send(self) -> None:
        await self.town.mine.notices.send()

    async def settled(self) -> bool:
        states = await self.town.rows(
            "SELECT state FROM notices WHERE client_id = $1", self.client_id
        )
        return [row["state"] for row in states] == ["SENT"]

    async def check(self) -> None:
        told = [mail for mail in self.town.office.taken if mail["To"] == self.contact]
        assert len({mail["Message-ID"] for mail in told}) == 1


NOTICE_STORIES = (VouchersMailed, CancellationMailed, OldMailForgotten, EndpointMailed)
