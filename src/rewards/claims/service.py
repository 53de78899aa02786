"""Makes claim links in the transaction that delivers, finds them again, and replaces them."""

from collections.abc import Sequence
from datetime import datetime

from rewards.claims import sql
from rewards.claims.model import Link, claim_before, digest_of, new_token
from rewards.core.errors import Refusal
from rewards.infra.crypto import Vault
from rewards.infra.db import Tx
from rewards.infra.settings import Settings
from rewards.orders import relinking
from rewards.orders.links import LinkAsk, SealedLink
from rewards.orders.model import Order
from rewards.orders.relinking import RelinkAsk

PLACE = "claim_links.token"
PATH = "/vouchers/claim/"


class ClaimLinks:
    """What orders make links with (`orders.links.LinkMaker`). One a process.

    A token is stored as its digest, by which a visitor's is found, and sealed for its own row, from
    which only the answers of the order's client are made.
    """

    def __init__(self, vault: Vault, settings: Settings) -> None:
        self._vault = vault
        self._days = settings.claim_days
        self._base = settings.public_url.rstrip("/") + PATH

    async def make(self, tx: Tx, asks: Sequence[LinkAsk], at: datetime) -> list[SealedLink]:
        """A fresh link for each item, in order; none of them may have a live one."""
        wanted = [(ask, claim_before(at, self._days, ask.expires_at), None) for ask in asks]
        return await self._insert(tx, wanted, at)

    async def _insert(
        self,
        tx: Tx,
        wanted: Sequence[tuple[LinkAsk, datetime, datetime | None]],
        at: datetime,
    ) -> list[SealedLink]:
        if not wanted:
            return []
        made, rows = [], []
        link_ids = await sql.next_ids(tx, len(wanted))
        for link_id, (ask, before, claimed_at) in zip(link_ids, wanted, strict=True):
            token = new_token()
            sealed = self._vault.seal(PLACE, link_id, token.encode())
            made.append(SealedLink(link_id, ask.order_id, ask.position, before, sealed))
            place = (link_id, ask.order_id, ask.position)
            rows.append((*place, digest_of(token), sealed, before, claimed_at))
        await sql.insert(tx, rows, at)
        return made

    async def find(self, tx: Tx, order_ids: Sequence[int]) -> list[SealedLink]:
        """Every live link of these orders, by order and position."""
        return [
            SealedLink(
                row["id"], row["order_id"], row["position"], row["claim_before"], row["sealed"]
            )
            for row in await sql.find_live(tx, order_ids)
        ]

    async def urls(self, links: Sequence[SealedLink]) -> list[str]:
        """Where each leads, in order: a bearer value, like a code. Not inside a transaction."""
        await self._vault.learn(link.sealed for link in links)
        return [
            self._base + self._vault.open(PLACE, link.link_id, link.sealed).decode()
            for link in links
        ]

    async def reissue(
        self, tx: Tx, asks: Sequence[RelinkAsk], at: datetime
    ) -> list[Order | Refusal]:
        """Give the items of each ask new links, and end the old ones at once; the orders.

        How long a link may be used, and that it was, goes over to the new one: a claim is counted
        once. The client hears of its vouchers again and reads the new links. Refused as
        `orders.relinking.touch` refuses.
        """
        touched = await relinking.touch(tx, asks, "order.links_reissued", at)
        items = [
            (answer.order.id, item.position)
            for answer in touched
            if not isinstance(answer, Refusal)
            for item in answer.items
        ]
        fresh = [
            (
                LinkAsk(row["order_id"], row["position"], None),
                row["claim_before"],
                row["claimed_at"],
            )
            for row in sorted(await sql.end(tx, items, at), key=lambda row: tuple(row)[:2])
        ]
        await self._insert(tx, fresh, at)
        return [answer if isinstance(answer, Refusal) else answer.order for answer in touched]


async def of_orders(tx: Tx, order_ids: Sequence[int]) -> dict[int, list[Link]]:
    """What became of every link of these orders, by position; nothing that opens one."""
    found: dict[int, list[Link]] = {order_id: [] for order_id in order_ids}
    for link in await sql.of_orders(tx, order_ids) if order_ids else ():
        found[link.order_id].append(link)
    return found


async def resend(tx: Tx, asks: Sequence[RelinkAsk], at: datetime) -> list[Order | Refusal]:
    """Say once more that the vouchers of each ask are there: the client is told and reads them.

    The links stay as they are. Refused as `orders.relinking.touch` refuses.
    """
    touched = await relinking.touch(tx, asks, "order.links_resent", at)
    return [answer if isinstance(answer, Refusal) else answer.order for answer in touched]
