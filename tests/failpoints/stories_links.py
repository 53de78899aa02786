"""Stories of claim links: made later, claimed by their holder, issued again, never claimed."""

from collections.abc import Sequence

from rewards.catalog.model import LinkType
from rewards.claims.mailing import OrderLinks
from rewards.orders.decide import PlaceAsk
from rewards.orders.model import SubStatus
from tests.claims.site import PASSWORD
from tests.failpoints.stories_orders import OrderStory
from tests.failpoints.story import Step
from tests.shop import HOLDER

CLAIMED = "DELIVERED·GV_LINK_CLAIMED"
UNCLAIMED = "DELIVERED·GV_LINK_UNCLAIMED"


class LinkedOrder(OrderStory):
    """An order of one voucher that goes out by link."""

    quantity = 1
    stock = 1
    link_type = LinkType.PUBLIC
    ends = CLAIMED
    events = ("order.delivered", "order.delivered")

    async def begin(self) -> None:
        self.client_id = await self.shop.client(minor=10_000_000)
        self.product = await self.town.product(link_type=self.link_type)
        await self.shop.stock(self.product, self.stock)
        self.minor = 10_000_000

    async def token(self) -> str:
        """As its client reads it now."""
        order = await self.order()
        async with self.shop.parts.db.connection() as connection:
            found = await self.shop.parts.links.find(connection, [order.id])
        [url] = await self.shop.parts.links.urls(found[:1])
        return url.rpartition("/")[2]

    async def claim(self) -> None:
        claims = self.town.mine.parts.claims
        revealed = await claims.reveal(await self.token(), PASSWORD, HOLDER)
        assert revealed.fields

    async def check(self) -> None:
        order = await self.order()
        assert str(order.state) == self.ends
        spent = order.amount_minor - order.refunded_minor
        assert await self.shop.balance(self.client_id) == self.minor - spent
        assert tuple(await self.shop.events(order.id)) == self.events
        sold = await self.town.value(
            "SELECT count(*) FROM units WHERE product_id = $1 AND state = 'DELIVERED'",
            self.product.id,
        )
        assert sold == order.fulfilled - order.revoked
        history = await self.shop.path(order.id)
        assert history.count(CLAIMED) == (self.ends == CLAIMED)


class Claimed(LinkedOrder):
    """Served at once; its holder asks for it."""

    def steps(self) -> Sequence[Step]:
        return [self.place, self.claim]


class Mailed(LinkedOrder):
    """Its link is put into a mail before it is claimed."""

    def steps(self) -> Sequence[Step]:
        return [self.place, self.mail, self.claim]

    async def mail(self) -> None:
        parts = self.town.mine.parts
        links = await OrderLinks(parts.db, parts.links, parts.clock).of_order(await self.order())
        assert self.resumed or len(links) == 1


class ClaimedByPassword(LinkedOrder):
    """The same, by a password that is counted before it is looked at."""

    link_type = LinkType.PROTECTED

    async def begin(self) -> None:
        await super().begin()
        self.digest = await self.shop.parts.passwords.digest(PASSWORD)

    def ask(self) -> PlaceAsk:
        return self.shop.ask(
            *(self.client_id, self.product, self.quantity),
            key="one-and-the-same",
            claim_password_hash=self.digest,
        )

    def steps(self) -> Sequence[Step]:
        return [self.place, self.claim]


class LinkedLater(LinkedOrder):
    """11 to 50: filled by the worker, and its links made by the next job."""

    quantity = 11
    stock = 11
    ends = UNCLAIMED
    events = ("order.created", "order.processing", "order.delivered")

    def steps(self) -> Sequence[Step]:
        return [self.place, self.work, self.work]

    async def settled(self) -> bool:
        waiting = (SubStatus.PROCESSING, SubStatus.GV_LINK_PENDING)
        return (await self.order()).sub_status not in waiting


class LinkedBySweeper(LinkedLater):
    """Its job was lost; the sweeper finds what lacks links."""

    def steps(self) -> Sequence[Step]:
        return [self.place, self.fill, self.lose, self.sweep]

    async def fill(self) -> None:
        order = await self.order()
        await self.town.mine.shop.tasks.fill([order.id])

    async def lose(self) -> None:
        await self.town.value("DELETE FROM pgqueuer WHERE entrypoint = 'claims.make_links'")

    async def sweep(self) -> None:
        await self.town.mine.shop.link_tasks.sweep()


class NeverClaimed(LinkedOrder):
    """Its time is over: taken back and paid back, once."""

    ends = "CANCELLED·REFUNDED"
    events = ("order.delivered", "order.cancelled")

    def steps(self) -> Sequence[Step]:
        return [self.place, self.wait, self.lapse]

    async def wait(self) -> None:
        order = await self.order()
        # The others' links stay as they are: time passes for this one.
        await self.town.value(
            "UPDATE claim_links SET claim_before = now() - interval '1 s' WHERE order_id = $1",
            order.id,
        )

    async def lapse(self) -> None:
        await self.town.mine.shop.link_tasks.lapse()


class IssuedAgain(LinkedOrder):
    """Replaced by a person; the old one is dead, the new one is claimed."""

    act = "reissue"

    def steps(self) -> Sequence[Step]:
        return [self.place, self.note, self.change, self.claim]

    async def note(self) -> None:
        self.old = await self.token()

    async def change(self) -> None:
        order = await self.order()
        path = f"/orders/{order.id}/links/{self.act}"
        await self.town.staff("operations", "POST", path, {"reason": "it went astray"})

    async def check(self) -> None:
        told = await self.shop.events((await self.order()).id)
        # A person who got no answer asks again, and is heard again.
        self.events = ("order.delivered",) * (3 if self.strike is None else len(told))
        assert 3 <= len(told) <= 4
        await super().check()
        assert (await self.token() == self.old) == (self.act == "resend")


class ToldAgain(IssuedAgain):
    """Told of again by a person; it stays as it is."""

    act = "resend"


LINK_STORIES = (
    Claimed,
    Mailed,
    ClaimedByPassword,
    LinkedLater,
    LinkedBySweeper,
    NeverClaimed,
    IssuedAgain,
    ToldAgain,
)
