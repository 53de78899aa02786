"""The links of an order as a mail to its end user has them."""

from rewards.audit import service as audit
from rewards.claims.service import ClaimLinks
from rewards.core.actor import SYSTEM
from rewards.core.clock import Clock
from rewards.infra.db import Database
from rewards.orders import facts, overview
from rewards.orders.model import ItemStatus, Order
from rewards.orders.model_links import LinkStatus
from rewards.orders.view import VoucherOut, linked


class OrderLinks:
    """What mail knows of claim links (`notices.composing.ClaimLinks`); one a worker."""

    def __init__(self, db: Database, links: ClaimLinks, clock: Clock) -> None:
        self._db = db
        self._links = links
        self._clock = clock

    async def of_order(self, order: Order) -> list[VoucherOut]:
        """Where the links lead that wait to be claimed and until when, by position.

        Not that of an item that was taken back, nor one that was claimed: a claim is told as
        `order.delivered` too, and its holder has it. Leaves an audit row as any opening does
        (spec.md §4).
        """
        async with self._db.transaction() as tx:
            [items] = await overview.read_items(tx, [order])
            waiting = {
                item.position
                for item in items
                if item.status is ItemStatus.DELIVERED and item.link_status is LinkStatus.UNCLAIMED
            }
            live = await self._links.find(tx, [order.id])
            chosen = [link for link in live if link.position in waiting]
            if chosen:
                fact = facts.opening_fact(SYSTEM, order, len(chosen))
                await audit.record(tx, [fact], self._clock.now())
        urls = await self._links.urls(chosen)
        return [linked(url, link.claim_before) for url, link in zip(urls, chosen, strict=True)]
