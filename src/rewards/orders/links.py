"""What orders want of whoever makes claim links; claims gives it, from above (docs/adr/0023)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from rewards.catalog.model import LinkType, Product
from rewards.infra import jobs
from rewards.infra.db import Tx
from rewards.orders.model import recharges

# Names go upward: claims makes the links of the orders in the payloads.
MAKE_LINKS_JOB = jobs.declare("claims.make_links")


@dataclass(frozen=True, slots=True)
class LinkAsk:
    """An item that has its unit. `expires_at` is the unit's; None: the brand sets no end."""

    order_id: int
    position: int
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class SealedLink:
    """The live link of an item; `sealed` holds its token, for the answers of its client alone."""

    link_id: int
    order_id: int
    position: int
    claim_before: datetime
    sealed: bytes = field(repr=False)


class LinkMaker(Protocol):
    """Makes links and finds them again."""

    async def make(self, tx: Tx, asks: Sequence[LinkAsk], at: datetime) -> list[SealedLink]:
        """A fresh link for each item, in order; none of them may have a live one."""
        ...

    async def find(self, tx: Tx, order_ids: Sequence[int]) -> list[SealedLink]:
        """Every live link of these orders, by order and position."""
        ...

    async def urls(self, links: Sequence[SealedLink]) -> list[str]:
        """Where each leads, in order: a bearer value, like a code. Not inside a transaction."""
        ...


def link_type_of(product: Product) -> LinkType | None:
    """Who may open its claim links; None where codes go out as they are. A recharge has no code."""
    return None if recharges(product) else product.link_type


def links_wanted(order_id: int) -> jobs.JobAsk:
    """The job that makes the links an order still lacks."""
    return jobs.JobAsk(MAKE_LINKS_JOB, {"order_id": order_id}, dedupe_key=str(order_id))
