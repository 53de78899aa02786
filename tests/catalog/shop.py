"""What the tests of the catalogue and of prices start from."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from rewards.catalog import service
from rewards.catalog.model import DeliveryType, Denomination, NewProduct, Product
from rewards.catalog.service import Catalog
from rewards.infra.changes import ChangeFeed
from rewards.infra.db import Database
from rewards.infra.settings import Settings
from rewards.pricing.service import Prices

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
# Product 6 of the seed documents.
AMAZON = NewProduct(
    id=6,
    name="Amazon Gift Card",
    description="For everything.",
    terms="No cash.",
    redemption="Enter the code at checkout.",
    category_id=1,
    subcategory_id=103,
    country="US",
    currency="USD",
    delivery_type=DeliveryType.CODE_WITH_PIN,
    voucher_fields=("card_number", "pin_code"),
    validity="12 months",
    image_url="https://images.example/amazon.png",
    handling_fee_minor=100,
    denominations=(Denomination(1000, 1000), Denomination(2500, 2500), Denomination(5000, 50000)),
)


def like_amazon(**changed: Any) -> NewProduct:
    return replace(AMAZON, **changed)


JAPANESE = like_amazon(
    id=None,
    name="Tokyo Books",
    country="JP",
    currency="JPY",
    handling_fee_minor=0,
    denominations=(Denomination(500, 10_000),),
)
KUWAITI = like_amazon(
    id=None,
    name="Souq Card",
    country="KW",
    currency="KWD",
    handling_fee_minor=250,
    tax_percent=Decimal("5.5"),
    denominations=(Denomination(10_500, 10_500),),
)


class Shop:
    """A database with reference data, and the caches of one process on it."""

    def __init__(self, db: Database, settings: Settings) -> None:
        self.db = db
        self.feed = ChangeFeed(db)
        self.catalog = Catalog(db, self.feed, mints=settings.sandbox)
        self.prices = Prices(db, self.feed, settings)

    async def open(self) -> None:
        async with self.db.transaction() as tx:
            await service.seed_reference(tx)
        await self.catalog.load()
        await self.prices.load()

    async def look(self) -> None:
        """One poll of the feed."""
        await self.feed._poll()

    async def add(self, *new: NewProduct) -> list[Product]:
        async with self.db.transaction() as tx:
            product_ids = await service.add_products(tx, new, AT)
        await self.look()
        return [self.known(product_id) for product_id in product_ids]

    def known(self, product_id: int) -> Product:
        product = self.catalog.product(product_id)
        assert product is not None
        return product

    async def clients(self, client_ids: Sequence[int]) -> None:
        async with self.db.transaction() as tx:
            await tx.executemany(
                "INSERT INTO clients (id, name, created_at) VALUES ($1, 'client', $2)",
                [(client_id, AT) for client_id in client_ids],
            )

    async def count(self, table: str) -> int:
        async with self.db.connection() as connection:
            return await connection.fetchval(f"SELECT count(*) FROM {table}")


async def open_shop(db: Database, settings: Settings) -> Shop:
    shop = Shop(db, settings)
    await shop.open()
    return shop
