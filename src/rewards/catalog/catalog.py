"""The catalogue in memory: every product and all reference data, kept fresh by the change feed."""

import asyncio
from collections.abc import Sequence

from rewards.catalog import sql, sql_reference
from rewards.catalog.model import (
    CHANGES_TOPIC,
    EVERYTHING,
    Category,
    Country,
    Currency,
    DeliveryTime,
    PoolDepth,
    Product,
    ShelfKey,
    Subcategory,
    Wording,
    speed,
)
from rewards.catalog.snapshot import Snapshot
from rewards.infra.changes import ChangeFeed
from rewards.infra.db import Database, Tx

# Words of old revisions that are kept; they never change, so they are never stale.
WORDING_MAX = 10_000


class Catalog:
    """Look-ups without an await. Hold on to a product, not to the catalogue, while you decide."""

    def __init__(self, db: Database, feed: ChangeFeed, *, mints: bool = False) -> None:
        """Empty until `load`. `mints`: the sandbox vendor makes what the pool lacks."""
        self._mints = mints
        self._db = db
        self._feed = feed
        self._snapshot = Snapshot.of([], {}, {}, {}, {})
        self._wordings: dict[int, Wording] = {}
        # One load at a time, so that an older one never replaces a newer one.
        self._loading = asyncio.Lock()
        feed.subscribe(CHANGES_TOPIC, self.refresh)

    async def load(self) -> None:
        """Read everything; the feed keeps it fresh. Raises Unavailable without a database."""
        # The feed must have looked once before we do, or a change in between would be missed.
        await self._feed.ensure_fresh()
        await self.refresh([EVERYTHING])

    async def refresh(self, product_ids: Sequence[int]) -> None:
        """Read these products again; with EVERYTHING among them, all there is."""
        async with self._loading, self._db.connection() as connection:
            if EVERYTHING in product_ids:
                self._snapshot = await _load(connection)
            else:
                changed = await sql.read_products(connection, product_ids)
                self._snapshot = self._snapshot.with_products(changed)

    @property
    def snapshot(self) -> Snapshot:
        """Everything at one moment."""
        return self._snapshot

    def product(self, product_id: int) -> Product | None:
        """Whatever its state; also one that is switched off."""
        return self._snapshot.products.get(product_id)

    def offered(self, product_id: int, client_id: int) -> Product | None:
        """A product that this client may see and buy; None is a `ProductNotFound` (D13)."""
        product = self._snapshot.products.get(product_id)
        if product is None or not product.active or not product.visible_to(client_id):
            return None
        return product

    def always_at_hand(self, product: Product) -> bool:
        """Whatever the pool holds, an order of it is served in the request."""
        return self._mints and product.minted

    async def delivery_time(
        self, pool: PoolDepth, product: Product, denomination_minor: int, quantity: int
    ) -> DeliveryTime:
        """How fast this quantity of one denomination comes, as things are now."""
        if self.always_at_hand(product):
            return DeliveryTime.INSTANT
        [depth] = await pool.depth([ShelfKey(product.id, denomination_minor, product.currency)])
        return speed(quantity, depth)

    def currency(self, code: str) -> Currency:
        """KeyError for a code that no row has."""
        return self._snapshot.currencies[code]

    def products(self) -> tuple[Product, ...]:
        return self._snapshot.listed

    def currencies(self) -> list[Currency]:
        return list(self._snapshot.currencies.values())

    def countries(self) -> list[Country]:
        return list(self._snapshot.countries.values())

    def categories(self) -> list[Category]:
        return list(self._snapshot.categories.values())

    def subcategories(self) -> list[Subcategory]:
        return list(self._snapshot.subcategories.values())

    async def wordings(self, revision_ids: Sequence[int]) -> list[Wording | None]:
        """The words orders were sold under, in order; read once, then remembered."""
        missing = list({each for each in revision_ids if each not in self._wordings})
        if missing:
            async with self._db.connection() as connection:
                found = await sql.read_wordings(connection, missing)
            fresh = {each.revision_id: each for each in found}
            known = self._wordings if len(self._wordings) < WORDING_MAX else {}
            answers = {**self._wordings, **fresh}
            self._wordings = {**known, **fresh}
        else:
            answers = self._wordings
        return [answers.get(revision_id) for revision_id in revision_ids]


async def _load(tx: Tx) -> Snapshot:
    products = await sql.read_products(tx)
    return Snapshot.of(
        products,
        {each.code: each for each in await sql_reference.read_currencies(tx)},
        {each.code: each for each in await sql_reference.read_countries(tx)},
        {each.id: each for each in await sql_reference.read_categories(tx)},
        {each.id: each for each in await sql_reference.read_subcategories(tx)},
    )
