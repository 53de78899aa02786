"""Puts the mail of a process together: where claim links come from, and what sends it."""

from collections.abc import Sequence

from rewards.claims.service import ClaimLinks
from rewards.core.clock import Clock
from rewards.infra.crypto import Vault
from rewards.infra.db import Database
from rewards.infra.settings import Settings
from rewards.notices.tasks import NoticeTasks
from rewards.orders.model import Order


class MailedLinks:
    """Claim links for the mails of their orders (`notices.composing.ClaimLinks`)."""

    def __init__(self, db: Database, links: ClaimLinks) -> None:
        self._db = db
        self._links = links

    async def of_order(self, order: Order) -> Sequence[str]:
        """Where each live link of the order leads, by position."""
        async with self._db.connection() as connection:
            found = await self._links.find(connection, [order.id])
        return await self._links.urls(found)


def mailing(
    db: Database, vault: Vault, clock: Clock, settings: Settings, links: ClaimLinks
) -> NoticeTasks:
    """What a worker does for mail, with the relay that the settings name."""
    return NoticeTasks.over(db, vault, clock, settings, MailedLinks(db, links))
