"""Looking ahead: where stock can be bought, how long it lasts, and what to buy."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from rewards.catalog.catalog import Catalog
from rewards.catalog.model import (
    DenominationNotAvailable,
    Product,
    ProductNotFound,
    ProductType,
    ShelfKey,
)
from rewards.core.clock import Clock
from rewards.infra.db import Database
from rewards.inventory import service as inventory
from rewards.orders.demand import Demand, waited_for
from rewards.orders.fulfilment import with_adapters
from rewards.orders.vendor_limit import ApprovalLimit
from rewards.restocks import sql
from rewards.restocks.forecast import Advice, advise, count_to, needs
from rewards.restocks.model import Supply
from rewards.vendors import purchases
from rewards.vendors.buying import AdapterSource


@dataclass(frozen=True, slots=True)
class Restocks:
    """Everything a process needs to order stock and to look ahead, wired once at start."""

    db: Database
    catalog: Catalog
    accounts: AdapterSource
    clock: Clock
    window: timedelta
    limit: ApprovalLimit
    demand: Demand = field(default_factory=Demand)

    def shelf(self, product_id: int, denomination_minor: int) -> ShelfKey:
        """Where units of this product and value stand. Raises ProductNotFound, also for a product
        without vouchers, and DenominationNotAvailable."""
        product = self.product(product_id)
        if not product.sells(denomination_minor):
            raise DenominationNotAvailable
        return ShelfKey(product.id, denomination_minor, product.currency)

    def product(self, product_id: int) -> Product:
        """A product that there can be stock of. Raises ProductNotFound."""
        product = self.catalog.product(product_id)
        if product is None or product.type is not ProductType.VOUCHER:
            raise ProductNotFound
        return product

    async def supplies(self, product_ids: Sequence[int]) -> dict[int, list[Supply]]:
        """Every way to buy these products, in the order staff gave them."""
        async with self.db.connection() as connection:
            found = await purchases.sources(connection, product_ids)
            every = [source for sources in found.values() for source in sources]
            offers = await purchases.offers(connection, every)
        return {
            product_id: [
                Supply(choice.source, choice.vendor.capabilities, choice.offer)
                for choice in await with_adapters(self.accounts, sources, offers)
            ]
            for product_id, sources in found.items()
        }

    async def forecast(
        self,
        days: int,
        cover_days: int,
        product_ids: Sequence[int] | None = None,
        told_days: int = 0,
    ) -> list[Advice]:
        """How long each shelf lasts if the coming days are like the last `days`, and what to buy
        so that it lasts `cover_days`; the shortest cover first. Of these products, or of all.

        No shelf is counted further than that takes, or than to know whether it lasts `told_days`:
        what was not counted to its end is told as `at_least` so much.
        """
        now = self.clock.now()
        async with self.db.connection() as connection:
            asked = await self.demand.asked_for(connection, now - timedelta(days=days), now)
            waited = await waited_for(connection)
            coming = await sql.on_order(connection)
            there = await inventory.in_stock(connection, product_ids)
            most = {
                shelf: count_to(
                    asked.get(shelf, 0), waited.get(shelf, 0), days, max(cover_days, told_days)
                )
                for shelf in sorted({*there, *asked, *waited, *coming})
                if self._stocked(shelf.product_id, product_ids)
            }
            counted = await inventory.for_sale(connection, list(most), list(most.values()), now)
        depth = dict(zip(most, counted, strict=True))
        known = [
            replace(need, at_least=need.depth == most[need.shelf])
            for need in needs(asked, depth, coming, waited)
            if need.shelf in most
        ]
        of_these = sorted({need.shelf.product_id for need in known})
        return advise(known, await self.supplies(of_these), days, cover_days)

    def _stocked(self, product_id: int, product_ids: Sequence[int] | None) -> bool:
        if product_ids is not None and product_id not in product_ids:
            return False
        product = self.catalog.product(product_id)
        return product is not None and product.type is ProductType.VOUCHER
